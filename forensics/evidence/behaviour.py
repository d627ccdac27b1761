"""Closeness in behaviour: readings set against the controls, and the relation where the weights are a stranger's.

What models compute is shared by students and teachers, but also by whoever learnt one language from like texts. So a
reading means little by itself: it is held against controls and against unrelated reference pairs of comparable
width, and whatever comes of it explains and never moves a verdict. Methods §4.3 P9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forensics.evidence.considered import Considered
from forensics.evidence.considering import is_the_instrument
from forensics.evidence.library import Reference
from forensics.evidence.opinion import (
    coverage_for,
    exact_against,
    groups_against,
    tampering_against,
    unresolved,
    weight_against,
)
from forensics.evidence.population import ReferenceTable
from forensics.evidence.speaking import width_of
from forensics.evidence.thresholds import Thresholds
from forensics.readings import Aspect, Measurement
from forensics.records import Case, Finding, Margin, Opinion

ON_PURPOSE = frozenset({"distilled", "pasted"})
"""Unrelated reference pairs that were made to behave alike, or share their embeddings; no ceiling for strangers."""
NOT_MEANING = (
    "This does not show that the candidate's outputs were used: training on the same texts, or on a third model's "
    "outputs, can bring two models as close. No weights were found in common."
)


def against_controls(findings: Sequence[Finding], case: Case) -> list[Finding]:
    """The findings, those of behaviour on candidates with their margins over the case's controls."""
    return [replace(finding, margins=_margins(finding, findings, case)) for finding in findings]


def _margins(finding: Finding, findings: Sequence[Finding], case: Case) -> tuple[Margin, ...]:
    """The probe's own reading first, then those on other inputs by name."""
    outcome = finding.outcome
    asked = finding.probe.aspect is Aspect.BEHAVIOUR and finding.candidate in case.candidates
    if not asked or not isinstance(outcome, Measurement):
        return ()
    theirs = {
        other.candidate: _readings(other.outcome)
        for other in sorted(findings, key=lambda one: one.candidate)
        if other.candidate in case.controls
        and other.probe == finding.probe
        and isinstance(other.outcome, Measurement)
    }
    return tuple(
        _margin(
            inputs, reading, {label: read[inputs] for label, read in theirs.items() if inputs in read}, case
        )
        for inputs, reading in _readings(outcome).items()
    )


def _readings(measured: Measurement) -> Mapping[str, float]:
    """By inputs, the empty name for the probe's own."""
    return {
        "": measured.value,
        **{name: measured.elsewhere[name] for name in sorted(measured.elsewhere) if name},
    }


def _margin(inputs: str, reading: float, theirs: Mapping[str, float], case: Case) -> Margin:
    """One reading against the same reading of the controls."""
    controls = len(case.controls)
    if not theirs:
        return Margin(inputs=inputs, reading=reading, controls=controls)
    by = max(theirs, key=lambda label: theirs[label])
    return Margin(
        inputs=inputs, reading=reading, controls=controls, speaking=len(theirs), highest=theirs[by], by=by,
        margin=reading - theirs[by],
    )  # fmt: skip


def behaving(
    opinion: Opinion, case: Considered, findings: Sequence[Finding], reference: Reference
) -> Opinion:
    """The opinion with the relation behavioural-only, where the weights are a stranger's and behaviour is not.

    Never beside `derived` or a relation that is named already; verdict, weight and grounds stay as they are.
    """
    if opinion.relation != "undetermined" or not strangers(case, opinion, reference.thresholds):
        return opinion
    ours = sorted((f for f in findings if f.candidate == case.candidate), key=lambda f: f.probe.id)
    if any(_taken(finding, reference) for finding in ours):
        return opinion
    closer = tuple(said for said in (_closer(finding, reference) for finding in ours) if said)
    if not closer:
        return opinion
    apart = "the weights are those of a stranger: the fused weight speaks against descent and no exact test objects"
    return replace(
        opinion, relation="behavioural-only", relation_grounds=(*closer, apart), not_meaning=NOT_MEANING
    )


