"""The report as Markdown and its figures, from what the package holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.validation import charts, covariates, parts, published, tables, words
from benchmarks.validation.merits import Interval, coverage_of, curves_of, merit_of
from benchmarks.validation.population import Population, Reading, load, reading, wider
from benchmarks.validation.tables import Told
from forensics.evidence.coverage import halves_coverage
from forensics.evidence.validation import cost
from forensics.report.canvas import Drawing

DRAWS = 200
"""Bootstrap samples of families behind every interval of a cost."""
SPLITS, HALF_DRAWS = 6, 40
WIDEST = 128
"""Widths up to this one judge wider ones (issue: leave-scale-out); the bins below it are told as well."""
FUSED = "**fused**"
FAMILY, ARCHITECTURE = "leave-family-out", "leave-architecture-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The page, and drawings by file name."""

    page: str
    figures: Mapping[str, Drawing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """All that was judged, once."""

    population: Population
    probes: tuple[Told, ...]
    fused: Told
    regimes: Mapping[str, Told]
    """The fusion by what was left out."""
    absent: tuple[int, ...]
    """Widths beyond which there is nothing to judge."""


def judgements(population: Population) -> Judgements:
    """Every probe and the fusion on families left out; the fusion on architectures and widths left out."""
    table, fused = population.table, population.fused
    found = [reading(population, probe, (probe,)) for probe in table.probes]
    regimes: dict[str, Reading | None] = {
        FAMILY: reading(population, FUSED, fused),
        ARCHITECTURE: reading(population, FUSED, fused, population.architectures),
    }
    absent = []
    for width in sorted({WIDEST, *(int(w) for w in np.unique(population.widths)[1:-1])}):
        scaled = wider(population, fused, width)
        if scaled is None:
            absent.append(width)
        else:
            regimes[f"leave-scale-out: {scaled.name}"] = scaled
    told = {name: _told(population, each) for name, each in regimes.items() if each is not None}
    if FAMILY not in told:
        raise SystemExit("the table cannot carry a fusion")
    return Judgements(
        population=population,
        probes=tuple(_told(population, each) for each in found if each is not None),
        fused=told[FAMILY],
        regimes=told,
        absent=tuple(absent),
    )


def _told(population: Population, each: Reading) -> Told:
    """With its numbers."""
    return Told(reading=each, merit=merit_of(each.judged, DRAWS, population.table.seed))


def report() -> Report:
    """The whole."""
    found = judgements(load())
    real = published.kept()
    figures = _figures(found, real)
    return Report(page=_page(found, real, figures), figures=figures)


def _figures(found: Judgements, real: published.Summary | None) -> dict[str, Drawing]:
    """By file name."""
    regimes = {"fused-families.svg": FAMILY, "fused-architectures.svg": ARCHITECTURE}
    drawn = {
        name: charts.triple(curves_of(found.regimes[of].reading.judged), f"the fused log10 LR, {of}")
        for name, of in regimes.items()
        if of in found.regimes
    }
    curves = {told.reading.name: curves_of(told.reading.judged) for told in found.probes}
    for kind in charts.KINDS:
        drawn[f"probes-{kind.lower()}.svg"] = charts.panels(curves, kind)
    if real is not None:
        drawn["weight-std-published.svg"] = charts.triple(real.curves, "weight-std on published real models")
    return drawn


def _page(found: Judgements, real: published.Summary | None, figures: Mapping[str, Drawing]) -> str:
    """Title to end."""
    text = [
        words.opening(found.population, found.fused.merit),
        *_whole(found, figures),
        *_unseen(found),
        *_portions(found),
        "## Do the intervals hold?",
        words.COVERAGE,
        tables.coverages(_coverages(found)),
        "## Published measurements of real models",
        *_real(real, figures),
        "## What this can and cannot say about a 72B model",
        words.large(found.population, found.fused.merit),
    ]
    return "\n\n".join(words.wrapped(part) for part in text if part) + "\n"


def _whole(found: Judgements, figures: Mapping[str, Drawing]) -> list[str]:
    """The targets, and every probe with its plots."""
    missed = [name for name, told in found.regimes.items() if not told.merit.reached]
    costliest = parts.costliest(found.population, found.fused.reading)
    return [
        "## Main figures",
        tables.floors({name: told.merit for name, told in found.regimes.items()}),
        words.target(missed, found.absent, WIDEST, costliest),
        "## Per probe and fused",
        words.MERITS,
        tables.merits({told.reading.name: told.merit for told in (*found.probes, found.fused)}),
        _shown(figures, "fused-families.svg", "fused-architectures.svg"),
        _shown(figures, *(f"probes-{kind.lower()}.svg" for kind in charts.KINDS)),
        words.PLOTS,
    ]


def _unseen(found: Judgements) -> list[str]:
    """What was left out of the fit, and what misleads then."""
    regimes = {f"fused, {name}": told.merit for name, told in found.regimes.items()}
    return [
        "## What was left out of the fit",
        words.LEFT_OUT,
        tables.merits(regimes),
        words.TRANSFER,
        tables.transfers(_transfers(found)),
        "## Misleading evidence and Turing's bound",
        words.TURING,
        tables.turings(regimes | {told.reading.name: told.merit for told in found.probes}),
    ]


def _portions(found: Judgements) -> list[str]:
    """Per operation, scale and architecture."""
    population, every = found.population, [*found.probes, found.fused]
    return [
        "## Per operation",
        words.STRATA,
        parts.strata(population, found.fused.reading),
        words.MATRIX,
        parts.by_stratum(population, every),
        "## Per scale",
        words.SCALE,
        parts.by_group(parts.width_groups(population), every, "narrower width"),
        words.CEILINGS,
        parts.ceilings(population),
        words.COVARIATES,
        tables.transfers({told.reading.name: covariates.costs(population, told.reading) for told in every}),
        "## Per architecture",
        words.ARCHITECTURES,
        parts.by_group(parts.architecture_groups(population), every, "architecture"),
    ]


def _transfers(found: Judgements) -> dict[str, dict[str, float]]:
    """Cllr of every probe and the fusion by what was left out."""
    population, told = found.population, {}
    cuts = [int(name.split("above ")[1].split()[0]) for name in found.regimes if "above" in name]
    for each in (found.fused, *found.probes):
        probes = each.reading.probes
        costs = {
            FAMILY: each.reading,
            ARCHITECTURE: reading(population, "", probes, population.architectures),
        }
        costs |= {f"widths above {cut} by those up to {cut}": wider(population, probes, cut) for cut in cuts}
        told[each.reading.name] = {
            name: math.nan if r is None else cost(r.judged) for name, r in costs.items()
        }
    return told


def _coverages(found: Judgements) -> dict[str, Interval]:
    """Without one family; between halves for the fusion, which is what an opinion rests on."""
    rows, seed = found.fused.reading.rows, found.population.table.seed
    told = [found.fused, *found.probes]
    covered = {
        f"{t.reading.name}, without one family": coverage_of(found.population, t.reading) for t in told
    }
    halves = halves_coverage(rows, SPLITS, HALF_DRAWS, seed)
    return {f"{FUSED}, one half by the other (0.83 expected)": halves} | covered


def _real(real: published.Summary | None, figures: Mapping[str, Drawing]) -> list[str]:
    """What the package's own fit says, and the out-of-fold figures where they were computed for it."""
    told = [words.published(published.content()), published.worth()]
    if real is None:
        return [*told, words.NOT_SUMMARISED]
    merit = {"weight-std, published": real.merit}
    return [
        *told,
        words.readings(published.NEAR, real.near, real.above),
        tables.merits(merit),
        tables.turings(merit),
        tables.coverages({"weight-std, published, without one family": real.coverage}),
        _shown(figures, "weight-std-published.svg"),
    ]


def _shown(figures: Mapping[str, Drawing], *names: str) -> str:
    """Pictures with their sentences."""
    return "\n\n".join(f"![{figures[name].alt}](figures/{name})" for name in names if name in figures)
