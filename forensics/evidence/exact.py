"""Exact p-values of one case, corrected for their number; they stand beside the weights, never inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forensics.readings import P_FLOOR, Exact, Measurement
from forensics.records import Finding


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
