"""Monotone maps that bring a bounded reading onto a scale where a straight line in log odds makes sense.

A correlation piles up at 1 and a rate at its ends; a logistic regression on the raw number would spend its
slope there. `atanh` (Fisher's z) and `logit` undo this; both are cut a little before their poles, because
beyond them only rounding differs. All are non-decreasing, so a larger reading never weighs less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from forensics.errors import PluginError

Kind: TypeAlias = Literal["identity", "atanh", "logit"]

_DOMAIN: dict[str, tuple[float, float]] = {
    "identity": (-np.inf, np.inf),
    "atanh": (-1.0, 1.0),
    "logit": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """`kind` applied after limiting a reading to [low, high]."""

    kind: Kind
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuses limits on or beyond the map's poles, where it would be infinite."""
        if self.kind not in get_args(Kind):
            raise PluginError(f"unknown transform {self.kind!r}", f"one of {', '.join(get_args(Kind))}")
        least, most = _DOMAIN[self.kind]
        if not least < self.low < self.high < most:
            raise PluginError(f"limits {self.low!r}, {self.high!r} do not suit transform {self.kind!r}")

    def __call__(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Readings of any shape on the new scale; NaN (absent) stays NaN."""
        limited = np.clip(np.asarray(readings, dtype=np.float64), self.low, self.high)
        match self.kind:
            case "identity":
                return limited
            case "atanh":
                return np.arctanh(limited)
            case "logit":
                return np.log(limited) - np.log1p(-limited)

    def as_json(self) -> dict[str, Any]:
        """The form in which a reference file holds it."""
        return {"kind": self.kind, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Transform:
        """Reads what `as_json` wrote."""
        return cls(kind=found["kind"], low=float(found["low"]), high=float(found["high"]))
