"""How an outcome is entered in the record: under its instrument, with all that can change a reading."""

from __future__ import annotations

from forensics.archive import settled
from forensics.readings import Outcome
from forensics.records import Finding, ProbeUsed
from forensics.registry import Offered


def finding(
    offered: Offered, label: str, outcome: Outcome, precisions: tuple[str, str] | None = None
) -> Finding:
    """A probe's outcome for the candidate or control `label`, as it reads from the file."""
    mine, theirs = precisions or ("", "")
    made: Finding = settled(
        Finding(
            probe=instrument(offered),
            candidate=label,
            outcome=outcome,
            suspect_precision=mine,
            candidate_precision=theirs,
        )
    )
    return made


def instrument(offered: Offered) -> ProbeUsed:
    """The probe, with everything that can change its reading."""
    probe = offered.probe
    return ProbeUsed(
        id=probe.id,
        version=probe.version,
        title=probe.title,
        measures=probe.measures,
        parameters=probe.parameters(),
        origin=offered.origin,
        needs=probe.needs,
        expected=probe.expected,
        standard=offered.standard,
        aspect=probe.aspect,
    )
