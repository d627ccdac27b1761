"""Opinions as CycloneDX declarations: a claim per candidate and control, with the evidence for and against it.

Left out because their meaning does not fit: assessors and attestations (who examined is not in the record, and there is
no standard whose requirements were met), conformance and confidence (a likelihood ratio is no share of certainty).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forensics.archive import plain, rounded
from forensics.emitting.emission import Compared, Emission
from forensics.readings import Measurement
from forensics.records import Finding, Opinion
from forensics.report import numbers, view
from forensics.report.display import display, name

RATIO = (
    "The log10 likelihood ratio is the logarithm of how many times more probable the findings are if one has its "
    "weights from the other than if the two are unrelated. It is no probability of descent and no confidence."
)

SAID = {
    "derived": "Derived: of {suspect} and {candidate} one has its weights from the other, or both from a third model.",
    "independent": "Independent: the weights of {suspect} and {candidate} were trained apart.",
    "inconclusive": "Inconclusive: whether {suspect} and {candidate} have weights from each other is not concluded.",
}


def declarations(emission: Emission, compared: Sequence[Compared]) -> dict[str, Any]:
    """Claims and evidence, in the order of the record."""
    claims: list[dict[str, Any]] = []
    evidence: list[dict[str, Any]] = []
    for one in compared:
        weighed = list(_weighed(emission, one))
        whole = _opinion(emission, one)
        evidence += [whole, *(made for made, _ in weighed)]
        claims.append(_claim(emission, one, whole["bom-ref"], [(m["bom-ref"], lr) for m, lr in weighed]))
    return {"claims": claims, "evidence": evidence}


def _claim(
    emission: Emission, one: Compared, whole: str, weighed: Sequence[tuple[str, float]]
) -> dict[str, Any]:
    """One opinion; what spoke the other way stands under `counterEvidence`, what spoke neither way under nothing.

    Of an inconclusive one all is evidence: that it does not decide is what all of it together shows.
    """
    said = one.opinion
    toward = {"derived": 1.0, "independent": -1.0, "inconclusive": 0.0}[said.verdict]
    backing = [reference for reference, log10_lr in weighed if log10_lr * toward > 0 or not toward]
    against = [reference for reference, log10_lr in weighed if log10_lr * toward < 0]
    names = {"suspect": name(emission.suspect.label), "candidate": name(said.candidate)}
    claim: dict[str, Any] = {
        "bom-ref": f"claim/{one.reference}",
        "target": one.reference,
        "predicate": SAID[said.verdict].format(**names),
        "reasoning": _reasoning(said),
        "evidence": [whole, *backing],
    }
    return {**claim, "counterEvidence": against} if against else claim


def _reasoning(said: Opinion) -> str:
    """Why, what it is worth, and what it does not mean."""
    ratio = f"log10 LR {view.ratio(said)}." if said.log10_lr is not None else "No likelihood ratio is stated."
    parts = [display(said.because), ratio]
    if said.exact is not None:
        corrected = said.exact.p if said.exact.p_holm is None else said.exact.p_holm
        parts.append(f"Exact p {numbers.p_value(corrected)}.")
    if said.coverage is not None:
        parts.append(f"Share of the suspect read: {numbers.probability(said.coverage)}.")
    return " ".join((*parts, display(said.not_meaning), RATIO))


def _opinion(emission: Emission, one: Compared) -> dict[str, Any]:
    """The fused numbers of an opinion."""
    told = plain(one.opinion)
    kept = (
        "verdict", "relation", "direction", "log10_lr", "lower", "upper", "cap", "population", "cllr", "exact",
        "coverage",
    )  # fmt: skip
    return _evidence(
        emission, f"evidence/{one.reference}", "opinion", "What the weighed findings are worth together.",
        {key: told[key] for key in kept},
    )  # fmt: skip


def _weighed(emission: Emission, one: Compared) -> Iterator[tuple[dict[str, Any], float]]:
    """Findings on this candidate that have a weight, each with it; what has none can speak for no claim."""
    for number, finding in enumerate(emission.dossier.findings, 1):
        if finding.candidate == one.opinion.candidate and finding.weight is not None:
            yield (
                _finding(emission, f"evidence/{one.reference}/finding-{number}", finding),
                finding.weight.log10_lr,
            )


def _finding(emission: Emission, reference: str, finding: Finding) -> dict[str, Any]:
    measured = finding.outcome if isinstance(finding.outcome, Measurement) else None
    summary = measured.summary if measured else ""
    numbers_of = {
        "probe": finding.probe.id,
        "version": finding.probe.version,
        "value": measured.value if measured else None,
        "quantity": measured.quantity if measured else "",
        "weight": plain(finding.weight),
        "exact": plain(finding.exact) if finding.exact else None,
    }
    said = f"{finding.probe.id} {finding.probe.version}: {summary}"
    return _evidence(emission, reference, "finding", said, numbers_of)


def _evidence(
    emission: Emission, reference: str, kind: str, description: str, told: Mapping[str, Any]
) -> dict[str, Any]:
    """One piece of evidence, its numbers attached as JSON under the record's own names."""
    content = json.dumps(rounded(told), sort_keys=True)
    made: dict[str, Any] = {
        "bom-ref": reference,
        "propertyName": f"model-forensics:{kind}",
        "description": display(description),
        "data": [
            {
                "name": kind,
                "contents": {"attachment": {"contentType": "application/json", "content": content}},
            }
        ],
    }
    return {**made, "created": emission.moment} if emission.moment else made
