"""The reading pass: every tensor of a checkpoint once, in file order, hashed, handed to every sketcher.

One thread reads and hashes, the caller's thread converts and sketches; a short queue between them bounds memory
whatever a tensor's size.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.convert import ITEM_BYTES, SHORT_NAMES, to_float32
from forensics.checkpoint.finite import holds_non_finite
from forensics.checkpoint.manifest import file_seen, other_files
from forensics.checkpoint.opened import BLOCK_BYTES, digest_of
from forensics.checkpoint.plan import Planned
from forensics.probe import Abstain, Sketch, Sketcher, SketchProbe
from forensics.readings import Abstention, Failure
from forensics.records import FileSeen, Problem, Subject, Unexamined

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint

UNEXAMINED_LIMIT = 200
QUEUE_BLOCKS = 3

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
            self.absent = Abstention(reason=answer.reason, detail=answer.detail[:1000])
        except Exception as error:  # a probe is run here
            self.absent = Failure(error=type(error).__name__, detail=f"while sketching: {error}"[:1000])
        return None

    def sketch(self, subject: str) -> Sketch:
        finished = self.guarded(self.sketcher.finish) if self.sketcher and not self.absent else None
        if isinstance(finished, Sketch):
            return replace(finished, subject=subject)
        absent = self.absent or Failure(error="TypeError", detail="the sketcher returned no sketch")
        return replace(self.probe.sketch({}), absent=absent, subject=subject)


def sketch_with(checkpoint: Checkpoint, probes: Iterable[SketchProbe]) -> dict[str, Sketch]:
    """Sketches of one checkpoint by these probes, by probe id; digests are those of the whole pass."""
    return dict(read(checkpoint, probes).sketches)


def read(checkpoint: Checkpoint, probes: Iterable[SketchProbe], progress: Progress | None = None) -> ReadingDone:
    """The whole pass: hashes every file, sketches with every probe, records what was and was not examined."""
    running = [_Running(probe=p) for p in probes]
    for one in running:
        one.sketcher = _as_sketcher(one, one.guarded(lambda one=one: one.probe.sketcher(checkpoint)))  # type: ignore[misc]
    total = sum(f.size for f in checkpoint.files)
    done = 0
    spoilt: dict[str, int] = {}
    hashes: dict[int, str] = {}
    for item in _ahead(checkpoint, hashes):
        done += item.count
        if item.planned is not None and item.raw is not None and item.planned.segments:
            if holds_non_finite(item.raw, item.planned.entry.dtype):
                spoilt[item.planned.entry.name] = item.planned.entry.elements
            _hand_out(item.planned, item.at, item.raw, running)
        if progress:
            progress(done, total)
    return _finished(checkpoint, running, spoilt, hashes)


def sketch_only(checkpoint: Checkpoint, probes: Iterable[SketchProbe], digest: str) -> dict[str, Sketch]:
    """Sketches without hashing, for a probe that is read in a worker of its own after the whole pass."""
    running = [_Running(probe=p) for p in probes]
    for one in running:
        one.sketcher = _as_sketcher(one, one.guarded(lambda one=one: one.probe.sketcher(checkpoint)))  # type: ignore[misc]
    for planned in checkpoint.plan.tensors:
        if not any(one.sketcher and any(one.sketcher.wants(s.spec) for s in planned.segments) for one in running):
            continue
        file, entry = checkpoint.files[planned.file], planned.entry
        for at, raw in _blocks(file.chunks, planned):
            _hand_out(planned, at, raw, running)
        del file, entry
    return {one.probe.id: one.sketch(digest) for one in running}


def _as_sketcher(one: _Running, made: object) -> Sketcher | None:
    if made is not None and not isinstance(made, Sketcher):
        one.absent = Failure(error="TypeError", detail="sketcher() returned something without wants, see and finish")
        return None
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A piece of a file that was read and hashed; `at` is its first stored row."""

    count: int
    planned: Planned | None = None
    at: int = 0
    raw: bytes | None = None


