"""How numbers are printed: few digits, never more than they can bear, and never without their meaning.

A log10 likelihood ratio carries at most two significant digits (evidence practice: the reference population
supports no more), so everything derived from it is rounded likewise.
"""

from __future__ import annotations

import math

from forensics.readings import P_FLOOR, Scalar

MINUS = "\u2212"
THIN = "\u202f"
"""Narrow no-break space, between groups of three digits."""


def bans(log10_lr: float) -> str:
    """A log10 likelihood ratio with its sign and at most two significant digits."""
    text = f"{log10_lr:+.1f}" if abs(log10_lr) >= 0.995 else f"{log10_lr:+.2f}"
    return text.replace("-", MINUS) if float(text) else "0"


def bound(cap: float) -> str:
    """A cap, printed as the symmetric bound it is."""
    return f"±{bans(abs(cap)).lstrip('+')}"


def interval(lower: float, upper: float) -> str:
    """An interval of log10 likelihood ratios."""
    return f"{bans(lower)} to {bans(upper)}"


def two_digits(value: float) -> str:
    """A positive number with two significant digits and without an exponent up to a million."""
    if value >= 1e6:
        return f"{value:.1e}".replace("e+0", " × 10^").replace("e+", " × 10^")
    if value >= 10:
        return f"{round(value, 1 - math.floor(math.log10(value))):,.0f}".replace(",", THIN)
    return f"{value:.2g}"


def times(log10_lr: float) -> str:
    """How many times more probable: 10 to the absolute log10 likelihood ratio, two significant digits."""
    return two_digits(10 ** min(abs(log10_lr), 300.0))


def probability(value: float) -> str:
    """A probability in per cent, never rounded to 0 % or 100 % unless it is."""
    if 0.0 < value < 0.001:
        return "under 0.1 %"
    if 0.999 < value < 1.0:
        return "over 99.9 %"
    percent = 100 * value
    near = 0 < percent < 10 or 99 < percent < 100
    return f"{percent:.1f} %" if near else f"{percent:.0f} %"


def p_value(p: float) -> str:
    """An exact p-value with its sign of relation and two significant digits; at the floor, `≤ 1e−12`."""
    if p <= P_FLOOR:
        return f"≤ 1e{MINUS}12"
    return f"= {p:.2g}".replace("-", MINUS)


def size(count: int) -> str:
    """A file size in bytes with a decimal unit."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit always returns")


def count(number: int) -> str:
    """A whole number, grouped by three from five digits on; a broken table may hold one of any length."""
    if abs(number) < 10_000:
        return str(number).replace("-", MINUS)
    if abs(number) < 10**18:
        return f"{number:,}".replace(",", THIN).replace("-", MINUS)
    return "beyond 10^18" if number > 0 else f"beyond {MINUS}10^18"


def parameters(number: int) -> str:
    """A parameter count in words that people use; absurd ones in digits."""
    if number >= 10**18:
        return count(number)
    for unit, scale in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return count(number)


def cell(value: Scalar) -> str:
    """A table cell: floats to four significant digits, the rest as it is; nothing is an em dash."""
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", MINUS)
    if isinstance(value, int):
        return count(value)
    return value


def scalar(value: Scalar) -> str:
    """A parameter as it stands in the record, e.g. `1e-06`, so that it can be typed again."""
    if value is None or value == "":
        return '""' if value == "" else "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
