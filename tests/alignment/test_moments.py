"""Running moments, row energies and stacks of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment import Moments, dispersion, row_energies, stack, unstack


@pytest.mark.parametrize("offset", [0.0, 1.0, -300.0, 1e5])
@pytest.mark.parametrize("block", [1, 7, 64])
def test_running_std_is_that_of_the_whole(offset: float, block: int) -> None:
    """Block by block, and far from zero, the standard deviation equals numpy's on the whole in double precision."""
    w = np.asarray(np.random.default_rng(0).standard_normal((64, 33)) * 0.7 + offset, np.float32)
    moments = Moments()
    for start in range(0, 64, block):
        moments.add(w[start : start + block])
    assert moments.std == pytest.approx(w.astype(np.float64).std(ddof=1), rel=2e-5)
    assert moments.mean == pytest.approx(w.astype(np.float64).mean(), rel=1e-5, abs=1e-6)


def test_nothing_seen_has_no_spread() -> None:
    """No block and an empty block leave a spread of zero, not an error."""
    moments = Moments()
    moments.add(np.zeros((0, 5), np.float32))
    assert (moments.count, moments.std) == (0, 0.0)


def test_row_energies_with_and_without_scale() -> None:
    """Sums of squares per row, columns scaled first, also where the block is cut into many pieces."""
    rng = np.random.default_rng(1)
    w, gain = (np.asarray(rng.standard_normal(s), np.float32) for s in ((300, 1000), 1000))
    assert row_energies(w) == pytest.approx((w.astype(np.float64) ** 2).sum(axis=1), rel=1e-5)
    assert row_energies(w, gain) == pytest.approx(((w.astype(np.float64) * gain) ** 2).sum(axis=1), rel=1e-5)


def test_dispersion_tells_chance_from_structure() -> None:
    """Independent entries give about one whatever the width; rows of different size give much more."""
    rng = np.random.default_rng(2)
    for columns in (32, 500):
        w = np.asarray(rng.standard_normal((800, columns)), np.float32)
        assert dispersion([row_energies(w)], columns) == pytest.approx(1.0, abs=0.2)
        uneven = w * np.asarray(rng.uniform(0.5, 2.0, (800, 1)), np.float32)
        assert float(dispersion([row_energies(uneven)], columns) or 0) > 3.0
    assert dispersion([], 4) is None
    assert dispersion([np.full(20, np.nan, np.float32)], 4) is None


def test_stacks_keep_kinds_layers_and_order() -> None:
    """What was stacked comes back by kind and layer; a kind that is absent comes back empty."""
    vectors = {
        ("a", 0): np.ones(3, np.float32),
        ("a", 5): np.zeros(3, np.float32),
        ("b", -1): np.ones(2, np.float32),
    }
    arrays = stack(vectors, ("a", "b", "c"))
    assert sorted(arrays) == ["a", "a.layers", "b", "b.layers"]
    back = unstack(arrays, "a")
    assert list(back) == [0, 5]
    assert back[5].tolist() == [0.0, 0.0, 0.0]
    assert list(unstack(arrays, "b")) == [-1]
    assert unstack(arrays, "c") == {}
