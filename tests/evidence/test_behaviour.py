"""Behaviour against controls and reference: margins, the relation behavioural-only, and that no verdict moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from forensics.evidence.behaviour import ON_PURPOSE, against_controls, behaving, comparable
from forensics.evidence.considered import Considered
from forensics.evidence.library import Reference, bundled, load_reference
from forensics.evidence.population import COLUMNS
from forensics.evidence.verdict import conclude
from forensics.evidence.weighing import weigh
from forensics.readings import Aspect, Group, Measurement, SignKind
from forensics.records import Case, Finding, Opinion
from tests.evidence.builders import abstention, case, finding, findings_at, reference, sign, subjects
from tests.evidence.test_verdict import AT, CHILD, SCALE, STRANGER, voice

CONTROLS = ("c1", "c2", "c3")


def behaviour(
    value: float, candidate: str = "base", width: int = 4096, probe: str = "overlap", **elsewhere: float
) -> Finding:
    """What a bundled probe of behaviour reads, by default far wider than any reference pair."""
    read = Measurement(value=value, quantity="q", summary="s", facts={"width": width}, elsewhere=elsewhere)
    told = finding(probe, read, candidate)
    return replace(told, probe=replace(told.probe, aspect=Aspect.BEHAVIOUR))


def set_against(value: float, controls: Sequence[float], **more: Any) -> list[Finding]:
    """A reading of the candidate and of as many controls as there are readings."""
    told = [behaviour(read, label, **more) for label, read in zip(CONTROLS, controls, strict=False)]
    return against_controls([behaviour(value, **more), *told], case(("base",), CONTROLS[: len(controls)]))


def concluded(considered: Considered, findings: Sequence[Finding], known: Reference | None = None) -> Opinion:
    """The opinion with whatever relation behaviour adds."""
    return behaving(conclude(considered, AT, SCALE), considered, findings, known or reference())


def test_a_margin_is_the_reading_less_the_highest_control() -> None:
    """Per kind of input, with the control that is highest; a control without that reading does not speak."""
    told = against_controls(
        [behaviour(0.6, prompts=0.7), behaviour(0.2, "c1", prompts=0.9), behaviour(0.3, "c2"),
         replace(behaviour(0.5, "c3"), outcome=abstention())],
        case(("base",), CONTROLS),
    )  # fmt: skip
    own, prompts = told[0].margins
    assert (own.inputs, own.by, own.highest, own.speaking, own.controls) == ("", "c2", 0.3, 2, 3)
    assert own.margin == pytest.approx(0.3)
    assert (prompts.inputs, prompts.by, prompts.speaking) == ("prompts", "c1", 1)
    assert prompts.margin == pytest.approx(-0.2)
    assert not any(finding.margins for finding in told[1:])


def test_without_controls_no_control_speaks() -> None:
    """The margin is there and says that there is nothing to set the reading against."""
    (told,) = against_controls([behaviour(0.6)], case(("base",)))
    (margin,) = told.margins
    assert (margin.controls, margin.speaking, margin.highest, margin.margin) == (0, 0, None, None)


def test_only_behaviour_has_margins_and_only_against_its_own_instrument() -> None:
    """Probes of weights have none; other parameters or another probe make another instrument."""
    asked = case(("base",), ("c1",))
    assert not against_controls(findings_at(0.9), asked)[0].margins
    other = behaviour(0.1, "c1")
    for foreign in (
        behaviour(0.1, "c1", probe="next"),
        replace(other, probe=replace(other.probe, parameters={"seed": 1})),
    ):
        (margin,) = against_controls([behaviour(0.6), foreign], asked)[0].margins
        assert margin.speaking == 0


def test_far_above_enough_controls_is_behavioural_only() -> None:
    """Three controls and a margin of 0.35 make the relation, with grounds, beside an unchanged verdict."""
    told = concluded(STRANGER, set_against(0.6, [0.1, 0.2, 0.24]))
    plain = conclude(STRANGER, AT, SCALE)
    assert told.relation == "behavioural-only"
    assert "overlap reads 0.60, 0.36 above the highest control" in told.relation_grounds[0]
    assert "outputs were used" in told.not_meaning
    kept = replace(
        told, relation=plain.relation, relation_grounds=plain.relation_grounds, not_meaning=plain.not_meaning
    )
    assert kept == plain
    assert told.verdict == "independent"


@pytest.mark.parametrize("controls", [[], [0.1, 0.2], [0.1, 0.2, 0.26], [0.1, 0.2, 0.7]])
def test_few_or_near_controls_are_not_enough(controls: list[float]) -> None:
    """Without comparable reference pairs, two controls, a small margin or a closer control name no relation."""
    assert concluded(STRANGER, set_against(0.6, controls)).relation == "undetermined"


@pytest.mark.parametrize(
    "changed",
    [
        {"smallest_p": 1e-4},
        {"signs": (("p", sign(SignKind.TAMPERING)),)},
        {"signs": (("p", sign(SignKind.PARTIAL_REUSE)),)},
        {"voices": (*STRANGER.voices, voice(Group.NORM_AND_BIAS))},
        {"voices": STRANGER.voices[:1]},
        {"fused": None},
        {"coverage": 0.3},
        {"identical": True},
        {"withheld": "A first look."},
        {"derived_controls": ("c1",)},
    ],
)
def test_anything_but_strange_weights_keeps_it_away(changed: Mapping[str, Any]) -> None:
    """An exact rejection, a sign, a group that speaks, weights not compared: what behaves alike may then be reused."""
    findings = set_against(0.9, [0.1, 0.1, 0.1])
    assert concluded(STRANGER, findings).relation == "behavioural-only"
    assert concluded(replace(STRANGER, **changed), findings).relation != "behavioural-only"


def test_it_stands_beside_inconclusive_and_never_beside_derived() -> None:
    """Where too little was read for independence the relation still stands; a child keeps its own."""
    findings = set_against(0.9, [0.1, 0.1, 0.1])
    told = concluded(replace(STRANGER, coverage=0.7), findings)
    assert (told.verdict, told.relation) == ("inconclusive", "behavioural-only")
    child = concluded(CHILD, findings)
    assert (child.verdict, child.relation) == ("derived", "undetermined")


def test_strangers_instruments_and_other_parameters_name_no_relation() -> None:
    """A plugin's reading has its margin and makes no relation, nor does ours with other parameters."""
    findings = set_against(0.9, [0.1, 0.1, 0.1])
    for change in ({"standard": False}, {"origin": replace(findings[0].probe.origin, bundled=False)}):
        changed = [replace(one, probe=replace(one.probe, **change)) for one in findings]
        assert changed[0].margins
        assert concluded(STRANGER, changed).relation == "undetermined"


