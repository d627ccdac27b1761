"""What stands on the command line to a checkpoint's name: a local path goes first, then a hub's repository."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

from forensics.case import Named, clean_label
from forensics.errors import CaseError
from forensics.hub.location import HubLocation

REPOSITORY = re.compile(r"(?P<label>[^=]+):repository=(?P<path>.+)", re.DOTALL)
"""`LABEL:repository=PATH` among candidates or controls: the code repository of the one with that label."""


def named(text: str) -> Named:
    """`PATH`, `org/name[@revision]`, either with `LABEL=` before it."""
    found = Named.parse(text)
    if os.path.exists(found.path) or os.path.isdir(found.path.parts[0] if found.path.parts else ""):
        return found  # `models/lama` beside a folder `models` is a slip, and nobody else's business
    location = HubLocation.parse(str(found.path))
    return found if location is None else replace(found, hub=str(location))


def named_groups(*groups: Sequence[str]) -> tuple[tuple[Named, ...], ...]:
    """The checkpoints of each group, with the repositories that stand among them; CaseError for one of nobody's.

    An existing path wins over its reading as LABEL:repository=PATH, as with LABEL=PATH.
    """
    found = [[(text, _repository(text)) for text in group] for group in groups]
    repositories: dict[str, str] = {}
    for label, path in (about for group in found for _, about in group if about):
        if label in repositories:
            raise CaseError(f"{label} is given two repositories", "name a folder that holds both")
        repositories[label] = path
    subjects = tuple(tuple(named(text) for text, about in group if not about) for group in found)
    known = {one.label for group in subjects for one in group}
    for label in repositories:
        if label not in known:
            raise CaseError(
                f"a repository is named for {label}, which is no candidate and no control",
                "write LABEL=PATH for the checkpoint and LABEL:repository=PATH for its repository",
            )
    return tuple(
        tuple(replace(one, repository=repositories.get(one.label, "")) for one in g) for g in subjects
    )


def _repository(text: str) -> tuple[str, str] | None:
    """Label and path of a repository; None for what names a checkpoint."""
    told = None if os.path.exists(text) else REPOSITORY.fullmatch(text)
    return (clean_label(told["label"]), told["path"]) if told else None
