"""The room's entry: findings in, weighed findings and opinions out. A pure function of records.

Findings may come in any order and come back in the same; nothing here depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from forensics.evidence.behaviour import against_controls, behaving
from forensics.evidence.considering import Circumstances, considered, is_the_instrument, named
from forensics.evidence.exact import combined, enter_exact
from forensics.evidence.library import Reference, accepted, load_reference
from forensics.evidence.propositions import propositions
from forensics.evidence.relation import explained
from forensics.evidence.verdict import conclude
from forensics.readings import Exact, Measurement
from forensics.records import CandidateRelation, Case, Finding, JointFinding, Opinion, Population, Subject

__all__ = ["Reference", "Weighed", "accepted", "load_reference", "weigh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What the weighing adds to a record."""

    findings: tuple[Finding, ...]
    opinions: tuple[Opinion, ...]
    """One per candidate, in the case's order."""
    controls: tuple[Opinion, ...]
    """One per control, in the case's order."""
    populations: tuple[Population, ...]
    """Those that weighed something in this case, by id."""
    verbal_scale: str
    candidate_relations: tuple[CandidateRelation, ...] = ()
    """One per pair of candidates that was compared (`evidence.among`)."""


def weigh(
    findings: Sequence[Finding],
    subjects: Sequence[Subject],
    case: Case,
    reference: Reference,
    joint: Sequence[JointFinding] = (),
    cried: tuple[str, ...] = (),
) -> Weighed:
    """Weighs every finding and concludes on every candidate and control.

    Controls are judged first, because a control that comes out derived withdraws `derived` from candidates. What
    probes say of several candidates together (`joint`) explains and has no weight. `cried` are the self-test's
    alarms: instruments that took noise for a candidate let nothing be concluded.
    """
    weighed = [weighed_alone(finding, reference) for finding in enter_exact(findings)]
    weighed = against_controls(weighed, case)
    exact = combined(weighed, (*case.candidates, *case.controls))
    about = Circumstances(subjects=subjects, reference=reference, cried=cried)
    controls = tuple(opinion_on(label, weighed, about, exact.get(label), None) for label in case.controls)
    alarms = tuple(sorted(opinion.candidate for opinion in controls if opinion.verdict == "derived"))
    about = replace(about, alarms=alarms)
    opinions = tuple(opinion_on(label, weighed, about, exact.get(label), joint) for label in case.candidates)
    return Weighed(
        findings=tuple(weighed),
        opinions=opinions,
        controls=controls,
        populations=populations_of(weighed, [*opinions, *controls], reference),
        verbal_scale=reference.scale.name,
    )


def weighed_alone(finding: Finding, reference: Reference) -> Finding:
    """The finding with weight and background, where its probe is calibrated and gave a reading."""
    calibration = reference.calibrations.get(finding.probe.id)
    known = is_the_instrument(finding, reference)
    known = known and (calibration is None or calibration.version in {"", finding.probe.version})
    if calibration is None or not known or not isinstance(finding.outcome, Measurement):
        return replace(finding, weight=None, background=None)
    description = named(reference.populations[calibration.population])
    value = finding.outcome.value
    return replace(
        finding, weight=calibration.weigh(value, description), background=calibration.background(value)
    )


def opinion_on(
    label: str,
    findings: Sequence[Finding],
    about: Circumstances,
    pooled: Exact | None,
    joint: Sequence[JointFinding] | None,
) -> Opinion:
    """What follows for one candidate from weighed findings; of a control (no `joint`) no relation is explained."""
    at, scale = about.reference.thresholds, about.reference.scale
    case = considered(label, findings, about, pooled)
    concluded = replace(conclude(case, at, scale), exact=pooled)
    told = concluded
    if joint is not None:
        told = behaving(explained(concluded, findings, joint), case, findings, about.reference)
    return replace(told, propositions=propositions(case, told, findings, at))


def populations_of(
    findings: Sequence[Finding], opinions: Sequence[Opinion], reference: Reference
) -> tuple[Population, ...]:
    """The populations that weighed something."""
    said = {finding.weight.population for finding in findings if finding.weight is not None}
    said |= {opinion.population for opinion in opinions}
    return tuple(p for _, p in sorted(reference.populations.items()) if named(p) in said)
