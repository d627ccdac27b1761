"""The candidates among each other: each pair weighed as a case of its own, and what that means for the opinions.

Where two candidates are related, whatever the suspect has from one it may have by way of the other, so opinions say
so. Numbers and verdicts on the suspect stay: the pairs are weighed apart, with a Holm correction of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from forensics.evidence.considering import Circumstances
from forensics.evidence.exact import enter_exact, pooled_each
from forensics.evidence.library import Reference
from forensics.evidence.weighing import Weighed, opinion_on, populations_of, weighed_alone
from forensics.readings import Abstention, Exact, Failure, Kinship, Measurement
from forensics.records import (
    CandidateRelation,
    Finding,
    JointFinding,
    Opinion,
    PairReading,
    Population,
    Subject,
    Verdict,
)

DERIVED: Verdict = "derived"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePair:
    """Two candidates that were compared."""

    first: Subject
    """Weighed as the suspect."""
    second: Subject
    findings: tuple[Finding, ...]
    """On `second`, of every probe that sketches."""


def among(
    weighed: Weighed,
    pairs: Sequence[CandidatePair],
    reference: Reference,
    joint: Sequence[JointFinding] = (),
    cried: tuple[str, ...] = (),
) -> Weighed:
    """The case's weighing with the relations among its candidates, and opinions that say what these leave open.

    A control of the case that comes out derived, and the self-test's alarms (`cried`), withdraw here what they
    withdraw of opinions: the instruments are the same.
    """
    alarms = tuple(sorted(o.candidate for o in weighed.controls if o.verdict == DERIVED))
    entered = _entered(pairs, reference)
    pooled = pooled_each(dict(enumerate(entered)))
    opinions = [
        _opinion_of(pair, own, reference, alarms, pooled.get(k), cried)
        for k, (pair, own) in enumerate(zip(pairs, entered, strict=True))
    ]
    relations = tuple(
        _relation(pair, own, opinion) for pair, own, opinion in zip(pairs, entered, opinions, strict=True)
    )
    used = populations_of([finding for own in entered for finding in own], opinions, reference)
    return replace(
        weighed,
        candidate_relations=relations,
        opinions=tuple(_told(opinion, relations, joint) for opinion in weighed.opinions),
        populations=_both(weighed.populations, used),
    )


def _entered(pairs: Sequence[CandidatePair], reference: Reference) -> list[list[Finding]]:
    """Each pair's findings, weighed, with exact p-values corrected over every exact test of all pairs."""
    every = [finding for pair in pairs for finding in pair.findings]
    entered = iter(weighed_alone(finding, reference) for finding in enter_exact(every))
    return [[next(entered) for _ in pair.findings] for pair in pairs]


def _opinion_of(
    pair: CandidatePair,
    findings: Sequence[Finding],
    reference: Reference,
    alarms: tuple[str, ...],
    pooled: Exact | None,
    cried: tuple[str, ...],
) -> Opinion:
    """What would be concluded if `first` were the suspect, with what a probe explains of the pair."""
    sides = (replace(pair.first, role="suspect"), replace(pair.second, role="candidate"))
    about = Circumstances(subjects=sides, reference=reference, alarms=alarms, cried=cried)
    return opinion_on(pair.second.label, findings, about, pooled, ())


def _relation(pair: CandidatePair, findings: Sequence[Finding], opinion: Opinion) -> CandidateRelation:
    """The record of a pair; of a direction nothing is said."""
    return CandidateRelation(
        first=pair.first.label,
        second=pair.second.label,
        log10_lr=opinion.log10_lr,
        lower=opinion.lower,
        upper=opinion.upper,
        cap=opinion.cap,
        verdict=opinion.verdict,
        relation=opinion.relation,
        relation_grounds=opinion.relation_grounds,
        because=opinion.because,
        exact=opinion.exact,
        coverage=opinion.coverage,
        population=opinion.population,
        readings=tuple(_reading(finding) for finding in findings),
    )


def _reading(finding: Finding) -> PairReading:
    """One line for one probe."""
    worth = None if finding.weight is None else finding.weight.log10_lr
    match finding.outcome:
        case Measurement(value=value):
            return PairReading(probe=finding.probe.id, value=value, log10_lr=worth)
        case Abstention(reason=reason):
            return PairReading(probe=finding.probe.id, absence=reason.value)
        case Failure(error=error):
            return PairReading(probe=finding.probe.id, absence=f"failed: {error}")


def _told(opinion: Opinion, relations: Sequence[CandidateRelation], joint: Sequence[JointFinding]) -> Opinion:
    """The opinion, with a ground that names the relatives descent from which would look alike."""
    if opinion.verdict != DERIVED:
        return opinion
    alike = [
        other
        for pair in relations
        if (other := _relative(opinion.candidate, pair)) and not _told_apart(pair, joint)
    ]
    if not alike:
        return opinion
    names = alike[0] if len(alike) == 1 else f"{', '.join(alike[:-1])} and {alike[-1]}"
    ground = (
        f"related to {opinion.candidate}, by the comparison of the candidates among each other: {names}; descent from "
        f"{opinion.candidate} cannot be told from descent from {'these' if len(alike) > 1 else 'it'} by this evidence "
        "alone"
    )
    return replace(opinion, relation_grounds=(*opinion.relation_grounds, ground))


def _relative(label: str, pair: CandidateRelation) -> str:
    """The other one of a related pair; empty where the pair is not related, or another pair."""
    if not pair.related or label not in {pair.first, pair.second}:
        return ""
    return pair.second if label == pair.first else pair.first


def _told_apart(pair: CandidateRelation, joint: Sequence[JointFinding]) -> bool:
    """Whether what bundled probes say of the candidates together tells these two apart.

    It does where the suspect shares with one only what it shares with the other, or where a merge needs both.
    Files that are identical nothing tells apart.
    """
    if pair.relation == "identical":
        return False
    for finding in joint:
        if (
            isinstance(finding.outcome, Measurement)
            and finding.probe.standard
            and finding.probe.origin.bundled
        ):
            ties = {tie.candidate: tie for tie in finding.outcome.kinship}
            if _apart_by(ties, pair.first, pair.second):
                return True
    return False


def _apart_by(ties: Mapping[str, Kinship], first: str, second: str) -> bool:
    """Whether the ties of one joint finding tell two candidates apart."""
    both = [ties[label] for label in (first, second) if label in ties]
    if any(tie.explained_by and tie.explained_by in {first, second} for tie in both):
        return True
    return len(both) == 2 and all(tie.relation == "merged" for tie in both)


def _both(one: Sequence[Population], other: Sequence[Population]) -> tuple[Population, ...]:
    """Populations of two weighings, each once, by id."""
    return tuple(population for _, population in sorted({p.id: p for p in (*one, *other)}.items()))
