"""The room's entry: findings in, weighed findings and opinions out. A pure function of records.

Findings may come in any order and come back in the same; nothing here depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from forensics.evidence.considered import Considered
from forensics.evidence.exact import combined, enter_exact
from forensics.evidence.fusion import Fused, fuse, omissions
from forensics.evidence.library import Reference, accepted, load_reference
from forensics.evidence.propositions import propositions, same_build
from forensics.evidence.relation import explained
from forensics.evidence.signs import gathered
from forensics.evidence.speaking import listen
from forensics.evidence.verdict import conclude
from forensics.evidence.withholding import withheld
from forensics.readings import Exact, Measurement
from forensics.records import Case, Finding, JointFinding, Opinion, Population, Subject
from forensics.subjects import OTHER_WEIGHTS, WEIGHTS

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
    weighed = [_weighed(finding, reference) for finding in enter_exact(findings)]
    exact = combined(weighed, (*case.candidates, *case.controls))

    def judged(label: str, alarms: tuple[str, ...], together: Sequence[JointFinding] | None) -> Opinion:
        pooled = exact.get(label)
        considered = _considered(label, weighed, subjects, reference, alarms, pooled, cried)
        return _opinion(considered, weighed, reference, pooled, together)

    controls = tuple(judged(label, (), None) for label in case.controls)
    alarms = tuple(sorted(opinion.candidate for opinion in controls if opinion.verdict == "derived"))
    opinions = tuple(judged(label, alarms, joint) for label in case.candidates)
    return Weighed(
        findings=tuple(weighed),
        opinions=opinions,
        controls=controls,
        populations=_populations(weighed, [*opinions, *controls], reference),
        verbal_scale=reference.scale.name,
    )


def _weighed(finding: Finding, reference: Reference) -> Finding:
    """The finding with weight and background, where its probe is calibrated and gave a reading."""
    calibration = reference.calibrations.get(finding.probe.id)
    known = _is_the_instrument(finding, reference)
    known = known and (calibration is None or calibration.version in {"", finding.probe.version})
    if calibration is None or not known or not isinstance(finding.outcome, Measurement):
        return replace(finding, weight=None, background=None)
    description = _named(reference.populations[calibration.population])
    value = finding.outcome.value
    return replace(
        finding, weight=calibration.weigh(value, description), background=calibration.background(value)
    )


def _is_the_instrument(finding: Finding, reference: Reference) -> bool:
    """Whether this is the very probe that the reference was read with: bundled, of that version, with its parameters.

    A probe that the reference table does not know is left to its own calibration, if it has one.
    """
    versions = {} if reference.table is None else reference.table.versions
    asked = versions.get(finding.probe.id)
    probe = finding.probe
    return probe.standard and (asked is None or (probe.origin.bundled and probe.version == asked))


def _considered(
    label: str,
    findings: Sequence[Finding],
    subjects: Sequence[Subject],
    reference: Reference,
    alarms: tuple[str, ...],
    pooled: Exact | None,
    cried: tuple[str, ...],
) -> Considered:
    """What the rules may look at, for one candidate or control."""
    own = sorted((finding for finding in findings if finding.candidate == label), key=lambda f: f.probe.id)
    known = [finding for finding in own if _is_the_instrument(finding, reference)]
    readings = {f.probe.id: f.outcome.value for f in known if isinstance(f.outcome, Measurement)}
    table = reference.table
    fused = None if table is None else fuse(table, readings, reference.thresholds.fusion_families)
    population = "" if table is None or fused is None else _named(reference.populations[table.population])
    remarks = (*_sketched(subjects, label), *_glimpsed(subjects, label), *_remarks(own, fused, reference))
    strata: tuple[tuple[str, int], ...] = ()
    if fused is None:
        fused, population = _alone(own, reference)
    elif table is not None:
        left = omissions(table, readings, fused, reference.thresholds.fusion_families)
        fused = replace(fused, omissions=left)
        strata = table.unrelated_strata([share.probe for share in fused.contributions])
    suspect = next((subject for subject in subjects if subject.role == "suspect"), None)
    examined = next((s for s in subjects if s.role != "suspect" and s.label == label), None)
    exact = [finding.exact for finding in own if finding.exact is not None]
    return Considered(
        candidate=label,
        fused=fused,
        voices=listen(known, table, reference.thresholds),
        signs=gathered(own, reference.thresholds),
        smallest_p=min((found.p for found in exact), default=None),
        combined_holm=None if pooled is None else pooled.p_holm,
        coverage=_coverage(suspect),
        layer_coverage=_layer_coverage(suspect),
        identical=_identical(suspect, examined),
        other_weights=_other_weights(suspect),
        mlps_comparable=_mlps_comparable(suspect, examined),
        derived_controls=alarms,
        unread_controls=sum(s.role == "control" and s.form == "unreadable" for s in subjects),
        withheld=withheld(suspect, examined, _coverage(suspect), cried),
        population=population,
        unrelated_strata=strata,
        same_build=same_build(suspect, examined),
        remarks=remarks,
    )


def _opinion(
    considered: Considered,
    findings: Sequence[Finding],
    reference: Reference,
    pooled: Exact | None,
    joint: Sequence[JointFinding] | None,
) -> Opinion:
    """What follows from it; of controls (no `joint`) no relation is explained."""
    concluded = replace(conclude(considered, reference.thresholds, reference.scale), exact=pooled)
    told = concluded if joint is None else explained(concluded, findings, joint)
    return replace(told, propositions=propositions(considered, told, findings, reference.thresholds))


def _other_weights(suspect: Subject | None) -> tuple[str, ...]:
    """Weights in the suspect's folder that were passed over."""
    return () if suspect is None else tuple(f.name for f in suspect.files if f.note.startswith(OTHER_WEIGHTS))


