"""One location to one inspection, through a worker like everything that comes out of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forensics.case import Request
from forensics.errands import Errands
from forensics.errors import CheckpointError
from forensics.inspection import sketch_inspected
from forensics.repositories import Repositories
from forensics.sketches import is_sketch_file, load

LIMIT = 300.0
"""Seconds: only headers and small files are read."""


def inspect_checkpoint(request: Request) -> Mapping[str, Any]:
    """The inspection of the request's suspect (see inspection.py); CheckpointError where it cannot be opened."""
    named, heard = request.suspect, dict[str, Any]()
    if is_sketch_file(named.path):
        return sketch_inspected(load(named.path), named.label)
    named.require_repository()
    errands = Errands(request=request, hub=Repositories(token_env=request.token_env))
    location = errands.location(named)
    job = errands.job("inspect", [], location=location, label=named.label, repositories=[named.repository])
    end = errands.run(job, what="inspect", limit=LIMIT, listen=heard.update)
    if "error" in heard:
        error, message = heard["error"], str(heard["error"]["message"])[:500]
        shown = message if message.startswith(named.label) else f"{named.label}: {message}"
        raise CheckpointError(shown, str(error["hint"])[:300], code=str(error["code"])[:60])
    if not end.done or "inspection" not in heard:
        raise CheckpointError(
            f"{named.label}: the reading worker ended early ({end.error}: {end.detail})",
            "the checkpoint may be hostile, or too large for this machine's memory",
            code="WORKER",
        )
    return {**heard["inspection"], "commit": errands.hub.commit(location), "fetched": errands.hub.notes()}
