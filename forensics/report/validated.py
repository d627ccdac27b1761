"""How well the likelihood ratios did on pairs of known origin, and how near those are to this case.

Read from the reference files of this package, and only where the digest in the record says that the case was weighed by
these very data; otherwise nothing but what the record itself states is shown. Nothing here weighs evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from forensics.readings import Measurement, Scalar, Table
from forensics.records import Dossier, Population, Subject
from forensics.report import numbers
from forensics.report.display import name
from forensics.report.grids import Grid, grid

NEAR = 2.0
"""Factor of width and of depth within which a reference pair is near the case, as in the verdict's rules."""
NAMED = 4
"""Subjects of the same size that are named together."""
STRATA = 14
"""Kinds of derived pairs that are listed, the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """One population's validation, made printable."""

    population: Population
    figures: tuple[tuple[str, str], ...]
    tippett: Grid | None
    strata: Grid | None


@lru_cache(maxsize=1)
def _shipped() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Reference files of the package by id and digest."""
    folder = resources.files("forensics").joinpath("evidence/reference")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    found = [json.loads(file.read_text("utf-8")) for file in files]
    return {(str(c["id"]), str(c["sha256"])): c for c in found if c.get("sha256") and c.get("calibrations")}


def validated(dossier: Dossier) -> tuple[Validated, ...]:
    """Every population of the record, with what its reference file says where this version ships that very one."""
    return tuple(_one(population) for population in dossier.environment.populations)


def _one(population: Population) -> Validated:
    content = _shipped().get((population.id, population.sha256))
    pairs = (
        f"{numbers.count(population.derived_pairs)} derived and {numbers.count(population.unrelated_pairs)} "
        f"unrelated pairs of {population.families} independent families"
    )
    told = [("Pairs", pairs)]
    if population.cllr is not None:
        told.append(("Cllr", _with_interval(population.cllr, population.cllr_lower, population.cllr_upper)))
    if content is None:
        told.append(("In detail", "this version of the program does not carry these reference data"))
        return Validated(population=population, figures=tuple(told), tippett=None, strata=None)
    least = numbers.two_digits(content["cllr_min"]) if content["cllr_min"] else "0"
    told.append(
        (
            "Cllr, at best",
            f"{least} bits after the best recalibration in hindsight: what is lost to overlap alone",
        )
    )
    low, high = content["bounds"]
    told.append(
        ("Bounds", f"log10 LR {numbers.interval(low, high)}, before those of a case’s own instruments")
    )
    return Validated(
        population=population, figures=tuple(told), tippett=_tippett(content), strata=_strata(content)
    )


def _with_interval(cllr: float, lower: float | None, upper: float | None) -> str:
    text = f"{numbers.two_digits(cllr)} bits"
    if lower is not None and upper is not None:
        text += f" (95 %: {numbers.two_digits(lower)} to {numbers.two_digits(upper)})"
    return f"{text}, on families that took no part in the fit"


def _tippett(content: Mapping[str, Any]) -> Grid | None:
    """Rates of misleading evidence: points of the two Tippett curves, at likelihood ratios of 1, 3 and 10."""
    rows: list[tuple[Scalar, ...]] = []
    strata = content.get("strata") or {}
    rates = {label: _misleading(strata, label) for label in ("unrelated", "derived")}
    if all(rate is not None for rate in rates.values()):
        rows.append(("1", *(_rate(rates[label] or 0.0) for label in ("unrelated", "derived"))))
    rows += [
        (f"{point['x']:g}", _rate(point["unrelated_above"]), _rate(point["derived_below"]))
        for point in content["turing"]
    ]
    columns = ("LR beyond", "unrelated pairs above it", "derived pairs below 1 through it")
    return grid(Table(title="Misleading evidence in validation", columns=columns, rows=tuple(rows)))


def _misleading(strata: Mapping[str, Any], label: str) -> float | None:
    """Share of pairs of a kind whose likelihood ratio points the wrong way; None where it is not broken down."""
    own = [one for one in strata.values() if one["label"] == label]
    pairs = sum(one["pairs"] for one in own)
    return sum(one["misleading"] * one["pairs"] for one in own) / pairs if pairs else None


def _rate(share: float) -> str:
    return "none" if share == 0 else numbers.probability(share)


def _strata(content: Mapping[str, Any]) -> Grid | None:
    """Kinds of pairs: all unrelated ones, and the derived ones on which the figures are worst."""
    strata = content.get("strata") or {}
    if not strata:
        return None
    unrelated = [(name, one) for name, one in strata.items() if one["label"] == "unrelated"]
    derived = [(name, one) for name, one in strata.items() if one["label"] == "derived"]
    derived.sort(key=lambda item: (-item[1]["misleading"], item[1]["least"], -item[1]["pairs"], item[0]))
    rows = tuple(
        (
            one["label"], name.replace("-", " ").replace("+", ", then "), one["pairs"], _rate(one["misleading"]),
            numbers.bans(one["least"]), numbers.bans(one["median"]), numbers.bans(one["most"]),
        )
        for name, one in (*unrelated, *derived[:STRATA])
    )  # fmt: skip
    columns = ("truth", "kind of pair", "pairs", "misled", "least log10 LR", "median", "most")
    more = len(derived) - STRATA
    title = "By kind of pair" + (f" ({more} more kinds of derived pairs did no worse)" if more > 0 else "")
    return grid(Table(title=title, columns=columns, rows=rows))


def nearness(dossier: Dossier) -> list[tuple[str, bool, str]]:
    """(what, whether it lies within the reference, in words) of the case's scale, build and readings."""
    contents = [_shipped().get((p.id, p.sha256)) for p in dossier.environment.populations]
    rows = [row for c in contents if c and c.get("fusion") for row in c["fusion"]["rows"]]
    columns: list[str] = next((c["fusion"]["columns"] for c in contents if c and c.get("fusion")), [])
    alike: dict[tuple[str, bool, str], list[str]] = {}
    for subject in dossier.subjects:
        if rows and subject.architecture is not None:
            for what, inside, words in _scale(subject, rows, columns):
                alike.setdefault((what, inside, words), []).append(name(subject.label))
    told = [
        (
            f"{what} of {', '.join(who[:NAMED])}{f' and {len(who) - NAMED} more' if len(who) > NAMED else ''}",
            inside,
            words,
        )
        for (what, inside, words), who in alike.items()
    ]
    return told + _readings(dossier, [c for c in contents if c])


