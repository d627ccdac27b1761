"""The seven propositions: what makes each stand as it does, and that none ever says more than the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.evidence.considered import Considered
from forensics.evidence.propositions import WORDS, propositions, same_build
from forensics.evidence.verdict import conclude
from forensics.evidence.weighing import weigh
from forensics.readings import Abstention, Aspect, Exact, Group, Measurement, Reason, Sign, SignKind
from forensics.records import Architecture, Finding, Opinion, Proposition, PropositionId, Verdict
from tests.evidence.builders import (
    case,
    finding,
    findings_at,
    measurement,
    reference,
    sign,
    subject,
    subjects,
)
from tests.evidence.test_verdict import AT, BOTH, CHILD, SCALE, STRANGER, fused, voice

TWINS = (("distilled", 9), ("same-initialisation", 9), ("same-recipe", 68))
GAINS = voice(Group.NORM_AND_BIAS)
UNDECIDED = replace(STRANGER, fused=fused(0.3, -0.4, 0.9), unrelated_strata=TWINS)
SILENT = replace(STRANGER, fused=None, smallest_p=None, combined_holm=None, voices=())
REJECTED = replace(UNDECIDED, combined_holm=1e-9, smallest_p=1e-10)
FIRST_LOOK = replace(STRANGER, withheld="This was a first look.")


def of(signs: SignKind) -> tuple[tuple[str, Sign], ...]:
    """One sign of this kind, seen by `p`."""
    return (("p", sign(signs)),)


def looked(aspect: Aspect, value: float = 0.6, p: float | None = None) -> Finding:
    """A finding of a bundled probe that looks at this."""
    exact = None if p is None else Exact(p=p, null_hypothesis="nothing shared", method="closed form")
    told = finding(f"{aspect}-probe", replace(measurement("-", value, exact=exact), group=None))
    return replace(told, probe=replace(told.probe, aspect=aspect), exact=exact)


def drawn(p: float) -> Finding:
    """An exact test of MLP weights in place."""
    exact = Exact(p=p, null_hypothesis="nothing shared", method="closed form")
    return replace(finding("mlp-like", 0.1), exact=exact)


def stood(considered: Considered, *findings: Finding, **told: Any) -> Mapping[PropositionId, Proposition]:
    """The propositions by id, of the opinion that follows, with whatever `told` changes in it."""
    opinion = replace(conclude(considered, AT, SCALE), **told)
    return {one.id: one for one in propositions(considered, opinion, findings, AT)}


SIBLINGS = {"relation": "sibling-or-common-ancestor", "relation_grounds": ("both stem from z",)}
ROUNDED = {
    "relation": "quantised", "direction": "suspect-from-candidate", "direction_grounds": ("it lies on a grid",),
}  # fmt: skip

STUDENT = {"relation": "behavioural-only", "relation_grounds": ("hidden states agree",)}

CASES: list[tuple[PropositionId, str, Considered, tuple[Finding, ...], dict[str, Any]]] = [
    ("derived", "supported", CHILD, (), {}),
    ("derived", "contradicted", STRANGER, (), {}),
    ("derived", "open", UNDECIDED, (), {}),
    ("derived", "untested", SILENT, (), {}),
    ("derived", "untested", FIRST_LOOK, (), {}),
    ("sibling-or-common-ancestor", "supported", CHILD, (), SIBLINGS),
    ("sibling-or-common-ancestor", "contradicted", STRANGER, (), {}),
    ("sibling-or-common-ancestor", "contradicted", CHILD, (), ROUNDED),
    ("sibling-or-common-ancestor", "open", CHILD, (), {}),
    ("sibling-or-common-ancestor", "open", CHILD, (), {**ROUNDED, "relation": "pruned"}),
    ("sibling-or-common-ancestor", "open", UNDECIDED, (), {}),
    ("sibling-or-common-ancestor", "untested", SILENT, (), {}),
    ("shared-initialisation", "supported", replace(CHILD, signs=of(SignKind.SHARED_INITIALISATION)), (), {}),
    ("shared-initialisation", "contradicted", replace(CHILD, voices=(*BOTH, GAINS)), (), {}),
    ("shared-initialisation", "contradicted", STRANGER, (looked(Aspect.INITIALISATION, 0.0, 0.4),), {}),
    ("shared-initialisation", "open", CHILD, (), {}),
    ("shared-initialisation", "open", UNDECIDED, (looked(Aspect.INITIALISATION, 0.99, 1e-9), drawn(1e-9)), {}),
    ("shared-initialisation", "open", STRANGER, (drawn(0.4),), {}),
    ("shared-initialisation", "untested", STRANGER, (), {}),
    ("partial-reuse", "supported", replace(UNDECIDED, signs=of(SignKind.PARTIAL_REUSE)), (), {}),
    ("partial-reuse", "supported", replace(CHILD, voices=(BOTH[0], STRANGER.voices[1])), (), {}),
    ("partial-reuse", "contradicted", CHILD, (), {}),
    ("partial-reuse", "contradicted", STRANGER, (), {}),
    ("partial-reuse", "open", replace(CHILD, voices=tuple(voice(v.group, 0.7) for v in BOTH)), (), {}),
    ("partial-reuse", "open", replace(STRANGER, signs=of(SignKind.PARTIAL_REUSE)), (), {}),
    ("partial-reuse", "open", UNDECIDED, (), {}),
    ("partial-reuse", "untested", SILENT, (), {}),
    ("distilled", "contradicted", CHILD, (looked(Aspect.BEHAVIOUR),), {}),
    ("distilled", "contradicted", REJECTED, (looked(Aspect.BEHAVIOUR),), {}),
    ("distilled", "open", STRANGER, (looked(Aspect.BEHAVIOUR),), {}),
    ("distilled", "supported", STRANGER, (looked(Aspect.BEHAVIOUR),), STUDENT),
    ("distilled", "untested", STRANGER, (), {}),
    ("independent-same-recipe", "supported", replace(STRANGER, unrelated_strata=TWINS), (), {}),
    ("independent-same-recipe", "contradicted", replace(CHILD, unrelated_strata=TWINS), (), {}),
    ("independent-same-recipe", "contradicted", replace(STRANGER, unrelated_strata=TWINS, same_build=False), (), {}),
    ("independent-same-recipe", "contradicted", REJECTED, (), {}),
    ("independent-same-recipe", "open", STRANGER, (), {}),
    ("independent-same-recipe", "open", replace(STRANGER, unrelated_strata=TWINS), (), STUDENT),
    ("independent-same-recipe", "open", replace(CHILD, combined_holm=None), (), {}),
    ("independent-same-recipe", "open", UNDECIDED, (), {}),
    ("independent-same-recipe", "untested", SILENT, (), {}),
    ("independent", "supported", STRANGER, (), {}),
    ("independent", "contradicted", CHILD, (), {}),
    ("independent", "contradicted", REJECTED, (), {}),
    ("independent", "contradicted", replace(UNDECIDED, identical=True), (), {}),
    ("independent", "open", UNDECIDED, (), {}),
    ("independent", "open", STRANGER, (), STUDENT),
    ("independent", "untested", SILENT, (), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "standing", "considered", "findings", "told"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES]
)
def test_each_standing_has_its_case(
    name: PropositionId,
    standing: str,
    considered: Considered,
    findings: tuple[Finding, ...],
    told: dict[str, Any],
) -> None:
    """Every proposition stands as what was found makes it stand, and says why."""
    found = stood(considered, *findings, **told)
    assert list(found) == list(WORDS) == list(get_args(PropositionId))
    assert found[name].standing == standing, found[name]
    assert all(ground.strip() for ground in found[name].grounds)
    assert found[name].grounds


def test_direction_is_told_only_with_grounds() -> None:
    """Descent names its direction with the grounds of it, and says that none is shown where there are none."""
    assert "is not shown" in stood(CHILD)["derived"].grounds[1]
    assert (
        "suspect was made from the candidate (it lies on a grid)"
        in stood(CHILD, **ROUNDED)["derived"].grounds[1]
    )


def test_what_cannot_be_told_apart_is_said() -> None:
    """Descent is not told from siblings, independence neither from its recipe nor from a student, and so on."""
    child = stood(replace(CHILD, voices=(*BOTH, GAINS)))
    assert child["derived"].not_told_from == ("sibling-or-common-ancestor",)
    assert stood(CHILD, **ROUNDED)["derived"].not_told_from == ("shared-initialisation",)
    stranger = stood(replace(STRANGER, unrelated_strata=TWINS))
    assert stranger["independent"].not_told_from == (
        "shared-initialisation",
        "distilled",
        "independent-same-recipe",
    )
    drawn_alike = stood(replace(CHILD, signs=of(SignKind.SHARED_INITIALISATION)))["shared-initialisation"]
    assert drawn_alike.not_told_from == ("derived", "sibling-or-common-ancestor")
    part = stood(replace(CHILD, voices=(BOTH[0], STRANGER.voices[1])))["partial-reuse"]
    assert part.not_told_from == ("sibling-or-common-ancestor",)


def test_a_student_is_told_from_descent_and_from_a_recipe_of_its_own() -> None:
    """Not from a twin of one recipe, which may have seen the same texts."""
    student = stood(replace(STRANGER, unrelated_strata=TWINS), **STUDENT)
    assert student["distilled"].not_told_from == ("shared-initialisation", "independent-same-recipe")
    assert student["derived"].standing == "contradicted"


def test_strangers_probes_and_other_parameters_say_nothing_of_propositions() -> None:
    """Only bundled probes as they come are heard: a plugin cannot make a model look distilled."""
    heard = looked(Aspect.BEHAVIOUR)
    foreign = replace(heard, probe=replace(heard.probe, origin=replace(heard.probe.origin, bundled=False)))
    for deaf in (
        foreign,
        replace(heard, probe=replace(heard.probe, standard=False)),
        replace(heard, candidate="x"),
    ):
        assert stood(STRANGER, deaf)["distilled"].standing == "untested"


def test_an_abstention_gives_the_reason_for_untested() -> None:
    """Where the instrument of behaviour abstained, its reason stands in the ground."""
    heard = looked(Aspect.BEHAVIOUR)
    silent = replace(heard, outcome=Abstention(reason=Reason.MISSING_FILES, detail="no tokenizer.json"))
    assert "no tokenizer.json" in stood(STRANGER, silent)["distilled"].grounds[0]


def test_another_build_is_another_recipe() -> None:
    """Norms, gates or positions of another kind make another build; an unknown architecture decides nothing."""
    llama = Architecture(
        declared="a",
        layout="llama",
        layers=2,
        width=8,
        vocabulary=9,
        heads=2,
        kv_heads=2,
        head_dim=4,
        norm="rms",
    )
    ours = replace(subject("suspect", "suspect"), architecture=llama)
    theirs = replace(subject("base", "candidate"), architecture=replace(llama, layers=4, norm="unknown"))
    assert same_build(ours, theirs) is True
    for other in ({"norm": "layer"}, {"glu": False}, {"rope": False}):
        assert same_build(ours, replace(theirs, architecture=replace(llama, **other))) is False
    assert same_build(ours, subject("base", "candidate")) is None


numbers = st.one_of(st.none(), st.sampled_from([1e-12, 1e-9, 1e-4, 0.2, 1.0]))
weights = st.one_of(
    st.none(), st.sampled_from([fused(1.2, 0.8, 1.3), fused(0.2, -0.5, 0.8), fused(-1.2, -1.3, -0.4)])
)
voices = st.builds(
    lambda group, share, speaks: voice(group, share, speaks=speaks),
    st.sampled_from(Group), st.sampled_from([None, 0.0, 0.3, 0.7, 1.0]), st.booleans(),
)  # fmt: skip
considereds = st.builds(
    Considered,
    candidate=st.just("base"), fused=weights, voices=st.lists(voices, max_size=5).map(tuple),
    signs=st.lists(st.sampled_from(SignKind).map(lambda kind: ("p", sign(kind))), max_size=2).map(tuple),
    smallest_p=numbers, combined_holm=numbers, coverage=st.sampled_from([None, 0.2, 0.7, 1.0]),
    identical=st.booleans(), mlps_comparable=st.booleans(),
    derived_controls=st.sampled_from([(), ("c",)]), withheld=st.sampled_from(["", "", "", "A first look."]),
    unrelated_strata=st.sampled_from([(), TWINS]), same_build=st.sampled_from([None, True, False]),
)  # fmt: skip
heard_of = st.lists(
    st.sampled_from([looked(Aspect.BEHAVIOUR), looked(Aspect.INITIALISATION, 0.9, 1e-9), drawn(1e-9), drawn(0.5),
                     looked(Aspect.INITIALISATION, 0.0, 0.5), looked(Aspect.RECIPE)]), max_size=3,
)  # fmt: skip
explanations: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{}, SIBLINGS, ROUNDED])
MAY_BE_SUPPORTED: Mapping[Verdict, set[str]] = {
    "derived": {"derived", "sibling-or-common-ancestor"},
    "independent": {"independent", "independent-same-recipe"},
    "inconclusive": {"shared-initialisation", "partial-reuse"},
}


@settings(max_examples=400, deadline=None)
@given(considereds, heard_of, explanations)
def test_standings_never_contradict_the_verdict(
    considered: Considered, findings: list[Finding], told: dict[str, Any]
) -> None:
    """Nothing beyond verdict and relation is ever supported, and what is not told apart is mutual."""
    opinion = conclude(considered, AT, SCALE)
    if opinion.verdict == "derived":  # only there does the house explain
        opinion = replace(opinion, **told)
    found = {one.id: one for one in propositions(considered, opinion, findings, AT)}
    supported = {one.id for one in found.values() if one.standing == "supported"}
    assert supported <= MAY_BE_SUPPORTED[opinion.verdict]
    if considered.withheld:
        assert {one.standing for one in found.values()} == {"untested"}
        return
    _consistent(opinion, found, supported)
    for one in found.values():
        assert one.grounds
        assert one.id not in one.not_told_from
        for other in one.not_told_from:
            assert one.id in found[other].not_told_from
            assert "contradicted" not in {one.standing, found[other].standing}


def _consistent(
    opinion: Opinion, found: Mapping[PropositionId, Proposition], supported: set[PropositionId]
) -> None:
    """The two verdicts and the relation are each mirrored by exactly the propositions that they name."""
    if opinion.verdict == "derived":
        assert "derived" in supported
        assert {found["independent"].standing, found["distilled"].standing} == {"contradicted"}
    elif opinion.verdict == "independent":
        assert "independent" in supported
        assert found["derived"].standing == found["sibling-or-common-ancestor"].standing == "contradicted"
    else:
        assert found["derived"].standing in {"open", "untested"}
        assert supported == {opinion.relation} & {"shared-initialisation", "partial-reuse"}


def test_weighing_states_propositions_of_candidates_and_controls() -> None:
    """From findings to the record: seven for every opinion, whatever the order of findings."""
    findings = [*findings_at(0.95), *findings_at(0.05, "other")]
    asked = subjects(("base",), ("other",)), case(("base",), ("other",)), reference()
    made, again = weigh(findings, *asked), weigh(findings[::-1], *asked)
    assert (made.opinions, made.controls) == (again.opinions, again.controls)
    child, stranger = (
        {p.id: p.standing for p in o.propositions} for o in (made.opinions[0], made.controls[0])
    )
    assert (child["derived"], child["independent"]) == ("supported", "contradicted")
    assert (stranger["derived"], stranger["independent"]) == ("contradicted", "supported")
    assert len(child) == len(stranger) == 7


def test_strata_are_those_of_pairs_that_the_fused_probes_read() -> None:
    """Unrelated pairs are counted by kind, over those that every given probe could read."""
    table = reference().table
    assert table is not None
    ((kind, every),) = table.unrelated_strata(["mlp-like"])
    ((_, fewer),) = table.unrelated_strata(["mlp-like", "rare"])
    assert kind == "stranger"
    assert (every, fewer) == (120, 6)


def test_measured_recipe_is_shown_beside_independence() -> None:
    """Readings that follow the recipe stand in the ground of the same recipe, and decide nothing."""
    told = looked(Aspect.RECIPE, 0.93)
    assert isinstance(told.outcome, Measurement)
    with_it, without = (stood(replace(STRANGER, unrelated_strata=TWINS), *f) for f in ((told,), ()))
    assert "0.93" in " ".join(with_it["independent-same-recipe"].grounds)
    assert {n: p.standing for n, p in with_it.items()} == {n: p.standing for n, p in without.items()}
