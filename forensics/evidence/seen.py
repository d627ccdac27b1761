"""What the rules of the propositions may look at: the case, its opinion, and the findings of bundled probes."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.evidence.considered import Considered
from forensics.evidence.opinion import unresolved
from forensics.evidence.thresholds import Thresholds
from forensics.readings import Aspect, Exact, Group, Measurement, SignKind
from forensics.records import Finding, Opinion


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a rule may look at, for one candidate."""

    case: Considered
    opinion: Opinion
    findings: tuple[Finding, ...]
    """Of this candidate, from bundled probes as they come."""
    at: Thresholds

    def spoke(self) -> bool:
        """Whether anything tested descent against independence."""
        return self.case.fused is not None or self.case.smallest_p is not None or bool(self.case.voices)

    def shared(self) -> str:
        """Why independence is rejected whatever the verdict, as the opinion's own words have it; empty if it is not."""
        p = self.case.combined_holm
        if self.case.identical:
            return "The weight files are identical, byte for byte."
        if p is not None and p <= self.at.group_exact_p:
            return f"Exact tests reject an independent origin (together p {p:.1g} after correction)."
        if self.opinion.relation == "shared-initialisation":
            return "The two share an initialisation."
        return ""

    def stratum(self, name: str) -> int:
        """Unrelated reference pairs of this kind behind the weight."""
        return dict(self.case.unrelated_strata).get(name, 0)

    def of(self, aspect: Aspect) -> list[Finding]:
        """Findings of the probes that look at this."""
        return [finding for finding in self.findings if finding.probe.aspect is aspect]

    def tests(self, groups: set[Group]) -> list[tuple[Exact, Finding]]:
        """Exact tests of these tensor groups."""
        return [
            (finding.exact, finding)
            for finding in self.findings
            if isinstance(finding.outcome, Measurement) and finding.outcome.group in groups and finding.exact
        ]

    def details(self, kind: SignKind) -> tuple[str, ...]:
        """What was seen of this kind, one sentence per sign; of partial reuse also what shows across groups."""
        known = [*self.case.signs, *unresolved(self.case, self.at)]
        return tuple(dict.fromkeys(f"{probe}: {sign.detail}." for probe, sign in known if sign.sign is kind))