def _mlps_comparable(suspect: Subject | None, examined: Subject | None) -> bool:
    """Whether both or neither have gated MLPs; true where an architecture is not known."""
    shapes = [s.architecture for s in (suspect, examined) if s is not None and s.architecture is not None]
    return len({shape.glu for shape in shapes}) < 2


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


def _sketched(subjects: Sequence[Subject], label: str) -> tuple[str, ...]:
    """What rests on the word of whoever made a sketch."""
    names = [s.label for s in subjects if s.form == "sketch" and (s.role == "suspect" or s.label == label)]
    if not names:
        return ()
    told = "known by a sketch only, so all that is said of it rests on the word of whoever made the sketch"
    return (f"{' and '.join(names)}: {told}",)


def _glimpsed(subjects: Sequence[Subject], label: str) -> tuple[str, ...]:
    """What a first look cannot say."""
    names = [
        s.label for s in subjects if s.form == "first-look" and (s.role == "suspect" or s.label == label)
    ]
    if not names:
        return ()
    told = "only looked at: a few tensors were read and no file was hashed whole, so nothing is concluded"
    return (f"{' and '.join(names)}: {told}",)


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


def _coverage(suspect: Subject | None) -> float | None:
    """Share of the suspect's parameters that was recognised and read, or None if there is nothing to share."""
    if suspect is None or suspect.parameters <= 0:
        return None
    return round(min(max(suspect.recognised / suspect.parameters, 0.0), 1.0), 6)


def _layer_coverage(suspect: Subject | None) -> float | None:
    """As `_coverage`, but embeddings, which can be padded to any size, do not make up for what was not read."""
    if suspect is None or suspect.parameters <= 0 or not suspect.in_layers:
        return None
    unread = max(0, suspect.parameters - suspect.recognised)
    return round(suspect.in_layers / max(1, suspect.in_layers + unread), 6)


def _identical(suspect: Subject | None, examined: Subject | None) -> bool:
    """Equal digests of the whole, or equal weight files under whatever name; a sketch only claims its digests."""
    if suspect is None or examined is None or {suspect.form, examined.form} != {"checkpoint"}:
        return False
    if suspect.digest and suspect.digest == examined.digest:
        return True
    ours, theirs = _weight_files(suspect), _weight_files(examined)
    return bool(ours) and "" not in ours and ours == theirs


def _weight_files(subject: Subject) -> list[str]:
    """Digests of the files that hold tensors, sorted; empty strings where a file was not read whole."""
    return sorted(file.sha256 for file in subject.files if file.name.endswith(WEIGHTS))


def _named(population: Population) -> str:
    """Id and description, as weights and opinions carry them."""
    return f"{population.id}: {population.description}"


def _populations(
    findings: Sequence[Finding], opinions: Sequence[Opinion], reference: Reference
) -> tuple[Population, ...]:
    """The populations that weighed something."""
    said = {finding.weight.population for finding in findings if finding.weight is not None}
    said |= {opinion.population for opinion in opinions}
    return tuple(p for _, p in sorted(reference.populations.items()) if _named(p) in said)
