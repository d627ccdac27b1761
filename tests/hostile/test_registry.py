"""The table of hostile cases: every threat of the list has a test, and every test named is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.hostile.registry import LISTED, Line, read_cases, table

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def functions(file: str) -> frozenset[str]:
    """Names of the functions that a file defines."""
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))


@pytest.mark.parametrize("number", range(1, LISTED + 1))
def test_every_listed_threat_has_a_test(number: int) -> None:
    """No number from 1 to 80 is left out."""
    assert [line for line in table() if line.place[:2] == (False, number)]


@pytest.mark.parametrize("line", {line.node: line for line in table()}.values(), ids=lambda line: line.node)
def test_every_test_named_is_there(line: Line) -> None:
    """A renamed or removed test is noticed."""
    file, function = line.node.split("::")
    assert function in functions(file)


def test_no_number_names_two_things() -> None:
    """A number and its variants stand for one checkpoint each (alone and as a shard, where it is a single file)."""
    numbers = [(c.number, c.title) for c in read_cases()]
    assert len(numbers) == len(set(numbers))
    assert len(table()) >= 200
