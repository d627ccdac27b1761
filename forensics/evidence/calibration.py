"""One probe's calibration as data: what a single reading is worth, and what it is compared with.

A calibration is a fitted curve with its bootstrap replicas, its bounds, and counts of the reference readings. It
is read from a reference file (`reference/README.md`) or from a plugin, and never unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.errors import PluginError
from forensics.evidence.bounds import Bounds
from forensics.evidence.statistics import Array
from forensics.evidence.transforms import Transform
from forensics.readings import Table
from forensics.records import Contribution, Weight

_LN10 = math.log(10.0)
LEVEL = 0.95
"""Two-sided level of every interval."""
INTERCEPT = "(intercept)"
"""Under this name the intercept stands among the contributions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often reference readings fell between neighbouring `edges`."""

    edges: tuple[float, ...]
    unrelated: tuple[int, ...]
    derived: tuple[int, ...]

    def bin_of(self, reading: float) -> int:
        """Index of the bin; −1 below the first edge, the number of bins above the last."""
        if reading == self.edges[-1]:
            return len(self.unrelated) - 1
        return int(np.searchsorted(self.edges, reading, side="right")) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """ln LR = intercept + slope·(transform(reading) − centre)/spread, held within `bounds` (log10)."""

    probe: str
    population: str
    """Id of the population it was fitted on."""
    transform: Transform
    intercept: float
    slope: float
    centre: float
    spread: float
    replicas: Array
    """Intercept and slope per bootstrap sample of families, on the same centre and spread, shape (draws, 2)."""
    bounds: Bounds
    families: int
    cllr: float
    cllr_lower: float
    cllr_upper: float
    cllr_min: float
    lowest: float
    highest: float
    """Range of the reference readings; outside it a weight is an extrapolation."""
    histogram: Histogram
    version: str = ""
    """Version of the probe whose readings it was fitted on, where that is said; no other is weighed by it."""

    def outside(self, reading: float) -> bool:
        """Whether no reference pair of either kind reached so far in this direction."""
        return not self.lowest <= reading <= self.highest

    def weigh(self, reading: float, description: str) -> Weight:
        """The reading's log10 LR with a family-bootstrap interval; never decreasing in the reading."""
        at = (float(self.transform(np.array(reading))) - self.centre) / self.spread
        point = (self.intercept + self.slope * at) / _LN10
        drawn = (self.replicas[:, 0] + self.replicas[:, 1] * at) / _LN10
        lower, upper = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
        return Weight(
            log10_lr=self.bounds.hold(point),
            lower=self.bounds.hold(min(float(lower), point)),
            upper=self.bounds.hold(max(float(upper), point)),
            cap=self.bounds.cap,
            population=description,
        )

    def contributions(self, reading: float) -> tuple[Contribution, ...]:
        """The reading's share and the intercept in log10 units, before the cap."""
        at = (float(self.transform(np.array(reading))) - self.centre) / self.spread
        shares = ((self.probe, self.slope * at / _LN10), (INTERCEPT, self.intercept / _LN10))
        return tuple(Contribution(probe=name, log10_lr=round(share, 6) + 0.0) for name, share in shares)

    def background(self, reading: float) -> Table:
        """Counts of reference pairs per bin, this case's bin marked; open bins where it lies outside."""
        counts = self.histogram
        here = counts.bin_of(reading)
        edges = counts.edges
        rows: list[tuple[str | int | float | bool | None, ...]] = [
            (edges[k], edges[k + 1], counts.unrelated[k], counts.derived[k], k == here)
            for k in range(len(counts.unrelated))
        ]
        if here < 0:
            rows.insert(0, (None, edges[0], 0, 0, True))
        elif here >= len(counts.unrelated):
            rows.append((edges[-1], None, 0, 0, True))
        note = "; this case lies outside the range of the reference pairs" if self.outside(reading) else ""
        return Table(
            title=f"Reference pairs by reading ({self.population}){note}",
            columns=("from", "to", "unrelated", "derived", "this case"),
            rows=tuple(rows),
        )


def calibration_from_json(found: Mapping[str, Any], population: str) -> Calibration:
    """A calibration as a reference file or a plugin gives it; PluginError where it makes no sense."""
    name = str(found.get("probe", "?"))
    try:
        made = _read(found, population)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        hint = "see forensics/evidence/reference/README.md for the form"
        raise PluginError(f"calibration for probe {name!r} cannot be read: {error!r}", hint) from error
    _check(made)
    return made


def _read(found: Mapping[str, Any], population: str) -> Calibration:
    """Field by field; missing and odd ones raise."""
    counts = found["histogram"]
    numbers = {
        key: float(found[key])
        for key in ("intercept", "slope", "centre", "spread", "cllr", "cllr_min", "lowest", "highest")
    }
    return Calibration(
        probe=str(found["probe"]),
        population=population,
        version=str(found.get("version", "")),
        transform=Transform.from_json(found["transform"]),
        bounds=Bounds(lower=float(found["bounds"][0]), upper=float(found["bounds"][1])),
        replicas=np.asarray(found["replicas"], dtype=np.float64).reshape(-1, 2),
        families=int(found["families"]),
        cllr_lower=float(found["cllr_interval"][0]),
        cllr_upper=float(found["cllr_interval"][1]),
        histogram=Histogram(
            edges=tuple(float(edge) for edge in counts["edges"]),
            unrelated=tuple(int(n) for n in counts["unrelated"]),
            derived=tuple(int(n) for n in counts["derived"]),
        ),
        **numbers,
    )


def _check(made: Calibration) -> None:
    """Refuses what would break a promise: finite, monotone, capped, an interval to speak of."""
    bins = len(made.histogram.edges) - 1
    demands = {
        "a number is not finite": np.isfinite(
            [made.intercept, made.slope, made.centre, made.spread, made.bounds.cap, made.lowest, made.highest]
        ).all()
        and np.isfinite(made.replicas).all(),
        "a slope is negative": made.slope >= 0.0 and (made.replicas[:, 1] >= 0.0).all(),
        "the spread is not positive": made.spread > 0.0,
        "the bounds are on the wrong side or exceed log10 of the number of families": made.bounds.lower
        <= 0.0
        <= made.bounds.upper
        and made.bounds.cap <= math.log10(max(made.families, 1)) + 1e-9,
        "there are fewer than 50 bootstrap replicas": len(made.replicas) >= 50,
        "the histogram's edges and counts do not fit": bins >= 1
        and len(made.histogram.unrelated) == len(made.histogram.derived) == bins
        and list(made.histogram.edges) == sorted(set(made.histogram.edges)),
    }
    for complaint, fulfilled in demands.items():
        if not fulfilled:
            raise PluginError(f"calibration for probe {made.probe!r}: {complaint}")
