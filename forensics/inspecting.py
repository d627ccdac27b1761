"""One location to one inspection, through a worker like everything that comes out of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forensics import jobs
from forensics.case import Named
from forensics.errors import CheckpointError

LIMIT = 120.0
"""Seconds: only headers and small files are read."""


def inspect_checkpoint(named: Named, *, base: str, only_bundled: bool) -> Mapping[str, Any]:
    """The inspection of what stands there (see inspection.py); CheckpointError where it cannot be opened."""
    heard: dict[str, Any] = {}
    end = jobs.run(
        {
            "task": "inspect",
            "probes": [],
            "parameters": {},
            "only_bundled": only_bundled,
            "base": base,
            "location": str(named.path),
            "label": named.label,
        },
        limit=LIMIT,
        listen=heard.update,
    )
    if "error" in heard:
        error = heard["error"]
        raise CheckpointError(
            f"{named.label}: {error['message']}"[:500], str(error["hint"])[:300], code=str(error["code"])[:60]
        )
    if not end.done or "inspection" not in heard:
        raise CheckpointError(
            f"{named.label}: the reading worker ended early ({end.error}: {end.detail})",
            "the checkpoint may be hostile, or too large for this machine's memory",
            code="WORKER",
        )
    found: Mapping[str, Any] = heard["inspection"]
    return found
