"""When a tensor group speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forensics.evidence.exact import enter_exact, holm
from forensics.evidence.speaking import Voice, ceiling_for, listen
from forensics.evidence.thresholds import load_thresholds
from forensics.readings import Measurement
from tests.evidence.builders import exact, finding, measurement, table

AT = load_thresholds()
TABLE = table()
HIGHEST = ceiling_for(TABLE, "mlp-like", 128.0, AT)


def voice(measured: Measurement) -> Voice:
    """The one voice of a measurement by `mlp-like`."""
    (heard,) = listen(enter_exact([finding("mlp-like", measured)]), TABLE, AT)
    return heard


def test_above_every_comparable_unrelated_pair() -> None:
    """A reading speaks above the largest unrelated one within a factor two of the width, and not at it."""
    assert HIGHEST.reading is not None
    near = (TABLE.widths >= 64) & (TABLE.widths <= 256) & ~TABLE.derived
    assert HIGHEST.reading == np.nanmax(TABLE.readings[near, TABLE.probes.index("mlp-like")])
    assert voice(measurement("mlp-like", HIGHEST.reading + 1e-4)).speaks
    assert not voice(measurement("mlp-like", HIGHEST.reading)).speaks


@pytest.mark.parametrize(("p", "speaks"), [(1e-6, True), (1.1e-6, False)])
def test_exact_p_value(p: float, speaks: bool) -> None:
    """A low reading speaks by an exact p of at most one in a million."""
    assert voice(measurement("mlp-like", 0.0, exact=exact(p))).speaks is speaks


def test_correction_counts_every_test() -> None:
    """A p-value that would do alone does not do among ten tests of the case."""
    findings = [finding("mlp-like", measurement("mlp-like", 0.0, exact=exact(5e-7)))]
    findings += [finding(f"other-{k}", measurement("x", 0.0, exact=exact(0.5))) for k in range(9)]
    (heard,) = listen(enter_exact(findings), TABLE, AT)
    assert not heard.speaks


def test_layers_are_counted_against_unrelated_layers() -> None:
    """The share counts layers above every comparable unrelated layer; layers without a reading do not speak."""
    assert HIGHEST.layer is not None
    above, below = min(HIGHEST.layer + 0.01, 1.0), HIGHEST.layer - 0.01
    mixed = replace(measurement("mlp-like", 0.9), layers=(above, below, None, above))
    assert voice(mixed).layer_share == 0.5
    assert voice(replace(mixed, layers=())).layer_share is None


def test_wider_case_is_held_against_all_narrower_pairs() -> None:
    """At 4096 no pair is near, so the stricter ceiling of all narrower pairs holds."""
    wide = ceiling_for(TABLE, "mlp-like", 4096.0, AT)
    assert wide.reading == np.nanmax(TABLE.readings[~TABLE.derived, TABLE.probes.index("mlp-like")])


@pytest.mark.parametrize("width", [None, 0, -3, True, "128", 16])
def test_unknown_or_narrow_width_has_no_ceiling(width: object) -> None:
    """A width that is missing, absurd or below the reference leaves only the exact test."""
    odd = replace(measurement("mlp-like", 0.99), facts={"width": width})  # type: ignore[dict-item]
    assert not voice(odd).speaks
    assert voice(odd).layer_share is None


def test_too_few_cells_are_no_ceiling() -> None:
    """Being above a handful of pairs says nothing: `rare` has six unrelated cells, fewer than asked."""
    assert ceiling_for(TABLE, "rare", 128.0, AT).reading is None


def test_holm_by_hand() -> None:
    """Holm's example: 0.01, 0.04, 0.03, 0.005 of four tests become 0.03, 0.06, 0.06, 0.02, never below the floor."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([1e-12]) == [1e-12]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
