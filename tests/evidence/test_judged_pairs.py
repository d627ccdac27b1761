"""Reference pairs by their fused weight: the population that a fused weight is read against."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.evidence.fusion import fuse, fuser
from forensics.evidence.judged_pairs import BINS, fused_background
from tests.evidence.builders import table

TABLE = table()
COMMON = ("attention-like", "gains-like", "mlp-like")


@pytest.mark.parametrize("reading", [-0.2, 0.5, 0.99])
def test_every_judged_pair_is_counted_once_and_the_case_marked_once(reading: float) -> None:
    """Counts add up to the pairs that a fold could judge; bins ascend from bound to bound; one is the case's."""
    fused = fuse(TABLE, dict.fromkeys(COMMON, reading), 11)
    assert fused is not None
    found = fused_background(TABLE, fused)
    assessed = fuser(TABLE, fused.probes)
    assert found is not None
    assert assessed is not None
    rows = np.array(found.rows, float)
    derived = TABLE.select(fused.probes).derived[np.isfinite(assessed.llr)]
    assert (rows[:, 2].sum(), rows[:, 3].sum()) == ((~derived).sum(), derived.sum())
    assert (rows[1:, 0] == rows[:-1, 1]).all()
    assert (rows[0, 0], rows[-1, 1]) == pytest.approx((fused.bounds.lower, fused.bounds.upper), abs=1e-6)
    (here,) = np.flatnonzero(rows[:, 4])
    assert rows[here, 0] - 1e-6 <= fused.log10_lr <= rows[here, 1] + 1e-6
    assert len(rows) == BINS


def test_the_title_names_population_and_probes() -> None:
    """Whoever reads the counts sees which pairs they are and which probes were fused."""
    fused = fuse(TABLE, dict.fromkeys(COMMON[:2], 0.5), 11)
    assert fused is not None
    found = fused_background(TABLE, fused)
    assert found is not None
    assert TABLE.population in found.title
    assert ", ".join(fused.probes) in found.title
