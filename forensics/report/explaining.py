"""Which rule gave a verdict, and how far each condition was from turning: `forensics explain`."""

from __future__ import annotations

import math

from forensics.errors import ReportError
from forensics.records import Condition, Dossier, Opinion
from forensics.report import margins, relations
from forensics.report.display import display

UNITS = {"weight": "log10 LR", "groups": "groups", "layers": "of the layers", "coverage": "of the parameters"}
"""What a rule counts in; rules that are not named count occurrences."""


def explanation(dossier: Dossier, label: str) -> str:
    """What gave the verdict on one candidate or control, as lines; ReportError for a label that is not in the case."""
    opinions = {opinion.candidate: opinion for opinion in (*dossier.opinions, *dossier.controls)}
    if label not in opinions:
        raise ReportError(f"{display(label)} is no candidate or control of this case", _names(opinions))
    opinion = opinions[label]
    if not opinion.conditions:
        raise ReportError("this dossier holds no conditions", "investigate again with this version")
    lines = [f"{display(label)}: {opinion.verdict}", f"  {display(opinion.because)}", ""]
    for toward in ("derived", "independent"):
        applied = [c for c in opinion.conditions if c.toward == toward]
        unmet = [c for c in applied if not c.met]
        lines.append(f"{toward} asks for {len(applied)} conditions; {len(applied) - len(unmet)} are met")
        for condition in applied:
            mark = "met    " if condition.met else "NOT met"
            lines += [f"  {mark}  {display(condition.found)}", f"           {margin(condition)}"]
        lines.append("")
    return "\n".join(
        [*lines, *_turning(opinion), *_against_controls(dossier, label), *_propositions(opinion)]
    )


def _names(opinions: dict[str, Opinion]) -> str:
    return f"one of: {', '.join(display(name) for name in opinions)}"


def margin(condition: Condition) -> str:
    """How far the value was from the line, in the rule's own unit; for a p in powers of ten."""
    value, line = condition.value, condition.least if condition.least is not None else condition.most
    if value is None or line is None:
        return "no number to hold against the line"
    side = "above" if value > line else "below" if value < line else "on"
    if condition.rule == "exact":
        decades = abs(math.log10(max(value, 1e-12)) - math.log10(line))
        return f"{decades:.1f} powers of ten {side} the line of {line:g}"
    if side == "on":
        return f"on the line of {line:g}"
    told = UNITS.get(condition.rule, "found")
    away = abs(value - line)
    size = f"{away:.1%}" if condition.rule in {"layers", "coverage"} else f"{away:.2g}"
    return f"{size} {told} {side} the line of {line:g}"


def _turning(opinion: Opinion) -> list[str]:
    """What would have to change for another verdict."""
    if opinion.verdict == "inconclusive":
        lines = []
        for toward in ("derived", "independent"):
            unmet = [c.rule for c in opinion.conditions if c.toward == toward and not c.met]
            lacking = f"still wants: {', '.join(unmet)}" if unmet else "is held back: see the first lines"
            lines.append(f"{toward} {lacking}")
        return lines
    held = [c for c in opinion.conditions if c.toward == opinion.verdict]
    return [
        f"{opinion.verdict} stands on all {len(held)} conditions; any one of them unmet makes it inconclusive",
    ]


def _against_controls(dossier: Dossier, label: str) -> list[str]:
    """Readings of behaviour against the controls, which decide nothing; none of a control or in older dossiers."""
    told = margins.of(dossier, label)
    return (
        [
            "",
            "behaviour against the controls (no rule of a verdict)",
            *(f"  {display(line)}" for line in told),
        ]
        if told
        else []
    )


def _propositions(opinion: Opinion) -> list[str]:
    """Each proposition with its standing, its grounds and those that it is not told from; none in older dossiers."""
    lines = ["", "propositions"] if opinion.propositions else []
    for one in opinion.propositions:
        lines.append(f"  {one.standing:<12}  {relations.short(one.id)}: {display(one.words)}")
        lines += [f"                {display(ground)}" for ground in one.grounds]
        if one.not_told_from:
            lines.append(f"                not told from: {relations.not_told_from(one)}")
    return lines