def _blocks(chunks: Callable[[int, int, int], Iterator[tuple[int, bytes]]], planned: Planned) -> Iterator[tuple[int, bytes]]:
    """(first stored row, bytes) of a tensor: whole rows, or the whole tensor where it is stored transposed."""
    entry = planned.entry
    if planned.transpose:
        yield 0, b"".join(raw for _, raw in chunks(entry.begin, entry.end, 1 << 26))
        return
    row_bytes = planned.segments[0].spec.columns * ITEM_BYTES[entry.dtype]
    step = max(1, BLOCK_BYTES // row_bytes) * row_bytes
    for offset, raw in chunks(entry.begin, entry.end, step):
        yield (offset - entry.begin) // row_bytes, raw


def _produce(checkpoint: Checkpoint, hashes: dict[int, str]) -> Iterator[_Item]:
    """Every byte of every weight file in order, hashed."""
    by_file: dict[int, list[Planned]] = {}
    for planned in checkpoint.plan.tensors:
        by_file.setdefault(planned.file, []).append(planned)
    for index, file in enumerate(checkpoint.files):
        whole = hashlib.sha256()
        position = 0
        for planned in by_file.get(index, []):
            for _, raw in file.chunks(position, planned.entry.begin, BLOCK_BYTES):
                whole.update(raw)
                yield _Item(count=len(raw))
            entry = planned.entry
            if planned.segments:
                for at, raw in _blocks(file.chunks, planned):
                    whole.update(raw)
                    yield _Item(count=len(raw), planned=planned, at=at, raw=raw)
            else:
                for _, raw in file.chunks(entry.begin, entry.end, BLOCK_BYTES):
                    whole.update(raw)
                    yield _Item(count=len(raw))
            position = entry.end
        for _, raw in file.chunks(position, file.size, BLOCK_BYTES):
            whole.update(raw)
            yield _Item(count=len(raw))
        hashes[index] = whole.hexdigest()


def _ahead(checkpoint: Checkpoint, hashes: dict[int, str]) -> Iterator[_Item]:
    """The same items, read and hashed by another thread a few blocks ahead."""
    items: queue.Queue[_Item | BaseException | None] = queue.Queue(maxsize=QUEUE_BLOCKS)
    stopped = threading.Event()

    def put(item: _Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                items.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for item in _produce(checkpoint, hashes):
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # a thread ends here; the caller's thread raises it
            put(error)

    thread = threading.Thread(target=fill, name="reader", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _hand_out(planned: Planned, at: int, raw: bytes, running: list[_Running]) -> None:
    """Converts a block if anybody wants it and gives each sketcher the canonical rows it asked for."""
    wanting = [
        (segment, one)
        for segment in planned.segments
        for one in running
        if one.sketcher and not one.absent and one.guarded(lambda one=one, s=segment: one.sketcher.wants(s.spec))  # type: ignore[misc]
    ]
    if not wanting:
        return
    entry, columns = planned.entry, planned.segments[0].spec.columns
    block = to_float32(raw, entry.dtype)
    block = np.ascontiguousarray(block.reshape(entry.shape).T) if planned.transpose else block.reshape(-1, columns)
    if planned.gain_offset:
        block = block + np.float32(planned.gain_offset)
    for segment, one in wanting:
        low, high = max(segment.start, at), min(segment.start + segment.rows, at + len(block))
        if low < high and one.sketcher and not one.absent:
            rows, first = block[low - at : high - at], segment.at + low - segment.start
            one.guarded(lambda one=one, s=segment, r=rows, f=first: one.sketcher.see(s.spec, r, f))  # type: ignore[misc]


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
    parameters = sum(p.entry.elements for p in plan.tensors if not p.buffer)
    parameters += sum(e.elements for f in checkpoint.files for e in f.missing)
    recognised = sum(p.entry.elements for p in plan.tensors if p.segments) - sum(spoilt.values())
    listing, stored = checkpoint.listing, len(plan.tensors) + sum(len(f.missing) for f in checkpoint.files)
    if listing and listing.indexed > stored and stored:
        parameters += (listing.indexed - stored) * (parameters // stored)
    left = [*plan.unexamined, *(Unexamined(name=n[:200], reason="holds NaN or infinity") for n in sorted(spoilt))]
    left += [Unexamined(name=n, reason="shard that could not be opened") for n in (listing.absent if listing else ())]
    return Subject(
        label=checkpoint.label,
        role="suspect",
        form="checkpoint",
        files=tuple(files),
        digest=digest,
        architecture=plan.architecture,
        parameters=parameters,
        recognised=max(0, recognised),
        dtypes=tuple(sorted({SHORT_NAMES.get(p.entry.dtype, p.entry.dtype.lower()) for p in plan.tensors})),
        unexamined=tuple(left[:UNEXAMINED_LIMIT]),
        unexamined_omitted=max(0, len(left) - UNEXAMINED_LIMIT),
    )
