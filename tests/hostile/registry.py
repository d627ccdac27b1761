"""Every hostile case by its number, here or in another room's tests; `python -m tests.hostile` prints the table."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.hostile.case import Case
from tests.hostile.cases import containers, numbers, trees, words
from tests.hostile.elsewhere import ELSEWHERE

COLLECTIONS = (containers.CASES, trees.CASES, words.CASES, numbers.CASES)
LISTED = 80
"""Cases of the list of threats; what is beyond it has a number with a plus."""
NUMBER = re.compile(r"(?P<beyond>\+?)(?P<number>[0-9]+)(?P<variant>[a-z]?)")


def read_cases() -> list[Case]:
    """The cases that are one checkpoint to read."""
    return [case for collection in COLLECTIONS for case in collection.cases]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One case and where it is tested."""

    number: str
    title: str
    node: str

    @property
    def place(self) -> tuple[bool, int, str]:
        """Order of the table."""
        found = NUMBER.fullmatch(self.number)
        assert found, self.number
        return bool(found["beyond"]), int(found["number"]), found["variant"]


def table() -> list[Line]:
    """Every case, in order."""
    here = "tests/hostile/test_readings.py::test_hostile_checkpoint_is_a_finding"
    lines = [Line(number=c.number, title=c.title, node=here) for c in read_cases()]
    lines += [Line(number=number, title=title, node=node) for number, title, node in ELSEWHERE]
    return sorted(lines, key=lambda line: line.place)
