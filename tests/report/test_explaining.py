"""`forensics explain`: every condition with its distance from the line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics.errors import ReportError
from forensics.evidence.scale import load_scale
from forensics.evidence.thresholds import load_thresholds
from forensics.evidence.verdict import conclude
from forensics.records import Condition, Dossier
from forensics.report.explaining import explanation, margin
from tests.evidence.test_verdict import CHILD, STRANGER
from tests.report.example import dossier, many


def condition(
    rule: str, value: float | None, least: float | None = None, most: float | None = None
) -> Condition:
    """A condition that was met."""
    return Condition(toward="derived", rule=rule, met=True, found="", value=value, least=least, most=most)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (condition("weight", 1.25, least=1.0), "0.25 log10 LR above the line of 1"),
        (condition("weight", -1.5, most=-1.0), "0.5 log10 LR below the line of -1"),
        (condition("layers", 0.4, least=0.5), "10.0% of the layers below the line of 0.5"),
        (condition("exact", 1e-6, least=1e-3), "3.0 powers of ten below the line of 0.001"),
        (condition("exact", 0.0, least=1e-3), "9.0 powers of ten below the line of 0.001"),
        (condition("controls", 0, most=0), "on the line of 0"),
        (condition("weight", None, least=1.0), "no number to hold against the line"),
    ],
)
def test_margins(asked: Condition, told: str) -> None:
    """A condition's distance is told in its own unit, a p in powers of ten down to the floor."""
    assert margin(asked) == told


def case(considered: object) -> Dossier:
    """A dossier with the opinion that follows from what is considered."""
    opinion = conclude(considered, load_thresholds(), load_scale())  # type: ignore[arg-type]
    return replace(many(), opinions=(replace(opinion, candidate="base"),), controls=())


def test_every_condition_is_told() -> None:
    """Each rule of both verdicts has a line, met or not, and the one sentence says what would turn the verdict."""
    told = explanation(case(CHILD), "base")
    assert told.startswith("base: derived")
    assert told.count("  met  ") + told.count("  NOT met") == 12
    assert "derived stands on all 6 conditions" in told
    assert "independent stands on all 6 conditions" in explanation(case(STRANGER), "base")


def test_an_inconclusive_opinion_names_what_each_verdict_still_wants() -> None:
    """Whichever rules are unmet are named for both verdicts."""
    told = explanation(case(replace(CHILD, coverage=0.2)), "base")
    assert "derived still wants: coverage" in told
    assert "independent still wants: weight, coverage" in told


def test_a_label_of_no_candidate_is_the_users_to_put_right() -> None:
    """An unknown label names the known ones."""
    with pytest.raises(ReportError) as caught:
        explanation(case(CHILD), "nobody\x1b[31m")
    assert "base" in caught.value.hint
    assert "\x1b" not in caught.value.message


def test_propositions_follow_the_conditions() -> None:
    """Each proposition has its standing, its grounds and those it is not told from, after the conditions."""
    whole = dossier()
    conditions = conclude(CHILD, load_thresholds(), load_scale()).conditions
    told = replace(whole, opinions=(replace(whole.opinions[0], conditions=conditions),))
    lines = explanation(told, "meridian-8b").splitlines()
    at = lines.index("propositions")
    assert lines[at + 1] == "  supported     derived: One was made from the other's weights"
    assert "not told from: sibling or common ancestor" in lines[at + 4]
    assert "  untested      distilled: The suspect learnt from the candidate's outputs" in lines
    assert any("met" in line for line in lines[:at])


def test_an_older_dossier_without_propositions_is_explained() -> None:
    """Where the record holds none, nothing is said of them."""
    assert "propositions" not in explanation(case(CHILD), "base")