def strangers(case: Considered, opinion: Opinion, at: Thresholds) -> bool:
    """Whether the weights speak for an independent origin, with nothing seen that might be a reuse of some of them."""
    if opinion.verdict == "derived" or case.withheld or case.identical or case.derived_controls:
        return False
    rules = (weight_against, groups_against, exact_against, tampering_against, coverage_for)
    seen = unresolved(case, at) or case.signs or any(voice.speaks for voice in case.voices)
    return not seen and all(rule(case, at).met for rule in rules)


def _taken(finding: Finding, reference: Reference) -> bool:
    """Whether a tensor group reads above every comparable unrelated pair that was not made alike, exact test or not.

    The ceilings of the verdict hold pasted embeddings and gains too, and would let such parts pass for a stranger's.
    """
    outcome = finding.outcome
    if (
        not isinstance(outcome, Measurement)
        or outcome.group is None
        or not is_the_instrument(finding, reference)
    ):
        return False
    width, at = width_of(outcome.facts), reference.thresholds
    ceiling = comparable(reference.table, finding.probe.id, width, at)
    return ceiling is not None and outcome.value > ceiling.reading


def _closer(finding: Finding, reference: Reference) -> str:
    """In words, what makes this reading closer than unrelated models explain; empty where it is not.

    With reference pairs of comparable width the reading must be above all of them, and above all controls that speak.
    Without, enough controls must lie far below it. Only our own probes as they come are heard.
    """
    probe, outcome, at = finding.probe, finding.outcome, reference.thresholds
    ours = probe.aspect is Aspect.BEHAVIOUR and probe.origin.bundled and is_the_instrument(finding, reference)
    if not ours or not isinstance(outcome, Measurement):
        return ""
    margin = next((one for one in finding.margins if not one.inputs), None)
    gap = None if margin is None else margin.margin
    if gap is not None and gap <= 0:
        return ""
    controls = (
        "no control speaks"
        if margin is None or gap is None or margin.highest is None
        else f"{margin.speaking} control{'s' if margin.speaking != 1 else ''} at most {margin.highest:.2f}"
    )
    said = f"{probe.id} reads {outcome.value:.2f}"
    ceiling = comparable(reference.table, probe.id, width_of(outcome.facts), at)
    if ceiling is not None:
        told = f"{said}, above all {ceiling.pairs} unrelated reference pairs of comparable width (at most "
        return f"{told}{ceiling.reading:.2f}; {controls})" if outcome.value > ceiling.reading else ""
    enough = margin is not None and margin.speaking >= at.behavioural_controls
    if enough and gap is not None and gap >= at.behavioural_margin:
        return f"{said}, {gap:.2f} above the highest control ({controls}; no reference pairs of comparable width)"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparable:
    """The highest reading of unrelated pairs of comparable width, and how many there are."""

    reading: float
    pairs: int


def comparable(
    table: ReferenceTable | None, probe: str, width: float | None, at: Thresholds
) -> Comparable | None:
    """None where the table does not know the probe, or has too few cells within a factor of the width.

    Unlike agreement of coordinates, agreement of behaviour need not fall with width, so narrower pairs are no ceiling.
    """
    if table is None or width is None or probe not in table.probes:
        return None
    column, ratio = table.readings[:, table.probes.index(probe)], at.comparable_width_ratio
    apart = np.array([stratum not in ON_PURPOSE for stratum in table.strata], dtype=bool)
    near = (table.widths <= width * ratio) & (table.widths * ratio >= width)
    members = ~table.derived & np.isfinite(column) & apart & near
    if int(np.unique(table.cells[members]).size) < at.comparable_cells:
        return None
    return Comparable(reading=float(column[members].max()), pairs=int(members.sum()))
