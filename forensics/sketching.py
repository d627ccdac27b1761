"""One checkpoint to one sketch file: the same workers as a case, without a comparison."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from forensics.case import Named, Request
from forensics.errands import Errands
from forensics.errors import CaseError, CheckpointError
from forensics.gather import Gatherer, Watch
from forensics.probe import Sketch
from forensics.records import Problem
from forensics.registry import Registry
from forensics.remembered import Memory
from forensics.repositories import Repositories
from forensics.sketches import SketchBook, load, save


def sketch_checkpoint(
    request: Request, registry: Registry, out: Path, watch: Watch
) -> tuple[SketchBook, list[Problem]]:
    """Sketches the request's suspect into `out`; returns the book and the problems met."""
    named: Named = request.suspect
    if not named.hub and not named.path.exists():
        raise CheckpointError(f"{named.label}: no such file or folder", "check the path", code="MISSING")
    named.require_repository()
    if out.exists() and (out.is_dir() or (not named.hub and out.samefile(named.path))):
        raise CaseError(f"{out} is a folder or the checkpoint itself", "name a new file with -o")
    if named.path.is_dir() and out.resolve().is_relative_to(named.path.resolve()):
        raise CaseError(f"{out} lies inside the checkpoint", "name a file elsewhere with -o")
    if named.repository:
        request.require_outside(out.parent, "the sketch file")
    offered = registry.chosen(request.probes, request.parameters)
    with tempfile.TemporaryDirectory(prefix="forensics-") as scratch:
        errands = Errands(request=request, hub=Repositories(token_env=request.token_env))
        memory = Memory.of(request, registry.readers(), offered, Path(scratch), errands.hub.see)
        gatherer = Gatherer(
            request=request,
            offered=offered,
            scratch=Path(scratch),
            watch=watch,
            errands=errands,
            memory=memory,
        )
        read = gatherer.read(0, (named, "suspect"))
        if read.error:
            raise read.error
        sketches: dict[str, Sketch] = {}
        for path in read.sketches:
            sketches |= load(path).sketches
    book = SketchBook(subject=replace(read.subject, label=named.label), sketches=sketches)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseError(f"cannot write {out}: {error.strerror}", "name another file with -o") from None
    save(out, book)
    failed = [
        Problem(where=named.label, code="PROBE_FAILED", message=f"{probe}: {outcome.detail}")
        for probe, outcome in read.absent.items()
        if outcome.kind != "measurement"
    ]
    return book, [*memory.notes, *registry.problems, *read.problems, *failed]
