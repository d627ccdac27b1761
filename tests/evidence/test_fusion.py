"""Fusing what answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.evidence.calibration import INTERCEPT
from forensics.evidence.fusion import choose, fuse, fuser, omissions
from forensics.evidence.library import load_reference
from forensics.evidence.thresholds import load_thresholds
from tests.evidence.builders import table

TABLE = table()
COMMON = ("attention-like", "gains-like", "mlp-like")


def test_contributions_add_up() -> None:
    """The probes' shares and the intercept sum to the log10 LR before its bounds."""
    fused = fuse(TABLE, dict.fromkeys(COMMON, 0.45), 11)
    assert fused is not None
    assert [share.probe for share in fused.contributions] == [*COMMON, INTERCEPT]
    assert abs(fused.log10_lr) < fused.bounds.cap
    assert sum(share.log10_lr for share in fused.contributions) == pytest.approx(fused.log10_lr, abs=1e-3)


def test_a_missing_probe_is_left_out_and_not_filled_in() -> None:
    """Without a probe the fuser is another one, fitted without its column, with a cost of its own."""
    full, part = (fuse(TABLE, dict.fromkeys(probes, 0.85), 11) for probes in (COMMON, COMMON[:1]))
    assert full is not None
    assert part is not None
    assert [share.probe for share in part.contributions] == [COMMON[0], INTERCEPT]
    assert part.cllr > full.cllr
    assert part.contributions[0].log10_lr > full.contributions[0].log10_lr


def test_a_probe_few_families_have_is_not_fused() -> None:
    """A reading that would shrink the reference to four families is named and left out."""
    assert choose(TABLE, [*COMMON, "rare"], 11) == COMMON
    assert choose(TABLE, ["rare"], 11) == ("rare",)
    fused = fuse(TABLE, dict.fromkeys([*COMMON, "rare"], 0.6), 11)
    assert fused is not None
    assert fused.left_out == ("rare",)
    assert fused.families == 16


def test_four_families_cannot_carry_more_than_their_log() -> None:
    """A fused weight from four families stays within log10 4, whatever the reading."""
    fused = fuse(TABLE, {"rare": 0.99}, 11)
    assert fused is not None
    assert fused.log10_lr <= 0.602
    assert fused.families == 4


def test_unknown_probes_change_nothing() -> None:
    """Readings without a column in the table have no say."""
    known = dict.fromkeys(COMMON, 0.5)
    assert fuse(TABLE, known | {"unheard-of": 0.99}, 11) == fuse(TABLE, known, 11)
    assert fuse(TABLE, {"unheard-of": 0.99}, 11) is None


def test_stretching_is_named() -> None:
    """A reading beyond every reference pair is reported as an extrapolation."""
    fused = fuse(TABLE, dict.fromkeys(COMMON, 0.5) | {"mlp-like": -0.999}, 11)
    assert fused is not None
    assert fused.outside == ("mlp-like",)


def test_refitting_gives_the_same_numbers() -> None:
    """A fuser fitted again from the same table is the same to the last bit."""
    first = fuse(TABLE, dict.fromkeys(COMMON, 0.5), 11)
    fuser.cache_clear()
    assert fuse(TABLE, dict.fromkeys(COMMON, 0.5), 11) == first


reading = st.floats(-1, 1, allow_nan=False)


@given(reading, reading, reading, reading)
@settings(deadline=None)
def test_more_likeness_never_weighs_less(one: float, two: float, three: float, more: float) -> None:
    """Raising one reading lowers neither the fused weight nor its interval; all stay within the cap."""
    low, high = min(three, more), max(three, more)
    before, after = (
        fuse(TABLE, dict(zip(COMMON, (one, two, last), strict=True)), 11) for last in (low, high)
    )
    assert before is not None
    assert after is not None
    for fused in (before, after):
        cap = fused.bounds.cap
        assert -cap <= fused.lower <= fused.log10_lr <= fused.upper <= cap
    assert before.log10_lr <= after.log10_lr
    assert before.lower <= after.lower
    assert before.upper <= after.upper


