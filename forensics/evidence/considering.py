"""From weighed findings and the circumstances of a case to what the rules of the verdict may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from forensics.evidence import examined as facts
from forensics.evidence.considered import Considered
from forensics.evidence.fusion import Fused, fuse, omissions
from forensics.evidence.judged_pairs import fused_background
from forensics.evidence.library import Reference
from forensics.evidence.propositions import same_build
from forensics.evidence.signs import gathered
from forensics.evidence.speaking import listen
from forensics.evidence.withholding import withheld
from forensics.readings import Exact, Measurement, Table
from forensics.records import Finding, Population, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What stands beside the findings in a case."""

    subjects: Sequence[Subject]
    reference: Reference
    alarms: tuple[str, ...] = ()
    """Controls that came out derived."""
    cried: tuple[str, ...] = ()
    """Instruments that took noise for a candidate in the self-test."""


def considered(
    label: str, findings: Sequence[Finding], about: Circumstances, pooled: Exact | None
) -> Considered:
    """What the rules may look at, for one candidate or control, from weighed findings."""
    subjects, reference = about.subjects, about.reference
    own = sorted((finding for finding in findings if finding.candidate == label), key=lambda f: f.probe.id)
    known = [finding for finding in own if is_the_instrument(finding, reference)]
    worth = _worth(own, known, reference)
    suspect = next((subject for subject in subjects if subject.role == "suspect"), None)
    examined = next((s for s in subjects if s.role != "suspect" and s.label == label), None)
    exact = [finding.exact for finding in own if finding.exact is not None]
    return Considered(
        candidate=label,
        fused=worth.fused,
        voices=listen(known, reference.table, reference.thresholds),
        signs=gathered(own, reference.thresholds),
        smallest_p=min((found.p for found in exact), default=None),
        combined_holm=None if pooled is None else pooled.p_holm,
        coverage=facts.coverage(suspect),
        layer_coverage=facts.layer_coverage(suspect),
        identical=facts.identical(suspect, examined),
        other_weights=facts.other_weights(suspect),
        mlps_comparable=facts.mlps_comparable(suspect, examined),
        derived_controls=about.alarms,
        unread_controls=sum(s.role == "control" and s.form == "unreadable" for s in subjects),
        withheld=withheld(suspect, examined, facts.coverage(suspect), about.cried),
        population=worth.population,
        background=worth.background,
        unrelated_strata=worth.unrelated_strata,
        same_build=same_build(suspect, examined),
        remarks=(*facts.sketched(subjects, label), *facts.glimpsed(subjects, label), *worth.remarks),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worth:
    """The weight of the readings, of whom it is known, and what must be said beside it."""

    fused: Fused | None
    population: str
    remarks: tuple[str, ...]
    background: Table | None = None
    unrelated_strata: tuple[tuple[str, int], ...] = ()


def _worth(own: Sequence[Finding], known: Sequence[Finding], reference: Reference) -> _Worth:
    """The fusion of what is known, with its omissions; without one the best single calibration."""
    readings = {f.probe.id: f.outcome.value for f in known if isinstance(f.outcome, Measurement)}
    table, least = reference.table, reference.thresholds.fusion_families
    fused = None if table is None else fuse(table, readings, least)
    remarks = _remarks(own, fused, reference)
    if table is None or fused is None:
        alone, population = _alone(own, reference)
        return _Worth(fused=alone, population=population, remarks=remarks)
    return _Worth(
        fused=replace(fused, omissions=omissions(table, readings, fused, least)),
        population=named(reference.populations[table.population]),
        remarks=remarks,
        background=fused_background(table, fused),
        unrelated_strata=table.unrelated_strata(fused.probes),
    )


def _alone(findings: Sequence[Finding], reference: Reference) -> tuple[Fused | None, str]:
    """Without a fusion, the weight of the best validated calibration that spoke; weights are never added."""
    spoke = [
        (reference.calibrations[finding.probe.id].cllr, finding.probe.id, finding.weight)
        for finding in findings
        if finding.weight is not None
    ]
    if not spoke:
        return None, ""
    cost, probe, weight = min(spoke, key=lambda entry: entry[:2])
    calibration = reference.calibrations[probe]
    value = next(
        f.outcome.value for f in findings if f.probe.id == probe and isinstance(f.outcome, Measurement)
    )
    fused = Fused(
        log10_lr=weight.log10_lr,
        lower=weight.lower,
        upper=weight.upper,
        bounds=calibration.bounds,
        contributions=calibration.contributions(value),
        cllr=round(cost, 3),
        families=calibration.families,
        outside=(),
        left_out=(),
    )
    return fused, weight.population


def _remarks(findings: Sequence[Finding], fused: Fused | None, reference: Reference) -> tuple[str, ...]:
    """Lines on what did not take part or was stretched."""
    lines = []
    table = reference.table
    columns = set() if table is None else set(table.probes) - table.beside
    if fused is not None and fused.left_out:
        lines.append(f"Not fused, too few reference families have it: {', '.join(fused.left_out)}")
    if fused is not None and fused.outside:
        lines.append(f"Outside the range of the reference pairs, so extrapolated: {', '.join(fused.outside)}")
    beside = [f.probe.id for f in findings if f.weight is not None and f.probe.id not in columns]
    if beside and fused is not None:
        lines.append(f"Calibrated but no part of the fusion's table, shown beside: {', '.join(beside)}")
    silent = [
        finding.probe.id
        for finding in findings
        if isinstance(finding.outcome, Measurement)
        and finding.weight is None
        and finding.probe.id not in columns
    ]
    if silent:
        lines.append(f"Without calibration, so without weight: {', '.join(silent)}")
    return tuple(lines)


def is_the_instrument(finding: Finding, reference: Reference) -> bool:
    """Whether this is the very probe that the reference was read with: bundled, of that version, with its parameters.

    A probe that the reference table does not know is left to its own calibration, if it has one.
    """
    versions = {} if reference.table is None else reference.table.versions
    asked = versions.get(finding.probe.id)
    probe = finding.probe
    return probe.standard and (asked is None or (probe.origin.bundled and probe.version == asked))


def named(population: Population) -> str:
    """Id and description, as weights and opinions carry them."""
    return f"{population.id}: {population.description}"
