"""A reading for every pair of layers, or of whatever else two models have several of, kept whole for a heat map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from forensics.errors import ForensicsError
from forensics.strict import STRICT

LARGEST_SIDE = 64
"""Rows and columns at most: beyond it nothing can be told apart on paper, and the record would grow for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Readings of every row's thing with every column's thing; ForensicsError unless it fits and is finite."""

    title: str
    row_label: str
    """What the rows number, e.g. `block of the suspect`."""
    column_label: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    cells: tuple[tuple[float, ...], ...]
    """One tuple per row, one number per column."""
    white: float = 0.0
    """Drawn as white; what is below it too."""
    black: float = 1.0
    """Drawn as black; what is above it too."""

    __pydantic_config__: ClassVar[Any] = STRICT

    def __post_init__(self) -> None:
        sides = len(self.rows), len(self.columns)
        if not all(1 <= side <= LARGEST_SIDE for side in sides):
            raise ForensicsError(f"a matrix has {sides[0]} × {sides[1]} cells", f"1 to {LARGEST_SIDE} a side")
        if len(self.cells) != sides[0] or any(len(row) != sides[1] for row in self.cells):
            raise ForensicsError("a matrix's cells do not fit its rows and columns")
        numbers = [self.white, self.black, *(cell for row in self.cells for cell in row)]
        if not all(math.isfinite(number) for number in numbers) or self.white >= self.black:
            raise ForensicsError(
                "a matrix holds a number that is not finite, or its white is not below its black"
            )

    def best(self) -> tuple[tuple[int, int, float], ...]:
        """Per row its name, the name of the column that it agrees with best (the first of equals), and how well."""
        found = []
        for name, row in zip(self.rows, self.cells, strict=True):
            at = row.index(max(row))
            found.append((name, self.columns[at], row[at]))
        return tuple(found)
