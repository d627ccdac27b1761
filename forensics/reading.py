"""The reading pass: every tensor of a checkpoint once, in file order, hashed, handed to every sketcher.

Another thread reads and hashes (`checkpoint.streaming`), the caller's thread converts and sketches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from forensics.account import accounted, count_reads, glimpsed, problems_of
from forensics.attending import Attending
from forensics.checkpoint.codec import Plain, Turned
from forensics.checkpoint.finite import holds_non_finite
from forensics.checkpoint.plan import Planned
from forensics.checkpoint.segments import Segment
from forensics.checkpoint.streaming import Streamed, blocks
from forensics.probe import Sketch, SketchProbe
from forensics.records import Problem, Subject

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint

Progress = Callable[[int, int], None]
Wanting = tuple[Segment, list[Attending]]
"""A part of a tensor and who wants its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingDone:
    """What one pass found out."""

    subject: Subject
    sketches: Mapping[str, Sketch]
    problems: tuple[Problem, ...]


def sketch_with(checkpoint: Checkpoint, probes: Iterable[SketchProbe]) -> dict[str, Sketch]:
    """Sketches of one checkpoint by these probes, by probe id; digests are those of the whole pass."""
    return dict(read(checkpoint, probes).sketches)


def read(
    checkpoint: Checkpoint, probes: Iterable[SketchProbe], progress: Progress | None = None
) -> ReadingDone:
    """The whole pass: hashes every file, sketches with every probe, records what was and was not examined."""
    total = sum(f.size for f in checkpoint.files)
    done = 0
    spoilt: dict[str, int] = {}
    current: Planned | None = None
    wanting: list[Wanting] = []
    with Streamed(checkpoint=checkpoint) as stream:
        running = _started(checkpoint, probes)
        for piece in stream:
            done += piece.count
            if piece.planned:
                if piece.planned is not current:
                    current, wanting = piece.planned, _wanting(piece.planned, running)
                if not _hand_out(current, piece.at, piece.raw, wanting):
                    spoilt[current.stored.name] = current.stored.elements
            del piece  # its bytes are gone before the next are asked for
            if progress:
                progress(done, total)
    subject = accounted(checkpoint, stream.hashes, spoilt)
    _ = checkpoint.tokenizer  # an unreadable one is told whoever took part, as a remembered pass will tell it
    sketches = {one.probe.id: one.sketch(subject.digest) for one in running}
    return ReadingDone(subject=subject, sketches=sketches, problems=problems_of(checkpoint, spoilt, subject))


def sketch_only(checkpoint: Checkpoint, probes: Iterable[SketchProbe], digest: str) -> dict[str, Sketch]:
    """Sketches without hashing, for a probe that is read in a worker of its own after the whole pass."""
    running = _started(checkpoint, probes)
    for planned in checkpoint.plan.tensors:
        wanting = _wanting(planned, running)
        if wanting:
            for at, raw in blocks(checkpoint.files[planned.file], planned):
                _hand_out(planned, at, raw, wanting)
    return {one.probe.id: one.sketch(digest) for one in running}


def first_look(
    checkpoint: Checkpoint, probes: Iterable[SketchProbe], progress: Progress | None = None
) -> ReadingDone:
    """Only what the sketchers want: nothing is hashed whole, and the record says how little was read (decision 15)."""
    counted = count_reads(checkpoint)
    running = _started(checkpoint, probes)
    wanted = [(p, taken) for p in checkpoint.plan.tensors if p.segments and (taken := _wanting(p, running))]
    total = sum(p.entry.end - p.entry.begin for p, _ in wanted)
    done, spoilt = 0, dict[str, int]()
    for planned, wanting in wanted:
        for at, raw in blocks(checkpoint.files[planned.file], planned):
            done += len(raw)
            if not _hand_out(planned, at, raw, wanting):
                spoilt[planned.stored.name] = planned.stored.elements
            if progress:
                progress(done, total)
    examined = sum(
        {id(s.spec): s.spec.rows * s.spec.columns for _, taken in wanted for s, _ in taken}.values()
    )
    sketches = {one.probe.id: one.sketch("") for one in running}
    subject = glimpsed(checkpoint, counted, examined - sum(spoilt.values()))
    return ReadingDone(
        subject=subject,
        sketches={i: replace(s, subject=subject.digest) for i, s in sketches.items()},
        problems=problems_of(checkpoint, spoilt, subject),
    )


def _started(checkpoint: Checkpoint, probes: Iterable[SketchProbe]) -> list[Attending]:
    return [Attending.begun(probe, checkpoint) for probe in probes]


def _wanting(planned: Planned, running: list[Attending]) -> list[Wanting]:
    """Who wants rows of which part of a tensor."""
    asked = ((segment, [one for one in running if one.wants(segment.spec)]) for segment in planned.segments)
    return [(segment, takers) for segment, takers in asked if takers]


def _hand_out(planned: Planned, at: int, raw: bytes, wanting: list[Wanting]) -> bool:
    """Decodes a piece if anybody wants it and gives each sketcher its canonical rows; False if a row is not finite."""
    plain = isinstance(planned.codec, Plain | Turned)
    finite = not (plain and holds_non_finite(raw, planned.entry.dtype))
    if not wanting or planned.codec is None:
        return finite
    passed = 0  # a stack has hundreds of segments, in the order of their rows, and a block meets few of them
    for first, decoded in planned.codec.decode(raw, at):
        block = decoded + np.float32(planned.gain_offset) if planned.gain_offset else decoded
        finite = finite and (plain or bool(np.isfinite(block).all()))
        block.flags.writeable = False  # several sketchers see the same block
        while passed < len(wanting) and wanting[passed][0].stop <= first:
            passed += 1
        for segment, takers in islice(wanting, passed, None):
            if segment.start >= first + len(block):
                break
            found = segment.within(first, len(block))
            if found:
                rows = block[found[0]]
                for one in takers:
                    one.see(segment.spec, rows, found[1])
    return finite
