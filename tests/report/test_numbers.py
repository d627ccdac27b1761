"""Numbers carry few digits and never more meaning than they have."""

from __future__ import annotations

import pytest

from forensics.report import numbers


@pytest.mark.parametrize(
    ("log10_lr", "text"),
    [
        (1.146, "+1.1"),
        (-1.146, "−1.1"),
        (0.314, "+0.31"),
        (-0.04, "−0.04"),
        (0.0, "0"),
        (0.001, "0"),
        (-0.004, "0"),
    ],
)
def test_a_log_ratio_has_two_significant_digits_at_most(log10_lr: float, text: str) -> None:
    """A log10 likelihood ratio shows its sign and at most two significant digits; what rounds to zero is zero."""
    assert numbers.bans(log10_lr) == text


@pytest.mark.parametrize(
    ("log10_lr", "text"),
    [(1.146, "14"), (-1.146, "14"), (0.31, "2"), (2.0, "100"), (3.3, "2\u202f000"), (9.0, "1.0 × 10^9")],
)
def test_times_is_rounded_to_two_digits_in_either_direction(log10_lr: float, text: str) -> None:
    """How many times more probable is the same for a ratio and its inverse, with two significant digits."""
    assert numbers.times(log10_lr) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "under 0.1 %"), (0.99999, "over 99.9 %"), (0.0, "0 %"), (1.0, "100 %"), (0.333, "33 %")],
)
def test_a_probability_is_never_rounded_to_certainty(value: float, text: str) -> None:
    """Only 0 and 1 themselves print as certainty."""
    assert numbers.probability(value) == text


def test_the_floor_of_a_p_value_is_printed_as_a_bound() -> None:
    """A p-value at the floor says at most, any other says equals."""
    assert numbers.p_value(1e-12) == "≤ 1e−12"
    assert numbers.p_value(0.04) == "= 0.04"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (4_976_698_672, "4.98 GB"), (10**15, "1e+03 TB")]
)
def test_sizes_have_decimal_units(count: int, text: str) -> None:
    """File sizes print in decimal units with three digits."""
    assert numbers.size(count) == text


def test_an_integer_of_any_length_prints() -> None:
    """An integer too long for Python to print is printed as beyond a bound."""
    assert numbers.cell(10**5000) == "beyond 10^18"
