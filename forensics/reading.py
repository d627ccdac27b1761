"""The reading pass: every tensor of a checkpoint once, in file order, hashed, handed to every sketcher.

Another thread reads and hashes (`checkpoint.streaming`), the caller's thread converts and sketches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.codec import Plain
from forensics.checkpoint.finite import holds_non_finite
from forensics.checkpoint.manifest import file_seen, other_files
from forensics.checkpoint.opened import digest_of
from forensics.checkpoint.plan import Planned
from forensics.checkpoint.segments import Segment
from forensics.checkpoint.streaming import blocks, pieces
from forensics.errors import told
from forensics.probe import Abstain, Sketch, Sketcher, SketchProbe, TensorSpec
from forensics.readings import Abstention, Failure
from forensics.records import FileSeen, Problem, Subject, Unexamined
from forensics.sketches import check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint

UNEXAMINED_LIMIT = 200

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingDone:
    """What one pass found out."""

    subject: Subject
    sketches: Mapping[str, Sketch]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _Running:
    """One probe during the pass: its sketcher, or why it has none."""

    probe: SketchProbe
    sketcher: Sketcher | None = None
    absent: Abstention | Failure | None = None

    def guarded(self, action: Callable[[], object]) -> object:
        """Runs probe code; an abstention or an error ends this probe's sketch, never the pass."""
        try:
            return action()
        except Abstain as answer:
            self.absent = answer.recorded()
        except Exception as error:  # a probe is run here
            self.absent = Failure(error=type(error).__name__, detail=f"while sketching: {told(error)}"[:1000])
        return None

    def start(self, checkpoint: Checkpoint) -> None:
        made = self.guarded(lambda: self.probe.sketcher(checkpoint))
        if isinstance(made, Sketcher):
            self.sketcher = made
        elif not self.absent:
            detail = "sketcher() returned something without wants, see and finish"
            self.absent = Failure(error="TypeError", detail=detail)

    def wants(self, spec: TensorSpec) -> bool:
        sketcher = self.sketcher
        return sketcher is not None and not self.absent and bool(self.guarded(lambda: sketcher.wants(spec)))

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        sketcher = self.sketcher
        if sketcher is not None and not self.absent:
            self.guarded(lambda: sketcher.see(spec, rows, start))

    def _finish(self, sketcher: Sketcher) -> Sketch:
        made = sketcher.finish()
        check(made, self.probe.id)
        return made

    def sketch(self, subject: str) -> Sketch:
        sketcher = self.sketcher
        finished = self.guarded(lambda: self._finish(sketcher)) if sketcher and not self.absent else None
        if isinstance(finished, Sketch):
            return replace(finished, subject=subject)
        absent = self.absent or Failure(error="TypeError", detail="the sketcher returned no sketch")
        return replace(self.probe.sketch({}), absent=absent, subject=subject)


def sketch_with(checkpoint: Checkpoint, probes: Iterable[SketchProbe]) -> dict[str, Sketch]:
    """Sketches of one checkpoint by these probes, by probe id; digests are those of the whole pass."""
    return dict(read(checkpoint, probes).sketches)


def read(
    checkpoint: Checkpoint, probes: Iterable[SketchProbe], progress: Progress | None = None
) -> ReadingDone:
    """The whole pass: hashes every file, sketches with every probe, records what was and was not examined."""
    running = _started(checkpoint, probes)
    total = sum(f.size for f in checkpoint.files)
    done = 0
    spoilt: dict[str, int] = {}
    hashes: dict[int, str] = {}
    current: Planned | None = None
    wanting: list[tuple[Segment, list[_Running]]] = []
    for piece in pieces(checkpoint, hashes):
        done += piece.count
        if piece.planned:
            if piece.planned is not current:
                current, wanting = piece.planned, _wanting(piece.planned, running)
            if not _hand_out(current, piece.at, piece.raw, wanting):
                spoilt[current.stored.name] = current.stored.elements
        if progress:
            progress(done, total)
    return _finished(checkpoint, running, spoilt, hashes)


