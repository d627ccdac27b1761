"""Relation and direction: taken over where descent is shown, stated with grounds, never touching the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics.evidence.relation import explained
from forensics.readings import Kinship
from forensics.records import Finding, JointFinding, Opinion
from tests.evidence import builders

ROUNDED = Kinship(
    relation="quantised",
    grounds=("a grid",),
    direction="suspect-from-candidate",
    direction_grounds=("its cells are filled",),
)
MERGED = Kinship(candidate="base", relation="merged", grounds=("half and half",))


def opinion(verdict: str = "derived", relation: str = "undetermined") -> Opinion:
    """An opinion on `base`."""
    return Opinion(
        candidate="base", log10_lr=1.2, lower=1.0, upper=1.3, cap=1.3, verdict=verdict, relation=relation,  # type: ignore[arg-type]
        grounds=("rule",), band="words", because="for a reason", not_meaning="nothing else",
    )  # fmt: skip


def said(*kinship: Kinship, probe: str = "explaining") -> Finding:
    """A finding that explains."""
    return builders.finding(probe, builders.measurement(probe, 0.5, kinship=kinship))


def joint(*kinship: Kinship) -> JointFinding:
    """A finding on several candidates that explains."""
    finding = said(*kinship)
    return JointFinding(probe=finding.probe, candidates=("base", "other"), outcome=finding.outcome)


def test_a_relation_is_stated_with_its_grounds_beside_derived() -> None:
    """Relation, direction and grounds are taken over; number, verdict and rules stay as they are."""
    found = explained(opinion(), [said(ROUNDED)], [])
    assert (found.relation, found.direction) == ("quantised", "suspect-from-candidate")
    assert (found.relation_grounds, found.direction_grounds) == (("a grid",), ("its cells are filled",))
    assert found.not_meaning != "nothing else"
    back = replace(
        found, relation="undetermined", relation_grounds=(), direction="undetermined", direction_grounds=(),
        not_meaning="nothing else",
    )  # fmt: skip
    assert back == opinion()


@pytest.mark.parametrize("verdict", ["independent", "inconclusive"])
def test_nothing_is_explained_beside_another_verdict(verdict: str) -> None:
    """Where descent is not shown there is no relation to explain."""
    asked = opinion(verdict)
    assert explained(asked, [said(ROUNDED)], [joint(MERGED)]) == asked


def test_several_candidates_together_stand_above_one() -> None:
    """A merge reads like a fine-tune of each parent, and a sibling like one too: what is said together decides."""
    tuned = said(Kinship(relation="fine-tuned", grounds=("a dense difference",)))
    merged = explained(opinion(), [tuned], [joint(MERGED)])
    assert merged.relation == "merged"
    assert merged.relation_grounds == ("half and half", "a dense difference")
    aside = explained(
        opinion(), [tuned], [joint(Kinship(candidate="base", grounds=("only what a third has",)))]
    )
    assert aside.relation == "undetermined"
    others = explained(opinion(), [tuned], [joint(replace(MERGED, candidate="other"))])
    assert others.relation == "fine-tuned"


def test_contradicting_directions_are_undetermined() -> None:
    """Two grounds that point both ways are shown, and no direction is stated."""
    back = replace(ROUNDED, direction="candidate-from-suspect", direction_grounds=("zeros",))
    found = explained(opinion(), [said(ROUNDED), said(back, probe="other")], [])
    assert found.direction == "undetermined"
    assert found.direction_grounds[1:] == ("its cells are filled", "zeros")
    assert found.not_meaning == "nothing else"


def test_equal_samples_are_not_called_identical() -> None:
    """Only digests make two models identical; what a sample shows stands in the grounds."""
    equal = Kinship(relation="identical", grounds=("all sampled entries are equal",))
    found = explained(opinion(), [said(equal)], [])
    assert (found.relation, found.relation_grounds) == ("undetermined", equal.grounds)
    assert explained(opinion(relation="identical"), [said(ROUNDED)], []).relation == "identical"


def test_strangers_and_changed_instruments_explain_nothing() -> None:
    """A third party's probe, or one with other parameters, is shown and not taken over."""
    finding = said(ROUNDED)
    for probe in (
        replace(finding.probe, standard=False),
        replace(finding.probe, origin=replace(finding.probe.origin, bundled=False)),
    ):
        strange = JointFinding(probe=probe, candidates=("base",), outcome=joint(MERGED).outcome)
        assert explained(opinion(), [replace(finding, probe=probe)], [strange]) == opinion()


def test_a_finding_on_another_candidate_is_not_this_ones() -> None:
    """Each opinion takes over what is said of its own candidate."""
    other = replace(said(ROUNDED), candidate="other")
    assert explained(opinion(), [other], []) == opinion()