GROUPS: Mapping[str, Group] = {
    "attention-circuits": Group.ATTENTION, "attention-graph": Group.ATTENTION, "neuron-match": Group.MLP,
    "norm-gains": Group.NORM_AND_BIAS, "residual-basis": Group.EMBEDDING,
}  # fmt: skip


@cache
def zoo() -> tuple[Reference, Mapping[str, Any]]:
    """The bundled reference with its file."""
    return load_reference(), next(file for file in bundled() if file["id"] == "lineage-zoo")


def as_findings(row: Mapping[str, Any], file: Mapping[str, Any]) -> list[Finding]:
    """A reference pair as a case would have read it, by the probes of `GROUPS` and activation-overlap."""
    told = []
    for probe, value in zip(file["fusion"]["probes"], row["readings"], strict=True):
        if value is None or (probe not in GROUPS and probe != "activation-overlap"):
            continue
        read = Measurement(
            value=value, quantity="q", summary="s", facts={"width": row["width"]}, group=GROUPS.get(probe)
        )
        one = finding(probe, read)
        aspect = Aspect.BEHAVIOUR if probe == "activation-overlap" else None
        version = file["fusion"]["versions"][probe]
        told.append(replace(one, probe=replace(one.probe, aspect=aspect, version=version)))
    return told


def zoo_opinions(strata: set[str], most: int = 100) -> list[Opinion]:
    """Opinions on unrelated reference pairs of these kinds, those that behave most alike first."""
    known, file = zoo()
    at = list(file["fusion"]["probes"]).index("activation-overlap")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in file["fusion"]["rows"]]
    rows = [
        r
        for r in rows
        if r["label"] == "unrelated" and r["stratum"] in strata and r["readings"][at] is not None
    ]
    rows.sort(key=lambda row: -row["readings"][at])
    asked: tuple[Any, Case] = (subjects(), case())
    return [weigh(as_findings(row, file), *asked, known).opinions[0] for row in rows[:most]]


def test_students_of_the_zoo_are_told_where_they_read_above_all_twins_and_none_is_derived() -> None:
    """Students distilled from scratch, really trained and measured: strangers' weights, their teacher's behaviour.

    Three of the nine read no higher than the closest twins of one recipe do, and are left undetermined for it.
    """
    told = zoo_opinions({"distilled"})
    assert [opinion.relation for opinion in told] == ["behavioural-only"] * 6 + ["undetermined"] * 3
    assert {opinion.verdict for opinion in told} == {"independent"}
    standing = {p.id: p.standing for p in told[0].propositions}
    assert (standing["distilled"], standing["derived"]) == ("supported", "contradicted")


def test_no_twin_and_no_pasted_model_of_the_zoo_is_behavioural_only() -> None:
    """Not the twins of one recipe that behave most alike, nor models that took over embeddings and gains."""
    told = [*zoo_opinions({"same-recipe", "same-initialisation"}, most=12), *zoo_opinions({"pasted"})]
    assert len(told) > 12
    assert "behavioural-only" not in {opinion.relation for opinion in told}


def test_the_ceiling_is_of_comparable_width_without_those_made_alike() -> None:
    """Wider than twice the reference there is none; what was distilled or pasted is not a stranger's reading."""
    known, _ = zoo()
    table, at = known.table, known.thresholds
    assert table is not None
    found = comparable(table, "activation-overlap", 96.0, at)
    assert found is not None
    made = [stratum in ON_PURPOSE for stratum in table.strata]
    column = table.readings[:, table.probes.index("activation-overlap")]
    assert found.reading < max(
        value for value, there in zip(column, made, strict=True) if there and np.isfinite(value)
    )
    assert comparable(table, "activation-overlap", 4096.0, at) is None
    assert comparable(table, "no-such-probe", 96.0, at) is None
