"""Every byte of a checkpoint's weight files once, in file order, hashed, a few blocks ahead of its reader."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.checkpoint.opened import BLOCK_BYTES

if TYPE_CHECKING:
    from forensics.checkpoint.opened import Checkpoint
    from forensics.checkpoint.plan import Planned
    from forensics.checkpoint.stored import WeightFile

QUEUE_BLOCKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of a file that were read and hashed; whose rows they are, if anybody's."""

    count: int
    planned: Planned | None = None
    at: int = 0
    """First row in `raw`."""
    raw: bytes = b""
    again: bool = False
    """Bytes that were hashed already."""


def blocks(file: WeightFile, planned: Planned) -> Iterator[tuple[int, bytes]]:
    """(first row, bytes) of a planned tensor: as many whole units as fit a block, at least one."""
    assert planned.codec is not None
    unit, rows = planned.codec.unit_bytes, planned.codec.unit_rows
    for offset, raw in file.chunks(
        planned.entry.begin, planned.entry.end, max(1, BLOCK_BYTES // unit) * unit
    ):
        yield (offset - planned.entry.begin) // unit * rows, raw


def _of_file(file: WeightFile, tensors: list[Planned]) -> Iterator[Piece]:
    """One file from its first byte to its last; only rows of planned tensors are handed on."""

    def unused(begin: int, end: int) -> Iterator[Piece]:
        for _, raw in file.chunks(begin, end, BLOCK_BYTES):
            yield Piece(count=len(raw), raw=raw)

    position = 0
    for planned in tensors:
        if not planned.segments:
            continue
        again = planned.entry.begin < position  # tied tensors share bytes, which are counted and hashed once
        yield from unused(position, planned.entry.begin)
        for at, raw in blocks(file, planned):
            yield Piece(count=0 if again else len(raw), planned=planned, at=at, raw=raw, again=again)
        position = max(position, planned.entry.end)
    yield from unused(position, file.size)


def _produced(checkpoint: Checkpoint, hashes: dict[int, str]) -> Iterator[Piece]:
    """Pieces of every file; puts each file's SHA-256 into `hashes` under its index when it is through."""
    by_file: dict[int, list[Planned]] = {}
    for planned in checkpoint.plan.tensors:
        by_file.setdefault(planned.file, []).append(planned)
    for index, file in enumerate(checkpoint.files):
        whole = hashlib.sha256()
        for piece in _of_file(file, by_file.get(index, [])):
            if not piece.again:
                whole.update(piece.raw)
            yield piece if piece.planned else Piece(count=piece.count)
        hashes[index] = whole.hexdigest()


def pieces(checkpoint: Checkpoint, hashes: dict[int, str]) -> Iterator[Piece]:
    """The whole checkpoint, read and hashed by another thread; a short queue between bounds memory.

    Fills `hashes` (file index to SHA-256). Raises what the other thread met, e.g. CheckpointError for a file that
    shrank.
    """
    waiting: queue.Queue[Piece | BaseException | None] = queue.Queue(maxsize=QUEUE_BLOCKS)
    stopped = threading.Event()

    def put(item: Piece | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for piece in _produced(checkpoint, hashes):
                put(piece)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - a thread ends here; the caller's thread raises it
            put(error)

    thread = threading.Thread(target=fill, name="reader", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
