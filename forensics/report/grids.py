"""Tables of a record made printable: capped rows and columns, formatted cells, and the count of what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forensics.readings import Scalar, Table
from forensics.report import numbers
from forensics.report.view import ROWS

COLUMNS = 12
WIDEST, LINE = 48, 104
"""Characters that one column may claim, and that a line of a table holds."""
BUDGET = 4000
"""Table rows of one report; beyond it all tables are cut alike, so that a large case still renders in minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One formatted cell; numbers are set flush right."""

    text: str
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A printable table."""

    title: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[int, ...]
    """Share of each column in the table's width, in whole per cent."""
    width: int
    """Share of the table in the text's width, in whole per cent."""
    note: str
    """What was left out, or empty."""


def row_cap(tables: Sequence[Table]) -> int:
    """The largest common cap on rows that keeps a report's tables within the budget."""
    for cap in (ROWS, 200, 100, 50, 20, 10, 5):
        if sum(min(len(table.rows), cap) for table in tables) <= BUDGET:
            return cap
    return 2


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def grid(table: Table, cap: int = ROWS) -> Grid:
    """`table` with at most `cap` rows; a row shorter than the heading is filled up, a longer one cut."""
    width = min(COLUMNS, max([len(table.columns), *(len(row) for row in table.rows[:cap])]))
    shown = [[*row[:width], *[None] * (width - len(row))] for row in table.rows[:cap]]
    numeric = [
        any(_is_number(row[i]) for row in shown)
        and all(row[i] is None or _is_number(row[i]) for row in shown)
        for i in range(width)
    ]
    names = [*table.columns[:width], *[""] * (width - len(table.columns))]
    columns = tuple(Cell(text=name, numeric=flush) for name, flush in zip(names, numeric, strict=True))
    rows = tuple(
        tuple(
            Cell(text=numbers.cell(value), numeric=flush) for value, flush in zip(row, numeric, strict=True)
        )
        for row in shown
    )
    room = [
        min(WIDEST, max(5, *(len(cell.text) for cell in column))) + 3
        for column in zip(columns, *rows, strict=True)
    ]
    return Grid(
        title=table.title,
        columns=columns,
        rows=rows,
        widths=tuple(max(2, 100 * share // sum(room)) for share in room),
        width=min(100, max(20, 100 * sum(room) // LINE)),
        note="; ".join(_left_out(table, len(shown), width)),
    )


def _left_out(table: Table, rows: int, columns: int) -> list[str]:
    """What a table of `rows` and `columns` does not show."""
    notes = []
    if cut := len(table.rows) - rows:
        notes.append(f"{numbers.count(cut)} more rows in the record")
    if table.omitted:
        notes.append(f"{numbers.count(table.omitted)} further rows were cut before the record was written")
    if len(table.columns) > columns:
        notes.append(f"{len(table.columns) - columns} more columns in the record")
    return notes
