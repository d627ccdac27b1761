"""How one model came from the other, and which way: taken over from what probes explain, never for or against descent.

Only beside a verdict of `derived`, and only from bundled instruments as they come. What is said of several candidates
together stands above what is said of one: a merge of two, or a sibling, reads like a fine-tune. The verdict stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from forensics.readings import Direction, Kinship, Measurement
from forensics.records import Finding, JointFinding, Opinion

NOT_MEANING = (
    "This does not say whether anything was copied without permission. The direction is told apart from the verdict, "
    "by what was lost or where a model lies, and could be that of an exact copy of either."
)
BYTES = "identical"
"""A relation that only digests of whole files can show; a probe that samples cannot."""


def explained(opinion: Opinion, findings: Sequence[Finding], joint: Sequence[JointFinding]) -> Opinion:
    """The opinion with relation, direction and the grounds of both, where descent is shown and a probe explains it."""
    if opinion.verdict != "derived":
        return opinion
    joined, alone = list(_together(opinion.candidate, joint)), list(_alone(opinion.candidate, findings))
    told = [*joined, *alone]
    if not told:
        return opinion
    relation = next((k.relation for k in joined or alone if k.relation not in {"undetermined", BYTES}), None)
    direction, why = _direction(told)
    return replace(
        opinion,
        relation=relation if relation and opinion.relation == "undetermined" else opinion.relation,
        relation_grounds=tuple(dict.fromkeys(ground for k in told for ground in k.grounds)),
        direction=direction,
        direction_grounds=why,
        not_meaning=opinion.not_meaning if direction == "undetermined" else NOT_MEANING,
    )


def _direction(told: Sequence[Kinship]) -> tuple[Direction, tuple[str, ...]]:
    """The one that is told; undetermined where there is none, or where they contradict each other."""
    known = [k for k in told if k.direction != "undetermined"]
    if not known:
        return "undetermined", ()
    grounds = tuple(dict.fromkeys(ground for k in known for ground in k.direction_grounds))
    if len({k.direction for k in known}) > 1:
        return "undetermined", ("what was found points both ways", *grounds)
    return known[0].direction, grounds


def _together(label: str, joint: Sequence[JointFinding]) -> Iterator[Kinship]:
    """What is said of this one of several candidates."""
    for finding in sorted(joint, key=lambda one: one.probe.id):
        if (
            finding.probe.standard
            and finding.probe.origin.bundled
            and isinstance(finding.outcome, Measurement)
        ):
            yield from (k for k in finding.outcome.kinship if k.candidate == label)


def _alone(label: str, findings: Sequence[Finding]) -> Iterator[Kinship]:
    """What is said of the pair."""
    for finding in sorted(findings, key=lambda one: one.probe.id):
        ours = finding.probe.standard and finding.probe.origin.bundled and finding.candidate == label
        if ours and isinstance(finding.outcome, Measurement):
            yield from (k for k in finding.outcome.kinship if not k.candidate)
