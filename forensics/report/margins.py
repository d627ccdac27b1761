"""How a behavioural reading stands against the controls, in words; shown, never weighed."""

from __future__ import annotations

from forensics.records import Dossier, Finding, Margin
from forensics.report import numbers


def lines(finding: Finding) -> list[str]:
    """One sentence per reading that was set against the controls; none for other instruments and for controls."""
    return [words(margin) for margin in finding.margins]


def of(dossier: Dossier, label: str) -> list[str]:
    """The same of every finding on one candidate, each with its instrument."""
    found = [finding for finding in dossier.findings if finding.candidate == label]
    return [f"{finding.probe.id}: {line}" for finding in found for line in lines(finding)]


def words(margin: Margin) -> str:
    """The reading, the highest control, and how far apart they are; or that no control speaks."""
    read = f"{margin.inputs or 'reading'} {numbers.cell(margin.reading)}"
    if margin.highest is None or margin.margin is None:
        none = f"none of {margin.controls} gave this reading" if margin.controls else "none was examined"
        return f"{read}; no control speaks ({none})"
    side = "above" if margin.margin > 0 else "below" if margin.margin < 0 else "from"
    size = numbers.cell(abs(margin.margin))
    silent = (
        f", {margin.controls - margin.speaking} more gave none" if margin.speaking < margin.controls else ""
    )
    return (
        f"{read}, {size} {side} the highest of {margin.speaking} control{'s' if margin.speaking != 1 else ''} "
        f"({margin.by}, {numbers.cell(margin.highest)}){silent}"
    )
