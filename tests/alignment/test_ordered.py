"""Sorted channels and neurons: recognised in either direction, and never by chance or by ties."""

from __future__ import annotations

import numpy as np
import pytest

from forensics import alignment


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_values_that_follow_their_places_stand_sorted(sign: float) -> None:
    """Rising or falling with noise, many or few, values count as sorted."""
    rng = np.random.Generator(np.random.PCG64(0))
    for count in (32, 400):
        assert alignment.stand_sorted(sign * np.arange(count) + count / 5 * rng.standard_normal(count))


def test_a_weak_trend_over_many_channels_is_enough() -> None:
    """A trend of ρ = 0.2 over 4,000 channels is no chance, over 40 it may be."""
    rng = np.random.Generator(np.random.PCG64(1))
    values = 0.2 * np.arange(4000) / 1155 + rng.standard_normal(4000)
    assert alignment.stand_sorted(values)
    assert not alignment.stand_sorted(values[::100])


def test_values_in_no_order_are_not_sorted() -> None:
    """Of 300 random orders of 64 values none counts as sorted, and ties at any place count for nothing."""
    rng = np.random.Generator(np.random.PCG64(2))
    assert not any(alignment.stand_sorted(rng.standard_normal(64)) for _ in range(300))
    assert not alignment.stand_sorted(np.ones(64))
    assert not alignment.stand_sorted(np.arange(3))
    assert alignment.order_z(np.zeros(8)) == 0.0
    assert alignment.order_z(np.arange(101)) == pytest.approx(10.0)
