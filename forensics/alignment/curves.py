"""Depth curves: one number per layer, standardised, detrended, brought to one length and correlated.

A curve over depth reads a recipe more than a lineage: unrelated models share smooth trends (methods §1.1 and §5),
and neighbouring layers are not independent, so that none of these correlations carries a p-value of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLAT = 1e-9
"""A curve whose standard deviation is below this share of its largest magnitude counts as constant."""

Curve = NDArray[np.float64]


def _curve(values: ArrayLike) -> Curve:
    return np.asarray(values, np.float64).ravel()


def is_flat(values: ArrayLike) -> bool:
    """Whether a curve is constant up to rounding, shorter than two layers or not finite: nothing to correlate."""
    curve = _curve(values)
    if curve.size < 2 or not np.isfinite(curve).all():
        return True
    return bool(curve.std() <= FLAT * np.abs(curve).max())


def z_score(values: ArrayLike) -> Curve | None:
    """(curve − mean) / standard deviation over layers, population form; None for a flat curve."""
    curve = _curve(values)
    if is_flat(curve):
        return None
    return (curve - curve.mean()) / curve.std()


def pearson(first: ArrayLike, second: ArrayLike) -> float | None:
    """Pearson's correlation of two curves of equal length, in [−1, 1]; None where one is flat."""
    a, b = z_score(first), z_score(second)
    if a is None or b is None or a.size != b.size:
        return None
    return float(np.clip(np.mean(a * b), -1.0, 1.0))


def resample(values: ArrayLike, length: int) -> Curve:
    """Linear interpolation to `length` layers over relative depth: first stays first and last stays last.

    This is how the published fingerprint (arXiv 2507.03014) meets unequal depths. It smooths, and a smoother curve
    correlates more easily.
    """
    curve = _curve(values)
    if curve.size == length:
        return curve
    return np.interp(np.linspace(0.0, 1.0, length), np.linspace(0.0, 1.0, curve.size), curve)


def detrend(values: ArrayLike, degree: int = 3) -> Curve | None:
    """What a least-squares polynomial over depth leaves (methods §5.3: cubic); None if fewer than 4 layers are free.

    Legendre polynomials on [−1, 1] keep the fit well conditioned at any depth.
    """
    curve = _curve(values)
    if curve.size < degree + 5 or not np.isfinite(curve).all():
        return None
    basis = np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, curve.size), degree)
    fitted, *_ = np.linalg.lstsq(basis, curve, rcond=None)
    rest: Curve = curve - basis @ fitted
    return np.zeros_like(rest) if np.abs(rest).max() <= FLAT * max(np.abs(curve).max(), 1e-300) else rest


def winsorise(values: ArrayLike, spread: float = 3.0) -> Curve:
    """Limits a curve to `spread` robust standard deviations (1.4826 × median absolute deviation) about its median.

    Keeps one unusual layer, mostly the first or the last, from deciding a correlation. Left alone where more than
    half of the values coincide.
    """
    curve = _curve(values)
    middle = float(np.median(curve))
    scale = 1.4826 * float(np.median(np.abs(curve - middle)))
    return curve if scale == 0.0 else np.clip(curve, middle - spread * scale, middle + spread * scale)
