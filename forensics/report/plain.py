"""Plain text of a given width: headings, paragraphs, labelled lines and small tables, without control characters."""

from __future__ import annotations

from textwrap import wrap

from forensics.report.display import ISOLATES, display
from forensics.report.grids import Grid

LABEL = 14
"""Columns that a label takes."""
CELL = 28
"""Columns of one table cell at most."""


class Writer:
    """Collects lines; every text passes through `display`, so that nothing can steer a terminal."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._lines: list[str] = []

    def text(self) -> str:
        """Everything written, ending in one line feed; directional isolates are left to renderings that obey them."""
        return _without_isolates("\n".join(self._lines).strip("\n") + "\n")

    def gap(self) -> None:
        """One empty line, never two."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def line(self, text: str) -> None:
        """One line as it is, for digests and names that must stay whole."""
        self._lines.append(display(text).rstrip())

    def chapter(self, number: str, title: str, rule: str = "=") -> None:
        """A heading, underlined."""
        heading = wrap(display(f"{number} {title}".strip()), self.width) or [""]
        self.gap()
        if rule == "=":
            self._lines.append("")
        self._lines += [*heading, rule * min(self.width, max(3, *map(cells, heading))), ""]

    def paragraph(self, text: str, indent: str = "", first: str | None = None) -> None:
        """Text wrapped at the width, with an empty line after it."""
        self._wrap(text, indent, indent if first is None else first)
        self.gap()

    def item(self, text: str, bullet: str = "- ") -> None:
        """One entry of a list."""
        self._wrap(text, " " * len(bullet), bullet)

    def pair(self, label: str, text: str) -> None:
        """A label and its text, wrapped under itself."""
        self._wrap(text, " " * (LABEL + 2), f"  {display(label, 40):<{LABEL}}")

    def table(self, grid: Grid) -> None:
        """A table with padded columns; cells too wide are cut, columns that do not fit are left out and counted."""
        self.gap()
        if grid.title:
            self._wrap(grid.title, "  ", "  ")
        body = [[_fit(cell.text) for cell in row] for row in grid.rows]
        heading = [_fit(cell.text) for cell in grid.columns]
        widths = [max(map(cells, column)) for column in zip(heading, *body, strict=True)]
        shown = len(widths)
        while shown > 1 and sum(widths[:shown]) + 2 * shown > self.width:
            shown -= 1
        for row in (heading, ["-" * wide for wide in widths], *body):
            padded = [
                _pad(text, wide, flush=cell.numeric)
                for text, wide, cell in zip(row[:shown], widths, grid.columns, strict=False)
            ]
            self._lines.append(("  " + "  ".join(padded)).rstrip())
        notes = [grid.note] if grid.note else []
        if shown < len(widths):
            notes.append(f"{len(widths) - shown} columns did not fit")
        if notes:
            self._wrap(f"({'; '.join(notes)})", "  ", "  ")
        self.gap()

    def _wrap(self, text: str, indent: str, first: str) -> None:
        """Appends `text` wrapped; a word longer than the line is broken."""
        self._lines += wrap(
            display(text),
            self.width,
            initial_indent=first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ) or [first.rstrip()]


def plain(text: str) -> str:
    """Text for a terminal: filtered, and without our own directional isolates, which terminals print as boxes."""
    return _without_isolates(display(text))


def _without_isolates(text: str) -> str:
    return text.translate({ord(mark): None for mark in ISOLATES})


def cells(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def _fit(text: str) -> str:
    """A cell's text, cut to its column."""
    shown = display(text, 200)
    while cells(shown) > CELL:
        shown = shown[: max(1, len(shown) - max(2, cells(shown) - CELL))] + "…"
    return shown


def _pad(text: str, wide: int, *, flush: bool) -> str:
    """Spaces up to the column's width, before numbers and after words."""
    room = " " * max(0, wide - cells(text))
    return room + text if flush else text + room
