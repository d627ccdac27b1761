"""Depth curves: standardising, detrending, resampling, correlating."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from forensics.alignment import detrend, is_flat, pearson, resample, winsorise, z_score


def noise(seed: int, size: int = 48) -> np.ndarray:
    """White noise over depth."""
    return np.random.default_rng(seed).standard_normal(size)


def test_pearson_agrees_with_scipy() -> None:
    """Our correlation is the textbook one."""
    a, b = noise(1), noise(2) + 0.5 * noise(1)
    assert pearson(a, b) == pytest.approx(scipy.stats.pearsonr(a, b).statistic, abs=1e-12)


@pytest.mark.parametrize(
    "curve", [[2.0] * 9, [0.0] * 5, [1.0], [], [1.0, float("nan"), 2.0], [1.0, float("inf"), 2.0]]
)
def test_a_curve_without_variation_has_no_correlation(curve: list[float]) -> None:
    """Constant, one-layer, empty and non-finite curves give None rather than a number or a warning."""
    assert is_flat(curve)
    assert z_score(curve) is None
    assert pearson(curve, np.arange(len(curve))) is None


def test_rounding_does_not_make_a_constant_curve_vary() -> None:
    """A curve that differs in the last bits only counts as constant."""
    assert is_flat(0.02 * (1 + 1e-13 * noise(3)))
    assert not is_flat(0.02 * (1 + 1e-6 * noise(3)))


def test_correlation_ignores_scale_and_offset() -> None:
    """Multiplying a curve by a positive number or shifting it leaves the correlation as it was."""
    a, b = noise(4), noise(5)
    assert pearson(a, b) == pytest.approx(pearson(3.0 * a - 7.0, b))


def test_resampling_keeps_ends_and_straight_lines() -> None:
    """Linear interpolation keeps the first and last layer, and reproduces a straight line exactly."""
    longer = resample(np.linspace(1.0, 5.0, 7), 31)
    assert longer == pytest.approx(np.linspace(1.0, 5.0, 31))
    curve = noise(6, 12)
    assert resample(curve, 12) == pytest.approx(curve)
    assert (resample(curve, 40)[0], resample(curve, 40)[-1]) == (curve[0], curve[-1])


def test_detrending_removes_any_cubic_and_nothing_else() -> None:
    """A cubic over depth vanishes, and adding one to a curve changes nothing that is left."""
    depth = np.linspace(0.0, 1.0, 30)
    cubic = 1.0 - 4.0 * depth + 9.0 * depth**2 - 5.0 * depth**3
    gone = detrend(cubic)
    assert gone is not None
    assert not gone.any()
    plain, tilted = detrend(noise(7, 30)), detrend(noise(7, 30) + 100.0 * cubic)
    assert tilted == pytest.approx(plain, abs=1e-9)


def test_detrending_needs_layers_to_spare() -> None:
    """With fewer than eight layers a cubic leaves too little to correlate, and says so with None."""
    assert detrend(noise(8, 7)) is None
    assert detrend(noise(8, 8)) is not None


def test_shared_trend_fakes_a_match_and_detrending_removes_it() -> None:
    """Unrelated curves that share four fifths of their variance with one cubic correlate near 0.8 raw, 0 detrended."""
    depth = np.linspace(-1.0, 1.0, 48)
    trend = np.asarray(z_score(depth**3 - 0.4 * depth)) * 2.0
    raw, rest = [], []
    for seed in range(200):
        a, b = trend + noise(1000 + seed), trend + noise(5000 + seed)
        raw.append(pearson(a, b) or 0.0)
        rest.append(pearson(np.asarray(detrend(a)), np.asarray(detrend(b))) or 0.0)
    assert np.mean(raw) == pytest.approx(0.8, abs=0.05)
    assert np.mean(rest) == pytest.approx(0.0, abs=0.05)


def test_winsorising_limits_one_wild_layer() -> None:
    """One layer a thousand deviations away no longer decides the correlation, and order is kept."""
    a, b = noise(9), noise(10)
    a[0], b[0] = 1000.0, 1000.0
    assert pearson(a, b) == pytest.approx(1.0, abs=1e-3)
    assert abs(pearson(winsorise(a), winsorise(b)) or 0.0) < 0.5
    assert np.argmax(winsorise(a)) == 0
