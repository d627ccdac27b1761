"""Fuses the probes that answered into one log LR, knowing that they repeat each other.

Adding the probes' own log LRs would count shared evidence several times. Probes that read the same thing share one
vote, and whichever of them sees most casts it, among the reference pairs as in the case. Over the votes a small
regression is fitted when a case needs it, from the reference table: a probe that abstained is left out, not
filled in, and the subset's own out-of-fold cost and bounds are reported with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from forensics.evidence.assessment import Assessed, assess
from forensics.evidence.bounds import Bounds
from forensics.evidence.calibration import INTERCEPT, LEVEL
from forensics.evidence.population import ReferenceTable
from forensics.evidence.statistics import Array
from forensics.records import Contribution, Omission

_LN10 = math.log(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """One log10 LR from several readings, with everything that must be said beside it."""

    log10_lr: float
    lower: float
    upper: float
    bounds: Bounds
    contributions: tuple[Contribution, ...]
    """Per probe, then the intercept, in log10 units before the bounds; they add up."""
    cllr: float
    families: int
    outside: tuple[str, ...]
    """Probes whose reading lies beyond every reference pair: there the weight is an extrapolation."""
    left_out: tuple[str, ...]
    """Probes with a reading and a column in the table, but too few reference families to be fused."""
    omissions: tuple[Omission, ...] = ()
    """Per fused probe, the weight without it."""

    @property
    def probes(self) -> tuple[str, ...]:
        """All that were fused, by name: those that cast a vote and those that share one."""
        shares = [share for share in self.contributions if share.probe != INTERCEPT]
        return tuple(sorted({probe for share in shares for probe in (share.probe, *share.instead_of)}))


def choose(table: ReferenceTable, answered: Iterable[str], least_families: int) -> tuple[str, ...]:
    """The probes to fuse: of those that answered, the largest set still backed by enough families.

    Only reference pairs on which every fused probe gave a reading can be used. While fewer than
    `least_families` families with derived pairs remain, the probe with the fewest of its own goes (ties: the
    last by name), e.g. one that needs attention biases, which few architectures have.
    """
    kept = sorted((set(answered) & set(table.probes)) - table.beside)
    while len(kept) > 1 and table.derived_families(kept) < least_families:
        scarcest = min(table.derived_families([probe]) for probe in kept)
        kept.remove(max(probe for probe in kept if table.derived_families([probe]) == scarcest))
    return tuple(kept)


@lru_cache(maxsize=64)
def fuser(table: ReferenceTable, probes: tuple[str, ...]) -> Assessed | None:
    """The regression over these probes; None where the table cannot support one. A fraction of a second."""
    return assess(table.select(probes), seed=table.seed, draws=table.draws)


def fuse(table: ReferenceTable, readings: Mapping[str, float], least_families: int) -> Fused | None:
    """The fused weight of readings by probe id; None where no probe of the table answered, or no anchor did.

    Recipe-like readings (depth curves, activations) alone are not fused: in the small models of the table they
    separate better than they do among real ones, so without an anchor each stands for itself under its own bound.
    """
    if table.anchors and not set(table.anchors) & set(readings):
        return None
    probes = choose(table, readings, least_families)
    assessed = fuser(table, probes) if probes else None
    if assessed is None:
        return None
    speaking, at = cast(table, probes, readings)
    terms = assessed.fit.terms(at) / _LN10
    intercept = assessed.fit.intercept / _LN10
    point = float(terms.sum() + intercept)
    drawn = [float(replica.llr(at)) / _LN10 for replica in assessed.replicas]
    lower, upper = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    shares = [*zip(speaking, terms.tolist(), strict=True), (INTERCEPT, intercept)]
    return Fused(
        log10_lr=assessed.bounds.hold(point),
        lower=assessed.bounds.hold(min(float(lower), point)),
        upper=assessed.bounds.hold(max(float(upper), point)),
        bounds=assessed.bounds,
        contributions=tuple(
            Contribution(probe=p, log10_lr=round(share, 6) + 0.0, instead_of=_silent(table, probes, p))
            for p, share in shares
        ),
        cllr=round(assessed.cllr, 3),
        families=assessed.families,
        outside=tuple(p for p in probes if _outside(table, p, readings[p])),
        left_out=tuple(sorted((set(readings) & set(table.probes)) - table.beside - set(probes))),
    )


def cast(
    table: ReferenceTable, probes: Sequence[str], readings: Mapping[str, float]
) -> tuple[tuple[str, ...], Array]:
    """Per vote the probe that speaks for it, with the largest transformed reading of its members, and that reading."""
    speaking, at = [], []
    for members in table.ballot(probes):
        own = {p: float(table.transforms[table.probes.index(p)](np.array(readings[p]))) for p in members}
        loudest = max(members, key=lambda probe: own[probe])
        speaking.append(loudest)
        at.append(own[loudest])
    return tuple(speaking), np.array(at)


def _silent(table: ReferenceTable, probes: Sequence[str], speaking: str) -> tuple[str, ...]:
    """Those that share a vote with a probe and saw less than it."""
    return tuple(
        p for members in table.ballot(probes) if speaking in members for p in members if p != speaking
    )


def omissions(
    table: ReferenceTable, readings: Mapping[str, float], fused: Fused, least_families: int
) -> tuple[Omission, ...]:
    """Leave-one-out sensitivity: for each fused probe the weight of the others alone, fitted again for that subset.

    Without the last anchor nothing is fused, and the omission says so.
    """
    used = fused.probes
    found = []
    for left in used if len(used) > 1 else ():
        rest = fuse(table, {probe: readings[probe] for probe in used if probe != left}, least_families)
        found.append(
            Omission(probe=left, log10_lr=None)
            if rest is None
            else Omission(probe=left, log10_lr=rest.log10_lr, lower=rest.lower, upper=rest.upper)
        )
    return tuple(found)


def _outside(table: ReferenceTable, probe: str, reading: float) -> bool:
    """Whether no reference pair reached so far in this direction."""
    seen = table.readings[:, table.probes.index(probe)]
    return not np.nanmin(seen) <= reading <= np.nanmax(seen)
