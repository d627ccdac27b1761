"""Candidates among each other: weighed as cases of their own, and told in the opinions that they leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from forensics.evidence.among import CandidatePair, among
from forensics.evidence.weighing import Weighed, weigh
from forensics.readings import Kinship
from forensics.records import Finding, JointFinding, Opinion
from tests.evidence.builders import (
    abstention,
    case,
    exact,
    finding,
    findings_at,
    measurement,
    reference,
    sign,
    subject,
    subjects,
)

LABELS = ("base", "near", "far")


def pair(first: str, second: str, findings: Sequence[Finding], **more: str) -> CandidatePair:
    """A pair of candidates with these findings on the second."""
    sides = (subject(label, "candidate", digest=more.get(label, "")) for label in (first, second))
    one, other = sides
    return CandidatePair(first=one, second=other, findings=tuple(findings))


def suspect_of(*labels: str, value: float = 0.95) -> Weighed:
    """The weighing of a suspect that reads `value` against each of these candidates."""
    findings = [one for label in labels for one in findings_at(value, label)]
    return weigh(findings, subjects(labels), case(labels), reference())


def opinions(found: Weighed) -> dict[str, Opinion]:
    """By candidate."""
    return {opinion.candidate: opinion for opinion in found.opinions}


def together(*kinship: Kinship, bundled: bool = True) -> JointFinding:
    """A finding on several candidates with these ties."""
    reading = measurement("explaining", 0.5, kinship=kinship)
    probe = finding("explaining", reading).probe
    origin = replace(probe.origin, bundled=bundled)
    return JointFinding(probe=replace(probe, origin=origin), candidates=LABELS, outcome=reading)


def test_pair_is_weighed_as_a_case_of_its_own() -> None:
    """Number, verdict, reason and coverage are those of a case with `first` as the suspect; absences have reasons."""
    alone = weigh(findings_at(0.95, "near"), subjects(("near",)), case(("near",)), reference()).opinions[0]
    own = [*findings_at(0.95, "near"), finding("rare", abstention(), "near")]
    found = among(suspect_of("base", "near"), [pair("base", "near", own)], reference())
    (told,) = found.candidate_relations
    assert told.verdict == "derived"
    assert (told.log10_lr, told.lower, told.upper, told.cap) == (
        alone.log10_lr, alone.lower, alone.upper, alone.cap,
    )  # fmt: skip
    assert (told.because, told.coverage, told.population) == (
        alone.because,
        alone.coverage,
        alone.population,
    )
    lines = {one.probe: one for one in told.readings}
    assert lines["rare"].absence == "missing-tensors"
    assert (lines["rare"].value, lines["rare"].log10_lr) == (None, None)
    assert lines["mlp-like"].value == 0.95
    assert (lines["mlp-like"].log10_lr or 0.0) > 0.0


def test_exact_tests_are_corrected_over_pairs_apart_from_the_suspect() -> None:
    """Holm's correction counts the exact tests of all pairs, and those of the suspect keep theirs."""
    reading = measurement("mlp-like", 0.2, exact=exact(0.01))
    suspect = weigh([finding("mlp-like", reading)], subjects(), case(), reference())
    pairs = [
        pair(a, b, [finding("mlp-like", reading, b)])
        for a, b in (("base", "near"), ("base", "far"), ("near", "far"))
    ]
    found = among(suspect, pairs, reference())
    assert [told.exact.p_holm for told in found.candidate_relations if told.exact] == [0.03] * 3
    assert found.findings == suspect.findings
    assert found.opinions == suspect.opinions


def test_opinion_on_a_related_candidate_names_the_relative() -> None:
    """Where a relative would look alike the opinion says so, once for all relatives; verdict and number stay."""
    weighed = suspect_of(*LABELS)
    pairs = [
        pair("base", "near", findings_at(0.95, "near")),
        pair("base", "far", findings_at(0.95, "far")),
        pair("near", "far", findings_at(0.05, "far")),
    ]
    found = opinions(among(weighed, pairs, reference()))
    (ground,) = found["base"].relation_grounds
    assert "near and far; descent from base cannot be told from descent from these" in ground
    assert "base; descent from near cannot be told from descent from it" in found["near"].relation_grounds[0]
    assert [replace(o, relation_grounds=()) for o in found.values()] == list(weighed.opinions)


