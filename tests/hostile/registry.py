"""Every case by its number, here or in another room's tests; `python -m tests.hostile` prints the table."""

from __future__ import annotations

from tests.hostile.case import Case
from tests.hostile.cases import containers, numbers, trees, words

COLLECTIONS = (containers.CASES, trees.CASES, words.CASES, numbers.CASES)


def read_cases() -> list[Case]:
    """The cases that are one checkpoint to read."""
    return [case for collection in COLLECTIONS for case in collection.cases]
