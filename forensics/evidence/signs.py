"""Signs that restrain a verdict: those the probes saw, and one that only shows across probes.

Weights of the MLP or attention that agree coordinate by coordinate while trained norm gains and biases do not
are what two trainings from one initialisation leave behind: gains start at 1 and biases at 0 in every model, so
their agreement is learned and inherited, while the weights still remember the draw. Biases remember a little of it
too (two GPT-2 of one initialisation agree in them at p = 1e-8), so gains and biases must both agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from forensics.evidence.thresholds import Thresholds
from forensics.readings import Abstention, Group, Measurement, Sign, SignKind
from forensics.records import Finding


def gathered(findings: Sequence[Finding], thresholds: Thresholds) -> tuple[tuple[str, Sign], ...]:
    """Probe id and sign, for every sign against one candidate, in order of probe id."""
    seen = [
        (finding.probe.id, sign)
        for finding in findings
        if isinstance(finding.outcome, Measurement | Abstention)
        for sign in finding.outcome.signs
    ]
    inferred = shared_initialisation(findings, thresholds)
    return tuple(seen if inferred is None else [*seen, inferred])


def shared_initialisation(findings: Sequence[Finding], thresholds: Thresholds) -> tuple[str, Sign] | None:
    """The sign of a shared initialisation alone, if exact tests show it; None where either kind is missing."""
    drawn = _smallest(findings, {Group.MLP, Group.ATTENTION})
    trained = _largest(findings, {Group.NORM_AND_BIAS})
    if drawn is None or trained is None:
        return None
    if drawn[0] > thresholds.group_exact_p or trained[0] <= thresholds.trained_exact_p:
        return None
    detail = (
        f"{drawn[1]} agrees coordinate by coordinate (exact p {drawn[0]:.1g}) while {trained[1]}, "
        f"which carries no initialisation, does not (exact p {trained[0]:.1g})"
    )
    return drawn[1], Sign(sign=SignKind.SHARED_INITIALISATION, detail=detail)


def _smallest(findings: Sequence[Finding], groups: set[Group]) -> tuple[float, str] | None:
    """Smallest corrected exact p among probes of these groups, with the probe's id."""
    return min(_tested(findings, groups), default=None)


def _largest(findings: Sequence[Finding], groups: set[Group]) -> tuple[float, str] | None:
    """The largest: where gains and biases were both tested, both must agree."""
    return max(_tested(findings, groups), default=None)


def _tested(findings: Sequence[Finding], groups: set[Group]) -> list[tuple[float, str]]:
    """Corrected exact p-values of probes of these groups, with the probes' ids."""
    return [
        (finding.exact.p_holm, finding.probe.id)
        for finding in findings
        if isinstance(finding.outcome, Measurement)
        and finding.outcome.group in groups
        and finding.exact is not None
        and finding.exact.p_holm is not None
    ]
