"""How figures of docs/worked-case.md are written into the cells of its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def figure(value: float | None) -> str:
    """A reading with two decimals, more where two would hide that it is not 1."""
    if value is None:
        return "–"
    shown = f"{value:.2f}"
    return (f"{value:.3f}" if shown in {"1.00", "-1.00"} and abs(value) != 1 else shown).replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value with one digit."""
    return "–" if value is None else f"{value:.1g}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def weighed(weight: Sequence[float] | None) -> str:
    """A log10 likelihood ratio with its interval."""
    if weight is None:
        return "not weighed"
    middle, lower, upper = (_signed(one) for one in weight)
    return f"{middle} ({lower} to {upper})"


def share(part: int, whole: int) -> str:
    """Counts with their share."""
    return f"{part:,} of {whole:,} ({percent(part, whole)})"


def percent(part: int, whole: int) -> str:
    """A share that reads 0 only when it is."""
    shown = 100 * part / whole
    return "under 0.1 %" if 0 < shown < 0.1 else f"{shown:.1f} %"


def cell(text: str) -> str:
    """Words that can stand in a table."""
    return text.replace("|", "/").replace("\n", " ")


def in_thousandths(value: float) -> str:
    """A reading with three decimals."""
    return f"{value:.3f}".replace("-", "−")
