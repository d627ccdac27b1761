"""Exact p-values of one case, corrected for their number; they stand beside the weights, never inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from forensics.readings import P_FLOOR, Exact, Measurement
from forensics.records import Finding

Key = TypeVar("Key")


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given, valid under any dependence; floored at 1e-12.

    Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    order = sorted(range(len(ps)), key=lambda k: ps[k])
    adjusted, highest = [0.0] * len(ps), P_FLOOR
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[k]))
        adjusted[k] = highest
    return adjusted


def enter_exact(findings: Sequence[Finding]) -> list[Finding]:
    """Findings with `exact` copied from the measurement and corrected over every exact test of the case."""
    tests: list[tuple[int, Exact]] = [
        (k, finding.outcome.exact)
        for k, finding in enumerate(findings)
        if isinstance(finding.outcome, Measurement) and finding.outcome.exact is not None
    ]
    corrected = holm([exact.p for _, exact in tests])
    entered = list(findings)
    for (k, exact), p in zip(tests, corrected, strict=True):
        entered[k] = replace(entered[k], exact=replace(exact, p_holm=p))
    return entered


def combined(findings: Sequence[Finding], labels: Sequence[str]) -> Mapping[str, Exact]:
    """One exact p per candidate or control over the bundled probes that gave one, then Holm's correction over labels.

    p = min(1, K · min p₁…p_K), Bonferroni: valid whatever the dependence, and probes that read the same tensors do
    depend. A harmonic mean must be multiplied by about e·ln K to be as valid (Vovk and Wang 2020, Biometrika
    107:791), which gains at most a tenth for four probes and loses where one probe alone sees descent; the mean of
    e-values κp^(κ−1) turns 1e-12 into some 1e-6 at κ = 1/2. Defeat: a strong probe pays for each blind one beside it.
    A stranger's probe takes no part: its p may restrain a verdict, not state one. Nor does a probe of no tensor group,
    such as one of a vision tower, of which the same public one may stand beside both.
    """
    return pooled_each(
        {label: [f for f in findings if f.candidate == label] for label in dict.fromkeys(labels)}
    )


def pooled_each(comparisons: Mapping[Key, Sequence[Finding]]) -> Mapping[Key, Exact]:
    """As `combined`, of any comparisons by key; Holm's correction over those that gave an exact p."""
    pooled = {key: _pooled(findings) for key, findings in comparisons.items()}
    found = {key: exact for key, exact in pooled.items() if exact is not None}
    corrected = holm([exact.p for exact in found.values()])
    pairs = zip(found.items(), corrected, strict=True)
    return {key: replace(exact, p_holm=p) for (key, exact), p in pairs}


def _pooled(findings: Sequence[Finding]) -> Exact | None:
    """Bonferroni over the bundled probes of one candidate; None where none gave an exact p."""
    bundled = sorted((f for f in findings if f.probe.origin.bundled), key=lambda f: f.probe.id)
    found = [
        (f.probe.id, f.exact)
        for f in bundled
        if f.exact is not None and isinstance(f.outcome, Measurement) and f.outcome.group is not None
    ]
    if not found:
        return None
    return Exact(
        p=max(P_FLOOR, min(1.0, len(found) * min(exact.p for _, exact in found))),
        null_hypothesis="the two were initialised and trained independently, in every tensor that was tested",
        method=f"Bonferroni over {len(found)} exact tests: {', '.join(probe for probe, _ in found)}",
    )
