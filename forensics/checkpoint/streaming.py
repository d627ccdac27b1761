"""Every byte of a checkpoint's weight files once, in file order, hashed, some way ahead of its reader."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.opened import BLOCK_BYTES

if TYPE_CHECKING:
    from types import TracebackType

    from forensics.checkpoint.opened import Checkpoint
    from forensics.checkpoint.plan import Planned
    from forensics.checkpoint.stored import WeightFile

AHEAD_BYTES = 384 << 20
"""Bytes read and not yet worked through. Layers that nobody examines take less time to compute than to hash, and those
that all examine take more: so far ahead, neither thread waits for the other at every change."""
ALLOCATION = 31 << 20
"""Just under the size from which glibc never keeps freed memory at hand (mallopt(3), M_MMAP_THRESHOLD)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of a file that were read and hashed; whose rows they are, if anybody's."""

    count: int
    """Bytes of the file that were not counted before: 0 for those of a second tensor over the same bytes."""
    planned: Planned | None = None
    at: int = 0
    """First row in `raw`."""
    raw: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes to be read next, and what for."""

    begin: int
    length: int
    planned: Planned | None = None
    at: int = 0
    again: bool = False
    """Hashed already."""


def blocks(file: WeightFile, planned: Planned) -> Iterator[tuple[int, bytes]]:
    """(first row, bytes) of a planned tensor: as many whole units as fit a block, at least one."""
    for span in _of_tensor(planned):
        yield span.at, file.read(span.begin, span.length)


def _of_tensor(planned: Planned) -> Iterator[Span]:
    assert planned.codec is not None
    unit, rows, entry = planned.codec.unit_bytes, planned.codec.unit_rows, planned.entry
    step = max(1, BLOCK_BYTES // unit) * unit
    for begin in range(entry.begin, entry.end, step):
        at = (begin - entry.begin) // unit * rows
        yield Span(begin=begin, length=min(step, entry.end - begin), planned=planned, at=at)


def _of_file(size: int, tensors: list[Planned]) -> Iterator[Span]:
    """One file from its first byte to its last; those of planned tensors in whole units."""

    def unused(begin: int, end: int) -> Iterator[Span]:
        for at in range(begin, end, BLOCK_BYTES):
            yield Span(begin=at, length=min(BLOCK_BYTES, end - at))

    position = 0
    for planned in tensors:
        if not planned.segments:
            continue
        again = planned.entry.begin < position  # tied tensors share bytes, which are counted and hashed once
        yield from unused(position, planned.entry.begin)
        for span in _of_tensor(planned):
            yield replace(span, again=True) if again else span
        position = max(position, planned.entry.end)
    yield from unused(position, size)


class _Room:
    """How many bytes may be held at a time, given back by whoever lets go of them."""

    def __init__(self) -> None:
        self._held = 0
        self._stopped = False
        self._changed = threading.Condition()

    def take(self, count: int) -> bool:
        """Waits until `count` more bytes may be held, or none are, since a unit may be larger; False once stopped."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not self._held or self._held + count <= AHEAD_BYTES
            )
            self._held += count
            return not self._stopped

    def give(self, count: int) -> None:
        """Those bytes are gone."""
        with self._changed:
            self._held -= count
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody wants any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


@dataclass(slots=True, kw_only=True)
class Streamed:
    """The whole checkpoint as pieces, read and hashed by another thread from the moment it is entered.

    Fills `hashes` (file index to SHA-256). Iterating raises what the other thread met, e.g. CheckpointError for a file
    that shrank. Whoever iterates lets go of a piece before asking for the next, so that memory stays bounded.
    """

    checkpoint: Checkpoint
    hashes: dict[int, str] = field(default_factory=dict)
    _waiting: queue.SimpleQueue[Piece | BaseException | None] = field(default_factory=queue.SimpleQueue)
    _room: _Room = field(default_factory=_Room)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Streamed:
        # Once a chunk of this size was freed, the allocator keeps smaller ones instead of asking the system for fresh
        # pages, whose faults cost more than the reading itself.
        np.empty(ALLOCATION, np.uint8)
        self._thread = threading.Thread(target=self._fill, name="reader", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.stop()
        if self._thread is not None:
            self._thread.join()

    def __iter__(self) -> Iterator[Piece]:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            held = len(item.raw)
            yield item
            del item
            self._room.give(held)

    def _fill(self) -> None:
        try:
            with closing(self._produced()) as produced:
                for piece in produced:
                    self._waiting.put(piece)
            self._waiting.put(None)
        except BaseException as error:  # noqa: BLE001 - a thread ends here; the caller's thread raises it
            self._waiting.put(error)

    def _produced(self) -> Generator[Piece, None, None]:
        by_file: dict[int, list[Planned]] = {}
        for planned in self.checkpoint.plan.tensors:
            by_file.setdefault(planned.file, []).append(planned)
        for index, file in enumerate(self.checkpoint.files):
            whole = hashlib.sha256()
            for span in _of_file(file.size, by_file.get(index, [])):
                if not self._room.take(span.length):
                    return
                raw = file.read(span.begin, span.length)
                if not span.again:
                    whole.update(raw)
                count = 0 if span.again else span.length
                if span.planned:
                    piece = Piece(count=count, planned=span.planned, at=span.at, raw=raw)
                else:
                    piece = Piece(count=count)
                    self._room.give(span.length)
                del raw
                yield piece
                del piece
            self.hashes[index] = whole.hexdigest()
