"""What stands on the command line to a checkpoint's name: a local path goes first, then a hub's repository."""

from __future__ import annotations

import os
from dataclasses import replace

from forensics.case import Named
from forensics.hub.location import HubLocation


def named(text: str) -> Named:
    """`PATH`, `org/name[@revision]`, either with `LABEL=` before it."""
    found = Named.parse(text)
    if os.path.exists(found.path) or os.path.isdir(found.path.parts[0] if found.path.parts else ""):
        return found  # `models/lama` beside a folder `models` is a slip, and nobody else's business
    location = HubLocation.parse(str(found.path))
    return found if location is None else replace(found, hub=str(location))