def test_omissions_are_what_fusing_the_others_gives() -> None:
    """Each fused probe's omission is the fusion of the others, fitted again; a lone probe has none."""
    readings = dict.fromkeys(COMMON, 0.45)
    fused = fuse(TABLE, readings, 11)
    assert fused is not None
    told = omissions(TABLE, readings, fused, 11)
    assert [one.probe for one in told] == list(COMMON)
    for one in told:
        rest = fuse(TABLE, {p: v for p, v in readings.items() if p != one.probe}, 11)
        assert rest is not None
        assert (one.log10_lr, one.lower, one.upper) == (rest.log10_lr, rest.lower, rest.upper)
    lone = fuse(TABLE, {COMMON[0]: 0.9}, 11)
    assert lone is not None
    assert omissions(TABLE, {COMMON[0]: 0.9}, lone, 11) == ()


def test_without_its_only_anchor_nothing_is_fused() -> None:
    """The omission of the one probe that lets recipe-like readings be fused says that nothing would be stated."""
    anchored = replace(TABLE, anchors=(COMMON[0],))
    readings = dict.fromkeys(COMMON[:2], 0.9)
    fused = fuse(anchored, readings, 11)
    assert fused is not None
    told = {one.probe: one.log10_lr for one in omissions(anchored, readings, fused, 11)}
    assert told[COMMON[0]] is None
    assert told[COMMON[1]] is not None


SHARED = replace(TABLE, votes={"likeness": ("attention-like", "gains-like")})


def test_probes_of_one_vote_are_counted_once() -> None:
    """Whichever of them sees most speaks and is named with the others; the fit has one column for both."""
    readings = {"attention-like": 0.3, "gains-like": 0.7, "mlp-like": 0.6}
    fused = fuse(SHARED, readings, 11)
    assert fused is not None
    told = {share.probe: share.instead_of for share in fused.contributions}
    assert told == {"gains-like": ("attention-like",), "mlp-like": (), INTERCEPT: ()}
    assert SHARED.select(COMMON).features.shape[1] == 2
    louder = fuse(SHARED, readings | {"attention-like": 0.69}, 11)
    assert louder is not None
    assert louder.log10_lr == fused.log10_lr, "the quieter of the two has no say"


def test_a_vote_goes_on_with_whoever_answered() -> None:
    """Without one member the other votes alone, fitted as in a table that never had the first."""
    readings = {"gains-like": 0.7, "mlp-like": 0.6}
    fused, alone = (fuse(one, readings, 11) for one in (SHARED, TABLE))
    assert fused == alone
    both = fuse(SHARED, readings | {"attention-like": 0.2}, 11)
    assert both is not None
    omitted = {one.probe: one for one in omissions(SHARED, readings | {"attention-like": 0.2}, both, 11)}
    assert set(omitted) == set(COMMON), "the quieter member's omission is told too"


@given(reading, reading, reading, reading)
@settings(deadline=None)
def test_sharing_a_vote_stays_monotone(one: float, two: float, three: float, more: float) -> None:
    """Raising any member's reading never lowers the fused weight."""
    low, high = min(one, more), max(one, more)
    before, after = (fuse(SHARED, dict(zip(COMMON, (at, two, three), strict=True)), 11) for at in (low, high))
    assert before is not None
    assert after is not None
    assert before.log10_lr <= after.log10_lr


def test_no_unrelated_pair_of_the_reference_can_come_out_derived() -> None:
    """Every pair as a case of its own: no unrelated one reaches a ratio above 1, and most derived ones reach 10."""
    held = load_reference().table
    assert held is not None
    least = int(load_thresholds().fusion_families)
    reached = []
    for readings, derived in zip(held.readings, held.derived, strict=True):
        told = {p: float(r) for p, r in zip(held.probes, readings, strict=True) if np.isfinite(r)}
        fused = fuse(held, told, least)
        if fused is not None and derived:
            reached.append(fused.log10_lr >= 1.0)
        elif fused is not None:
            assert fused.log10_lr < 0.0
    assert np.mean(reached) > 0.9