def sketch_only(checkpoint: Checkpoint, probes: Iterable[SketchProbe], digest: str) -> dict[str, Sketch]:
    """Sketches without hashing, for a probe that is read in a worker of its own after the whole pass."""
    running = _started(checkpoint, probes)
    for planned in checkpoint.plan.tensors:
        wanting = _wanting(planned, running)
        if wanting:
            for at, raw in blocks(checkpoint.files[planned.file], planned):
                _hand_out(planned, at, raw, wanting)
    return {one.probe.id: one.sketch(digest) for one in running}


def _started(checkpoint: Checkpoint, probes: Iterable[SketchProbe]) -> list[_Running]:
    running = [_Running(probe=p) for p in probes]
    for one in running:
        one.start(checkpoint)
    return running


def _wanting(planned: Planned, running: list[_Running]) -> list[tuple[Segment, list[_Running]]]:
    """Who wants rows of which part of a tensor."""
    asked = ((segment, [one for one in running if one.wants(segment.spec)]) for segment in planned.segments)
    return [(segment, takers) for segment, takers in asked if takers]


def _hand_out(planned: Planned, at: int, raw: bytes, wanting: list[tuple[Segment, list[_Running]]]) -> bool:
    """Decodes a piece if anybody wants it and gives each sketcher its canonical rows; False if a row is not finite."""
    plain = isinstance(planned.codec, Plain)
    finite = not (plain and holds_non_finite(raw, planned.entry.dtype))
    if not wanting or planned.codec is None:
        return finite
    for first, decoded in planned.codec.decode(raw, at):
        block = decoded + np.float32(planned.gain_offset) if planned.gain_offset else decoded
        finite = finite and (plain or bool(np.isfinite(block).all()))
        block.flags.writeable = False  # several sketchers see the same block
        for segment, takers in wanting:
            found = segment.within(first, len(block))
            if found:
                rows = block[found[0]]
                for one in takers:
                    one.see(segment.spec, rows, found[1])
    return finite


def _finished(
    checkpoint: Checkpoint, running: list[_Running], spoilt: Mapping[str, int], hashes: Mapping[int, str]
) -> ReadingDone:
    """The subject's record and every sketch, signed with the subject's digest."""
    files = [file_seen(f, hashes[i]) for i, f in enumerate(checkpoint.files)] + other_files(checkpoint)
    files.sort(key=lambda f: f.name)
    digest = digest_of((f.name, f.sha256) for f in files if f.sha256)
    sketches = {one.probe.id: one.sketch(digest) for one in running}
    problems = list(checkpoint.problems)
    for name in sorted(spoilt)[:20]:
        message = f"tensor {name[:200]} holds NaN or infinity"
        problems.append(Problem(where=checkpoint.label, code="NOT_FINITE", message=message))
    subject = _subject(checkpoint, files, digest, spoilt)
    return ReadingDone(subject=subject, sketches=sketches, problems=tuple(problems))


def _subject(
    checkpoint: Checkpoint, files: list[FileSeen], digest: str, spoilt: Mapping[str, int]
) -> Subject:
    plan = checkpoint.plan
    parameters = sum(p.stored.elements for p in plan.tensors if not p.buffer)
    parameters += sum(e.elements for f in checkpoint.files for e in f.missing)
    parameters += sum(e.elements for f in checkpoint.files for e, _ in f.refused)
    recognised = sum(p.stored.elements for p in plan.tensors if p.segments) - sum(spoilt.values())
    listing, stored = checkpoint.listing, len(plan.tensors) + sum(len(f.missing) for f in checkpoint.files)
    if listing and len(listing.indexed) > stored and stored:
        parameters += (len(listing.indexed) - stored) * (parameters // stored)
    left = [
        *plan.unexamined,
        *(Unexamined(name=n[:200], reason="holds NaN or infinity") for n in sorted(spoilt)),
    ]
    left += [
        Unexamined(name=n, reason="shard that could not be opened")
        for n in (listing.absent if listing else ())
    ]
    return Subject(
        label=checkpoint.label,
        role="suspect",
        form="checkpoint",
        files=tuple(files),
        digest=digest,
        architecture=plan.architecture,
        parameters=parameters,
        recognised=max(0, recognised),
        dtypes=tuple(sorted({p.stored.precision for p in plan.tensors})),
        unexamined=tuple(left[:UNEXAMINED_LIMIT]),
        unexamined_omitted=max(0, len(left) - UNEXAMINED_LIMIT),
    )
