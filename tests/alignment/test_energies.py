"""Energies of free trades: what a balance says of two sides, and what it does not change with."""

from __future__ import annotations

import numpy as np
import pytest

from forensics import alignment


def sides(seed: int, shared: float = 0.3) -> np.ndarray:
    """Two sides of 200 units whose sizes rise together."""
    rng = np.random.default_rng(seed)
    common = shared * rng.standard_normal(200)
    return np.stack([common, common]) + 0.05 * rng.standard_normal((2, 200))


def test_a_random_rescaling_turns_the_correlation_and_widens_the_ratio() -> None:
    """Factors of log-spread 0.7 bring the correlation below −0.5 and the spread to about 1.4."""
    plain, by = sides(1), 0.7 * np.random.default_rng(2).standard_normal(200)
    before, after = alignment.balance(plain), alignment.balance(plain + np.stack([by, -by]))
    assert before is not None
    assert after is not None
    assert before.correlation > 0.9
    assert before.spread < 0.1
    assert after.correlation < -0.5
    assert after.spread == pytest.approx(1.4, abs=0.2)


def test_order_and_a_common_factor_do_not_matter() -> None:
    """Permuting the units, or one factor for all of a side, leaves correlation, spread and smoothness."""
    plain = sides(3)
    moved = plain[:, np.random.default_rng(0).permutation(200)] + np.array([[1.0], [-2.0]])
    before, after = alignment.balance(plain), alignment.balance(moved)
    assert before is not None
    assert after is not None
    assert after.correlation == pytest.approx(before.correlation)
    assert after.spread == pytest.approx(before.spread)
    assert after.smoother == pytest.approx(before.smoother)
    assert after.mean == pytest.approx(before.mean + 3.0)


def test_few_units_and_constant_sides_say_nothing() -> None:
    """Fewer than a dozen units give no balance; a side without variation gives correlation zero."""
    assert alignment.balance(np.zeros((2, 5))) is None
    flat = alignment.balance(np.stack([np.zeros(50), sides(4)[0, :50]]))
    assert flat is not None
    assert flat.correlation == 0.0


def test_a_ledger_reads_the_same_in_blocks_of_any_size() -> None:
    """Energies of rows, columns and a quarter of the rows do not depend on where blocks begin."""
    rng = np.random.default_rng(5)
    weights = {role: rng.standard_normal((512, 16)).astype(np.float32) for role in ("up_proj", "k_proj")}
    weights["down_proj"] = rng.standard_normal((16, 512)).astype(np.float32)
    gain = {"mlp_norm": np.ones(16, np.float32)}
    found = []
    for size in (3, 512):
        ledger = alignment.Ledger(kv_heads=2)
        for role, whole in weights.items():
            for start in range(0, len(whole), size):
                ledger.see(role, whole[start : start + size], start, len(whole))
        found.append(ledger.trades(gain))
    assert found[0].keys() == found[1].keys() == {"up-down", "mlp-gain"}
    for trade, both in found[0].items():
        np.testing.assert_allclose(both, found[1][trade], rtol=1e-4, atol=1e-5)


def test_hostile_energies_and_heads_that_do_not_divide_are_left_out() -> None:
    """NaN and zero rows cost their own unit alone; heads that do not divide cost their trade."""
    up = np.ones((20, 4), np.float32)
    up[3], up[5, 0] = 0.0, np.nan
    ledger = alignment.Ledger(kv_heads=3)
    ledger.see("up_proj", up, 0, 20)
    ledger.see("down_proj", np.ones((4, 20), np.float32), 0, 4)
    ledger.see("v_proj", up, 0, 20)
    ledger.see("o_proj", np.ones((4, 20), np.float32), 0, 4)
    assert {k: v.shape for k, v in ledger.trades({}).items()} == {"up-down": (2, 18)}
