"""Which figures a report shows, and how many: one histogram per reference population, pictures per finding.

Every picture has the unrelated population in it: the reference pairs of its reading, the controls of the case, or both.
A large case would bring hundreds of pictures; `PICTURES` of them are drawn, turn by turn over the instruments, and
within an instrument the candidates with the highest readings first, then controls. The record holds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forensics.readings import Measurement
from forensics.records import Finding
from forensics.report import histograms, numbers, populations
from forensics.report.canvas import Drawing
from forensics.report.populations import Bins
from forensics.report.selection import Exhibited, drawn
from forensics.report.strips import empty_strip, reach, strip, strip_axis
from forensics.report.view import Answer, ProbeSection
from forensics.report.waterfalls import waterfall

PICTURES = 40
"""Pictures of findings that are drawn in one report; the record holds what all would show."""
WEIGHED = 12
"""Opinions whose making is drawn."""
MARKED = 16
"""Findings that one histogram marks, those with the highest readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """The answer's strips by tag, and their common axis."""

    axis: Drawing
    by_tag: Mapping[str, Drawing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A population's counts with the tags and values of every finding that it weighed."""

    population: str
    """Which pairs they are and how many, and how many findings are not marked."""
    drawing: Drawing
    marked: tuple[tuple[str, str, float], ...]
    """Tag, label and measured value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Figures of one instrument: histograms, and other pictures by the finding's place in the section."""

    histograms: tuple[Histogram, ...] = ()
    curves: Mapping[int, tuple[Drawing, ...]] = field(default_factory=dict)
    """Each with its caption as its note."""
    undrawn: int = 0
    """Findings whose pictures were left out because the report has enough."""


def strips(answers: Sequence[Answer]) -> Strips:
    """One strip per opinion on one common axis."""
    half = reach([a.opinion.cap for a in answers if a.opinion.cap is not None])
    made: dict[str, Drawing] = {}
    for answer in answers:
        opinion = answer.opinion
        if opinion.log10_lr is None:
            made[answer.tag] = empty_strip(half)
            continue
        lower = opinion.log10_lr if opinion.lower is None else opinion.lower
        upper = opinion.log10_lr if opinion.upper is None else opinion.upper
        cap = half if opinion.cap is None else opinion.cap
        made[answer.tag] = strip(opinion.log10_lr, lower, upper, cap, half)
    return Strips(axis=strip_axis(half), by_tag=made)


def weighed(answers: Sequence[Answer]) -> dict[str, Drawing]:
    """How the weight came about, over reference pairs weighed alike, by tag: the strongest first, then as they come.

    The tables of an opinion beyond the first `WEIGHED` say the same in numbers.
    """
    ranked = sorted(answers, key=lambda a: (a.role == "control", -abs(a.opinion.log10_lr or 0.0)))
    made = ((answer.tag, waterfall(answer.tag, answer.opinion)) for answer in ranked[:WEIGHED])
    return {tag: drawing for tag, drawing in made if drawing is not None}


def pictures(sections: Sequence[ProbeSection], tags: Mapping[str, str]) -> tuple[Pictures, ...]:
    """The figures of every instrument, in the order of the sections."""
    shown = [Exhibited.of(section.findings, tags) for section in sections]
    made: list[dict[int, tuple[Drawing, ...]]] = [{} for _ in sections]
    undrawn = [0 for _ in sections]
    left = PICTURES
    for turn in range(max((len(one.order) for one in shown), default=0)):
        for at, one in enumerate(shown):
            if turn >= len(one.order):
                continue
            place = one.order[turn]
            if left <= 0:
                undrawn[at] += 1
            elif found := drawn(one, place):
                made[at][place] = found[:left]
                undrawn[at] += len(found) > left
                left -= len(found[:left])
    return tuple(
        Pictures(
            histograms=_histograms(section.findings, tags),
            curves=dict(sorted(drawings.items())),
            undrawn=left_out + one.beyond,
        )
        for section, one, drawings, left_out in zip(sections, shown, made, undrawn, strict=True)
    )


def _histograms(findings: Sequence[Finding], tags: Mapping[str, str]) -> tuple[Histogram, ...]:
    """Findings that met the same reference pairs share one histogram."""
    shared: dict[tuple[str, str, Bins], list[tuple[str, str, float]]] = {}
    for finding in findings:
        counts = populations.bins(finding.background)
        if counts is None or finding.background is None or not isinstance(finding.outcome, Measurement):
            continue
        key = (finding.background.title, finding.outcome.quantity, counts)
        tag = tags.get(finding.candidate, "?")
        shared.setdefault(key, []).append((tag, finding.candidate, finding.outcome.value))
    return tuple(
        _histogram(population, quantity, counts, marked)
        for (population, quantity, counts), marked in shared.items()
    )


def _histogram(
    population: str, quantity: str, counts: Bins, found: Sequence[tuple[str, str, float]]
) -> Histogram:
    """One histogram with the highest readings marked, in the order of the record."""
    least = sorted((value for *_, value in found), reverse=True)[:MARKED][-1]
    marked = tuple(mark for mark in found if mark[2] >= least)[:MARKED]
    more = len(found) - len(marked)
    said = f"{population}; {populations.pairs(counts)}"
    said += f"; {numbers.count(more)} lower readings are in the record" if more else ""
    drawing = histograms.background(counts, tuple((tag, value) for tag, _, value in marked), quantity)
    return Histogram(population=said, drawing=drawing, marked=marked)