def test_unrelated_candidates_leave_the_opinions_alone() -> None:
    """A pair that is independent or not concluded adds nothing, nor does a related pair to another verdict."""
    weighed = suspect_of("base", "near")
    for value in (0.05, 0.5):
        found = among(weighed, [pair("base", "near", findings_at(value, "near"))], reference())
        assert found.candidate_relations[0].verdict != "derived"
        assert found.opinions == weighed.opinions
    strange = suspect_of("base", "near", value=0.05)
    assert [o.verdict for o in strange.opinions] == ["independent"] * 2
    found = among(strange, [pair("base", "near", findings_at(0.95, "near"))], reference())
    assert found.candidate_relations[0].verdict == "derived"
    assert found.opinions == strange.opinions


def test_identical_candidates_are_relatives_whatever_the_readings() -> None:
    """Equal files make two candidates one, without any reading and whatever is said of them together."""
    twins = pair("base", "near", [finding("mlp-like", abstention(), "near")], base="same", near="same")
    tie = Kinship(candidate="near", grounds=("shared",), explained_by="base")
    found = among(suspect_of("base", "near"), [twins], reference(), [together(tie)])
    assert (found.candidate_relations[0].verdict, found.candidate_relations[0].relation) == (
        "inconclusive", "identical",
    )  # fmt: skip
    assert all("cannot be told" in o.relation_grounds[-1] for o in found.opinions)


APART = {
    "one explains the other": ((Kinship(candidate="near", explained_by="base"),), True),
    "the other way round": ((Kinship(candidate="base", explained_by="near"),), True),
    "a third explains one": ((Kinship(candidate="near", explained_by="far"),), False),
    "a merge of both": (tuple(Kinship(candidate=c, relation="merged") for c in ("base", "near")), True),
    "a merge of one and a third": (
        tuple(Kinship(candidate=c, relation="merged") for c in ("far", "near")),
        False,
    ),
    "nothing": ((), False),
}


@pytest.mark.parametrize(("ties", "apart"), APART.values(), ids=APART)
def test_what_is_said_together_tells_relatives_apart(ties: tuple[Kinship, ...], *, apart: bool) -> None:
    """No warning where the suspect shares with one only what it shares with the other, or is a merge of both."""
    pairs = [pair("base", "near", findings_at(0.95, "near"))]
    found = among(suspect_of("base", "near"), pairs, reference(), [together(*ties)])
    assert [not o.relation_grounds for o in found.opinions] == [apart, apart]
    strange = among(suspect_of("base", "near"), pairs, reference(), [together(*ties, bundled=False)])
    assert all(o.relation_grounds for o in strange.opinions)


def test_alarms_of_the_case_hold_for_pairs() -> None:
    """A control that came out derived, and noise taken for kin, withdraw `derived` from pairs too."""
    pairs = [pair("base", "near", findings_at(0.95, "near"))]
    noisy = among(suspect_of("base", "near"), pairs, reference(), (), ("mlp-like took noise for kin.",))
    assert noisy.candidate_relations[0].verdict == "inconclusive"
    assert noisy.candidate_relations[0].because.startswith("mlp-like took noise for kin.")
    findings = [one for label in ("base", "near", "ctl") for one in findings_at(0.95, label)]
    weighed = weigh(
        findings, subjects(("base", "near"), ("ctl",)), case(("base", "near"), ("ctl",)), reference()
    )
    (told,) = among(weighed, pairs, reference()).candidate_relations
    assert (told.verdict, "ctl" in told.because) == ("inconclusive", True)


def test_sign_on_a_pair_restrains_its_verdict() -> None:
    """The rules of a pair are the rules of the case: an unresolved sign keeps `derived` away."""
    part = measurement("mlp-like", 0.95, layers=[0.0] * 4, signs=(sign("partial-reuse"),))
    others = [one for one in findings_at(0.95, "near") if one.probe.id != "mlp-like"]
    own = [*others, finding("mlp-like", part, "near")]
    (told,) = among(suspect_of("base", "near"), [pair("base", "near", own)], reference()).candidate_relations
    assert (told.verdict, told.relation) == ("inconclusive", "partial-reuse")
