"""The rules of the verdict, one flipped at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forensics.evidence.bounds import Bounds
from forensics.evidence.considered import Considered
from forensics.evidence.fusion import Fused
from forensics.evidence.scale import load_scale
from forensics.evidence.speaking import Voice
from forensics.evidence.thresholds import load_thresholds
from forensics.evidence.verdict import DERIVED, INDEPENDENT, conclude
from forensics.readings import Group, SignKind
from forensics.records import Opinion
from tests.evidence.builders import sign

AT, SCALE = load_thresholds(), load_scale()


def fused(log10_lr: float, lower: float, upper: float) -> Fused:
    """A fused weight with a cap of 1.3."""
    return Fused(
        log10_lr=log10_lr, lower=lower, upper=upper, bounds=Bounds(lower=-1.3, upper=1.3),
        contributions=(), cllr=0.2, families=20, outside=(), left_out=(),
    )  # fmt: skip


def voice(group: Group, share: float | None = 1.0, *, speaks: bool = True) -> Voice:
    """A voice of this group."""
    return Voice(probe=f"{group}-probe", group=group, speaks=speaks, layer_share=share, how="as measured")


BOTH = (voice(Group.ATTENTION), voice(Group.MLP))
CHILD = Considered(
    candidate="base", fused=fused(1.2, 0.8, 1.3), voices=BOTH, signs=(), smallest_p=1e-12, combined_holm=1e-11,
    coverage=0.6, identical=False, derived_controls=(),
)  # fmt: skip
STRANGER = replace(
    CHILD, fused=fused(-1.2, -1.3, -0.4), smallest_p=0.2, combined_holm=1.0, coverage=0.95,
    voices=tuple(voice(v.group, 0.0, speaks=False) for v in BOTH),
)  # fmt: skip


def verdict(case: Considered, **changed: Any) -> str:
    """The verdict after changing some of what is considered."""
    return conclude(replace(case, **changed), AT, SCALE).verdict


def opinion(case: Considered, **changed: Any) -> Opinion:
    """The whole opinion."""
    return conclude(replace(case, **changed), AT, SCALE)


def test_all_rules_met() -> None:
    """With every rule met a child is derived and a stranger independent."""
    assert verdict(CHILD) == "derived"
    assert verdict(STRANGER) == "independent"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"fused": fused(0.99, 0.8, 1.3)}, id="weight below ten"),
        pytest.param({"fused": fused(1.2, 0.0, 1.3)}, id="interval reaches nothing"),
        pytest.param({"fused": None}, id="no calibrated probe"),
        pytest.param({"voices": BOTH[:1]}, id="one group only"),
        pytest.param({"voices": (voice(Group.MLP), voice(Group.MLP))}, id="one group twice"),
        pytest.param(
            {"voices": (voice(Group.MLP), voice(Group.NORM_AND_BIAS, speaks=False))}, id="second silent"
        ),
        pytest.param(
            {"voices": (voice(Group.EMBEDDING), voice(Group.NORM_AND_BIAS))}, id="neither MLP nor attention"
        ),
        pytest.param({"voices": tuple(voice(v.group, 0.49) for v in BOTH)}, id="too few layers"),
        pytest.param({"voices": tuple(voice(v.group, None) for v in BOTH)}, id="layers unknown"),
        pytest.param(
            {"voices": (voice(Group.MLP), voice(Group.EMBEDDING), voice(Group.ATTENTION, speaks=False))},
            id="MLP speaks and attention does not",
        ),
        pytest.param({"coverage": 0.49}, id="half unread"),
        pytest.param({"coverage": None}, id="coverage unknown"),
        pytest.param({"derived_controls": ("stranger",)}, id="a control came out derived"),
        pytest.param({"signs": (("p", sign(SignKind.SHARED_INITIALISATION)),)}, id="shared initialisation"),
        pytest.param(
            {
                "signs": (("p", sign(SignKind.PARTIAL_REUSE)),),
                "voices": (voice(Group.MLP), voice(Group.EMBEDDING)),
            },
            id="partial reuse",
        ),
    ],
)
def test_one_unmet_rule_takes_derived_away(changed: dict[str, Any]) -> None:
    """Each rule of decision 2 alone turns derived into inconclusive, and leaves its line in the grounds."""
    found = opinion(CHILD, **changed)
    assert found.verdict == "inconclusive"
    assert sum(line.startswith("For derived, not met") for line in found.grounds) == 1
    assert len(found.grounds) == len(DERIVED) + len(INDEPENDENT)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"coverage": 0.5}, id="coverage at its edge"),
        pytest.param({"voices": tuple(voice(v.group, 0.5) for v in BOTH)}, id="layers at their edge"),
        pytest.param({"voices": (voice(Group.MLP), voice(Group.EMBEDDING, None))}, id="MLP and embedding"),
        pytest.param({"signs": (("p", sign(SignKind.TAMPERING)),)}, id="tampering does not protect"),
        pytest.param({"signs": (("p", sign(SignKind.PARTIAL_REUSE)),)}, id="partial reuse answered"),
        pytest.param(
            {
                "signs": (("p", sign(SignKind.SHARED_INITIALISATION)),),
                "voices": (*BOTH, voice(Group.NORM_AND_BIAS)),
            },
            id="initialisation answered by trained gains",
        ),
        pytest.param({"fused": fused(1.0, 0.01, 1.3)}, id="weight at its edge"),
    ],
)
def test_derived_withstands(changed: dict[str, Any]) -> None:
    """Values on a threshold meet it, and answered signs restrain nothing."""
    assert verdict(CHILD, **changed) == "derived"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"fused": fused(-0.99, -1.3, -0.4)}, id="weight above a tenth"),
        pytest.param({"fused": fused(-1.2, -1.3, 0.0)}, id="interval reaches nothing"),
        pytest.param({"fused": None}, id="no calibrated probe"),
        pytest.param({"coverage": 0.89}, id="a tenth unread"),
        pytest.param({"coverage": None}, id="coverage unknown"),
        pytest.param({"smallest_p": 1e-3}, id="an exact test objects, uncorrected"),
        pytest.param({"voices": STRANGER.voices[:1]}, id="MLP not measured"),
        pytest.param({"voices": STRANGER.voices[1:]}, id="attention not measured"),
        pytest.param({"other_weights": ("model.safetensors",)}, id="other weights lie unread"),
        pytest.param({"signs": (("p", sign(SignKind.TAMPERING)),)}, id="tampering"),
    ],
)
def test_one_unmet_rule_takes_independent_away(changed: dict[str, Any]) -> None:
    """Each rule of decision 3 alone turns independent into inconclusive, and leaves its line in the grounds."""
    found = opinion(STRANGER, **changed)
    assert found.verdict == "inconclusive"
    assert sum(line.startswith("For independent, not met") for line in found.grounds) == 1


def test_independent_withstands_absent_tests_and_alarmed_controls() -> None:
    """A case without exact tests may be independent, and an alarmed control does not turn a stranger away."""
    assert verdict(STRANGER, smallest_p=None, combined_holm=None, derived_controls=("c",)) == "independent"


def test_exact_rejection_without_derivation_is_said_in_words() -> None:
    """An exact rejection without rule 2 reads as shared ancestry or initialisation, derivation not shown."""
    found = opinion(CHILD, voices=BOTH[:1])
    assert found.because.startswith("They share ancestry or initialisation; derivation is not shown")
    weaker = opinion(CHILD, voices=BOTH[:1], combined_holm=1e-5)
    assert "share ancestry" not in weaker.because


def test_identical_files_are_said_first() -> None:
    """Identical weight files head the grounds and the relation, and the verdict still follows the rules."""
    found = opinion(CHILD, identical=True)
    assert (found.relation, found.verdict) == ("identical", "derived")
    assert "identical" in found.grounds[0]
    assert opinion(CHILD, identical=True, coverage=0.1).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("kind", "relation"),
    [
        (SignKind.SHARED_INITIALISATION, "shared-initialisation"),
        (SignKind.PARTIAL_REUSE, "partial-reuse"),
        (SignKind.TAMPERING, "undetermined"),
    ],
)
def test_relation_needs_grounds(kind: SignKind, relation: str) -> None:
    """A relation is named only where an unresolved sign carries it; a derived one stays undetermined."""
    lone = (voice(Group.MLP),)
    assert opinion(CHILD, signs=(("p", sign(kind)),), voices=lone).relation == relation
    assert opinion(CHILD).relation == "undetermined"


def test_initialisation_is_answered_only_by_gains_and_biases_together() -> None:
    """Biases that agree beside gains that do not leave a shared initialisation open: biases remember it."""
    signs = (("p", sign(SignKind.SHARED_INITIALISATION)),)
    gains, biases = voice(Group.NORM_AND_BIAS, speaks=False), voice(Group.NORM_AND_BIAS)
    assert verdict(CHILD, signs=signs, voices=(*BOTH, biases, biases)) == "derived"
    assert verdict(CHILD, signs=signs, voices=(*BOTH, gains, biases)) == "inconclusive"


def test_one_reused_part_is_told_from_a_shared_initialisation() -> None:
    """MLPs above strangers layer by layer beside strange attention are partial reuse, not an initialisation."""
    signs = (("p", sign(SignKind.SHARED_INITIALISATION)),)
    strange = voice(Group.ATTENTION, 0.0, speaks=False)
    assert opinion(CHILD, signs=signs, voices=(voice(Group.MLP), strange)).relation == "partial-reuse"
    by_p_alone = opinion(CHILD, signs=signs, voices=(voice(Group.MLP, 0.0), strange))
    assert by_p_alone.relation == "shared-initialisation"


def test_altered_gains_keep_derived_away_without_naming_an_initialisation() -> None:
    """Gains of altered weights disagree whatever the ancestry: the sign restrains, and no relation is named."""
    signs = (("p", sign(SignKind.SHARED_INITIALISATION)), ("q", sign(SignKind.TAMPERING)))
    found = opinion(CHILD, signs=signs)
    assert (found.verdict, found.relation) == ("inconclusive", "undetermined")
    assert opinion(CHILD, signs=signs[:1]).relation == "shared-initialisation"


def test_padding_outside_the_layers_does_not_make_up_for_what_was_not_read() -> None:
    """A vocabulary of zeros raises the coverage; what was read in layers, against what was not read, decides."""
    assert opinion(STRANGER, layer_coverage=0.95).verdict == "independent"
    padded = opinion(STRANGER, layer_coverage=0.5)
    assert padded.verdict == "inconclusive"
    assert "50.0% of the layers" in padded.because


def test_withheld_opinion_says_only_why() -> None:
    """Where nothing can be concluded, the rules may all be met and the reason comes first."""
    for case in (CHILD, STRANGER):
        assert (opinion(case, withheld="Why.").verdict, opinion(case, withheld="Why.").because) == (
            "inconclusive", "Why.",
        )  # fmt: skip


def test_reason_comes_first() -> None:
    """An inconclusive opinion gives the first rule that stands in the way, on the side the weight leans to."""
    assert opinion(CHILD, fused=None, combined_holm=None).because.startswith("Weight: no calibrated probe")
    assert "coverage" in opinion(STRANGER, coverage=0.7).because.lower()
    assert "tensor groups" in opinion(CHILD, voices=(), combined_holm=None).because.lower()


def test_without_weight_nothing_is_stated() -> None:
    """Where no calibrated probe spoke there is no number, no band and no verdict."""
    found = opinion(CHILD, fused=None)
    assert (found.log10_lr, found.lower, found.upper, found.cap, found.cllr) == (None,) * 5
    assert (found.verdict, found.band) == ("inconclusive", "not stated")


@pytest.mark.parametrize("case", [CHILD, STRANGER, replace(CHILD, fused=None)])
def test_every_opinion_says_what_it_does_not_mean(case: Considered) -> None:
    """One sentence each for the deciding reason and for what is not meant."""
    found = conclude(case, AT, SCALE)
    assert found.because.endswith(".")
    assert found.not_meaning.startswith("This ")
    assert found.not_meaning.count(". ") == 0