def _scale(subject: Subject, rows: list[list[Any]], columns: list[str]) -> list[tuple[str, bool, str]]:
    """Width and depth of one subject against those of the reference pairs."""
    told = []
    assert subject.architecture is not None
    for what, own in (("width", subject.architecture.width), ("layers", subject.architecture.layers)):
        at = columns.index(what)
        seen = [row[at] for row in rows if row[at]]
        near = [row for row in rows if row[at] and max(row[at], own) <= NEAR * min(row[at], max(own, 1))]
        derived = sum(row[columns.index("label")] == "derived" for row in near)
        inside = min(seen) <= own <= max(seen)
        span = f"{numbers.count(own)}; reference {numbers.count(min(seen))} to {numbers.count(max(seen))}"
        both = f"{numbers.count(derived)} derived and {numbers.count(len(near) - derived)} unrelated pairs"
        words = f"{span}. Within a factor of {NEAR:g}: {both}"
        told.append((what, inside, words))
    return told


def _readings(dossier: Dossier, contents: list[Mapping[str, Any]]) -> list[tuple[str, bool, str]]:
    """Readings that were weighed and lie outside everything that their calibration has seen."""
    ranges = {
        (c["description"], e["probe"]): (e["lowest"], e["highest"])
        for c in contents
        for e in c["calibrations"]
    }
    weighed = [f for f in dossier.findings if f.weight is not None and isinstance(f.outcome, Measurement)]
    outside = []
    for finding in weighed:
        assert finding.weight is not None
        span = ranges.get((finding.weight.population, finding.probe.id))
        value = finding.outcome.value if isinstance(finding.outcome, Measurement) else 0.0
        if span and not span[0] <= value <= span[1]:
            words = f"{numbers.cell(value)}; calibrated on {numbers.cell(span[0])} to {numbers.cell(span[1])}"
            outside.append((f"{finding.probe.id} on {name(finding.candidate)}", False, words))
    inside = len(weighed) - len(outside)
    return [
        *outside,
        ("readings with a weight", True, f"{inside} of {len(weighed)} within the calibrated range"),
    ]
