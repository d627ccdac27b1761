"""Which figures a report shows, and how many: one histogram per reference population, curves per finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forensics.matrices import Matrix
from forensics.readings import Measurement, Series
from forensics.records import Finding
from forensics.report import figures
from forensics.report.canvas import Drawing
from forensics.report.figures import Bins
from forensics.report.heatmaps import heatmaps
from forensics.report.strips import empty_strip, reach, strip, strip_axis
from forensics.report.view import Answer, ProbeSection

CURVES = 72
"""Findings whose curves are drawn in one report; the record holds the curves of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """The answer's strips by tag, and their common axis."""

    axis: Drawing
    by_tag: Mapping[str, Drawing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A population's counts with the tags and values of every finding that it weighed."""

    population: str
    drawing: Drawing
    marked: tuple[tuple[str, str, float], ...]
    """Tag, label and measured value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Figures of one instrument: histograms, and curves and heat maps by the finding's place in the section."""

    histograms: tuple[Histogram, ...] = ()
    curves: Mapping[int, tuple[Drawing, ...]] = field(default_factory=dict)
    undrawn: int = 0
    """Findings whose curves were left out because the report has enough."""


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


def pictures(sections: Sequence[ProbeSection], tags: Mapping[str, str]) -> tuple[Pictures, ...]:
    """The figures of every instrument, in the order of the sections."""
    made = []
    left = CURVES
    for section in sections:
        curves: dict[int, tuple[Drawing, ...]] = {}
        undrawn = 0
        for place, finding in enumerate(section.findings):
            series, maps = lines(finding), matrices(finding)
            if left == 0:
                undrawn += bool(series or maps)
            elif drawn := (*figures.curves(series), *heatmaps(maps)):
                curves[place] = drawn
                left -= 1
        made.append(Pictures(histograms=_histograms(section.findings, tags), curves=curves, undrawn=undrawn))
    return tuple(made)


def matrices(finding: Finding) -> tuple[Matrix, ...]:
    """The finding's matrices, for heat maps."""
    return finding.outcome.matrices if isinstance(finding.outcome, Measurement) else ()


def lines(finding: Finding) -> tuple[Series, ...]:
    """The finding's own series, or its values per layer where it brings none."""
    found = finding.outcome
    if not isinstance(found, Measurement):
        return ()
    if found.series or sum(value is not None for value in found.layers) < 3:
        return found.series
    layers = tuple(float(i) for i in range(len(found.layers)))
    return (
        Series(
            panel="by layer",
            name=finding.candidate,
            x_label="examined layer",
            y_label="reading",
            x=layers,
            y=found.layers,
        ),
    )


def _histograms(findings: Sequence[Finding], tags: Mapping[str, str]) -> tuple[Histogram, ...]:
    """Findings that met the same reference pairs share one histogram."""
    shared: dict[tuple[str, str, Bins], list[tuple[str, str, float]]] = {}
    for finding in findings:
        counts = figures.bins(finding.background)
        if counts is None or finding.background is None or not isinstance(finding.outcome, Measurement):
            continue
        key = (finding.background.title, finding.outcome.quantity, counts)
        tag = tags.get(finding.candidate, "?")
        shared.setdefault(key, []).append((tag, finding.candidate, finding.outcome.value))
    return tuple(
        Histogram(
            population=population,
            drawing=figures.background(counts, tuple((tag, value) for tag, _, value in marked), quantity),
            marked=tuple(marked),
        )
        for (population, quantity, counts), marked in shared.items()
    )
