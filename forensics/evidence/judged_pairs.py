"""Reference pairs by the weight that the fusion of a case gives them, each by a fit that had not seen its families."""

from __future__ import annotations

import math

import numpy as np

from forensics.evidence.calibration import Histogram
from forensics.evidence.fusion import Fused, fuser
from forensics.evidence.population import ReferenceTable
from forensics.readings import Table

_LN10 = math.log(10.0)
BINS = 24


def fused_background(table: ReferenceTable, fused: Fused) -> Table | None:
    """Counts of unrelated and derived pairs per bin of the fused log10 LR, within its bounds, this case's bin marked.

    Only pairs on which every fused probe gave a reading; those that no fold could judge are left out.
    """
    probes = fused.probes
    assessed = fuser(table, probes)
    if assessed is None:
        return None
    judged = np.isfinite(assessed.llr)
    bounds = fused.bounds
    weights = np.clip((assessed.llr[judged] / _LN10).round(6), bounds.lower, bounds.upper)
    derived = table.select(probes).derived[judged]
    edges = np.linspace(bounds.lower, bounds.upper, BINS + 1)
    counts = [np.histogram(weights[kind], edges)[0].tolist() for kind in (~derived, derived)]
    told = tuple(round(float(edge), 6) for edge in edges)
    shown = Histogram(edges=told, unrelated=tuple(counts[0]), derived=tuple(counts[1]))
    here = min(max(shown.bin_of(fused.log10_lr), 0), BINS - 1)
    return Table(
        title=f"Reference pairs by fused log10 LR, out of fold ({table.population}; {', '.join(probes)})",
        columns=("from", "to", "unrelated", "derived", "this case"),
        rows=tuple(
            (told[k], told[k + 1], shown.unrelated[k], shown.derived[k], k == here) for k in range(BINS)
        ),
    )
