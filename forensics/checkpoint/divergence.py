"""Two sets of weights in one place: whether another loader would see another model."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.checkpoint.folder import Listing
from forensics.checkpoint.formats import open_weights
from forensics.checkpoint.place import display_name
from forensics.checkpoint.stored import Entry, WeightFile
from forensics.errors import CheckpointError

PIECE = 4_096
"""Bytes compared at the beginning, the middle and the end of a tensor."""
TENSORS = 2_000
"""Tensors compared; more of them are compared evenly spaced."""
NUMBERS = 16
"""Numbers compared of a tensor that one of the two keeps transposed."""


def divergence(listing: Listing, files: Sequence[WeightFile]) -> list[tuple[str, str]]:
    """(code, message) on the weights of `listing.second`, compared with `files` by name, shape and sampled bytes.

    Equal samples are no proof that the files agree, and the message says that only samples were read; a single
    difference is proof that they do not (PARSER_DIVERGENCE).
    """
    if not listing.second:
        return []
    first = _entries(files)
    second: list[WeightFile] = []
    try:
        for name in listing.second:
            second.append(open_weights(listing.place.open(name)))  # noqa: PERF401 - closed below, even half done
        return _compared(first, _entries(second), listing)
    except CheckpointError as error:
        message = f"{display_name(listing.second[0])} lies beside the weights and could not be read: {error.message}"
        return [(error.code, message), ("WEIGHTS_AMBIGUOUS", "weights in a second format were not compared")]
    finally:
        for file in second:
            file.close()


Placed = dict[str, tuple[WeightFile, Entry]]


def _entries(files: Sequence[WeightFile]) -> Placed:
    return {e.name: (f, e) for f in files for e in f.entries}


def _compared(first: Placed, second: Placed, listing: Listing) -> list[tuple[str, str]]:
    shared = sorted(first.keys() & second.keys())
    other = display_name(listing.second[0])
    shown = [n for n in shared[:: max(1, len(shared) // TENSORS)] if not _alike(first[n], second[n])]
    if shown or not shared:
        what = f"{len(shown)} of {len(shared)} tensors differ" if shared else "no tensor has the same name"
        example = f", e.g. {shown[0][:80]!r}" if shown else ""
        message = f"{display_name(listing.weights[0])} and {other} hold different weights: {what}{example}"
        return [("PARSER_DIVERGENCE", message)]
    only = len(first.keys() ^ second.keys())
    rest = f"; {only} tensors are in one of them only" if only else ""
    message = f"{other} holds the same {len(shared)} tensors as far as sampled bytes show{rest}; it was not examined"
    return [("WEIGHTS_TWICE", message)]


def _alike(one: tuple[WeightFile, Entry], other: tuple[WeightFile, Entry]) -> bool:
    (file, a), (twin, b) = one, other
    if (a.dtype, a.shape, a.end - a.begin) != (b.dtype, b.shape, b.end - b.begin):
        return False
    length = a.end - a.begin
    if a.turned != b.turned:
        return _alike_turned(one, other)
    for offset in {0, max(0, length // 2 - PIECE // 2), max(0, length - PIECE)}:
        count = min(PIECE, length - offset)
        if file.read(a.begin + offset, count) != twin.read(b.begin + offset, count):
            return False
    return True


def _alike_turned(one: tuple[WeightFile, Entry], other: tuple[WeightFile, Entry]) -> bool:
    """Whether a few numbers agree where one of two files keeps the matrix transposed."""
    (file, a), (twin, b) = one, other
    rows, columns = a.shape
    item = (a.end - a.begin) // (rows * columns)
    for sample in range(NUMBERS):
        place = rows * columns * sample // NUMBERS
        turned = place % columns * rows + place // columns
        at, there = (turned, place) if a.turned else (place, turned)
        if file.read(a.begin + at * item, item) != twin.read(b.begin + there * item, item):
            return False
    return True
