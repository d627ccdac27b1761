"""Code of a checkpoint as fingerprints with places, and what two of them have in common put together to passages."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forensics.winnowing.fingerprints import GRAM, WINDOW, fingerprints

CHARACTERS, KEPT = 4_000_000, 100_000
"""Characters of code that are looked at, and fingerprints kept, of one checkpoint."""
GAP = GRAM + WINDOW
"""Symbols between two fingerprints of one passage, at most: unbroken common code has one in every `WINDOW`."""
OCCURRENCES = 8
"""Places of one fingerprint in the other's code that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The fingerprints of all code files, file by file in order of place; all arrays have shape (n,)."""

    files: tuple[str, ...]
    hashes: NDArray[np.uint64]
    file: NDArray[np.int32]
    """Index into `files`."""
    place: NDArray[np.int32]
    """Number of the first symbol in its file."""
    first: NDArray[np.int32]
    """Line of the first symbol."""
    last: NDArray[np.int32]
    """Line of the last symbol."""


@dataclass(slots=True, kw_only=True)
class Passage:
    """A stretch of code that stands in both, as far as its fingerprints reach."""

    file: int
    first: int
    last: int
    """Lines of the suspect's file."""
    other_file: int
    other_first: int
    other_last: int
    """Lines of the candidate's file."""
    hashes: set[int] = field(default_factory=set)
    """Its different fingerprints."""


def code_of(files: Iterable[tuple[str, str]]) -> Code:
    """The fingerprints of (name, text) of Python files, within budgets."""
    names: list[str] = []
    columns: list[tuple[NDArray[np.generic], ...]] = []
    left, kept = CHARACTERS, 0
    for name, text in files:
        if left <= 0 or kept >= KEPT:
            break
        found = fingerprints(text[:left])
        left -= len(text)
        kept += len(found.hashes)
        at = np.full(len(found.hashes), len(names), np.int32)
        columns.append((found.hashes, at, found.places, found.first, found.last))
        names.append(name)
    empty = (np.zeros(0, np.uint64), *(np.zeros(0, np.int32) for _ in range(4)))
    hashes, file, place, first, last = (
        np.concatenate(parts)[:KEPT] for parts in zip(empty, *columns, strict=True)
    )
    return Code(files=tuple(names), hashes=hashes, file=file, place=place, first=first, last=last)


def passages(ours: Code, theirs: Code, wanted: Collection[int]) -> list[Passage]:
    """Where fingerprints of `wanted` stand in both, neighbours joined, those with most fingerprints first.

    A fingerprint goes on with the passage before it where it follows within `GAP` symbols on both sides, else it begins
    one at its first place in the other's code.
    """
    elsewhere: dict[int, list[int]] = {}
    for index, number in enumerate(theirs.hashes.tolist()):
        places = elsewhere.setdefault(number, [])
        if number in wanted and len(places) < OCCURRENCES:
            places.append(index)
    found: list[Passage] = []
    last: tuple[int, int] | None = None
    for index, number in enumerate(ours.hashes.tolist()):
        places = elsewhere.get(number, []) if number in wanted else []
        if not places:
            continue
        following = _following(ours, theirs, last, index, places)
        there = places[0] if following is None else following
        if following is None:
            found.append(_begun(ours, index, theirs, there))
        passage = found[-1]
        passage.hashes.add(number)
        passage.last = max(passage.last, int(ours.last[index]))
        passage.other_last = max(passage.other_last, int(theirs.last[there]))
        last = (index, there)
    return sorted(found, key=lambda p: (-len(p.hashes), p.file, p.first, p.other_file, p.other_first))


def _begun(ours: Code, index: int, theirs: Code, there: int) -> Passage:
    """A passage of one fingerprint."""
    return Passage(
        file=int(ours.file[index]),
        first=int(ours.first[index]),
        last=int(ours.last[index]),
        other_file=int(theirs.file[there]),
        other_first=int(theirs.first[there]),
        other_last=int(theirs.last[there]),
    )


def _following(
    ours: Code, theirs: Code, last: tuple[int, int] | None, index: int, places: list[int]
) -> int | None:
    """The place that goes on with the passage whose last pair is `last`, at the step nearest to ours, or None."""
    step = _step(ours, last[0], index) if last else 0
    if last is None or not step:
        return None
    steps = [
        (abs(_step(theirs, last[1], there) - step), there)
        for there in places
        if _step(theirs, last[1], there)
    ]
    return min(steps)[1] if steps else None


def _step(code: Code, before: int, after: int) -> int:
    """Symbols from one fingerprint to a later one of the same file, or 0 where it is none or more than `GAP`."""
    step = int(code.place[after]) - int(code.place[before])
    return step if code.file[before] == code.file[after] and 0 < step <= GAP else 0
