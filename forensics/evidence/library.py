"""All reference material of a run: bundled files and what plugins bring, checked and indexed by probe.

One calibration per probe id and one table for the fusion: two of a kind contradict each other and stop the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from forensics.errors import PluginError
from forensics.evidence.calibration import Calibration, calibration_from_json
from forensics.evidence.population import ReferenceTable, table_from_json
from forensics.evidence.scale import VerbalScale, load_scale
from forensics.evidence.thresholds import Thresholds, load_thresholds
from forensics.records import Population

SCHEMA = "forensics-reference/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the weighing knows before it sees a case."""

    calibrations: Mapping[str, Calibration]
    """By probe id."""
    table: ReferenceTable | None
    """For the fusion and for the ceilings of unrelated readings."""
    populations: Mapping[str, Population]
    """By id."""
    thresholds: Thresholds
    scale: VerbalScale


def bundled() -> list[Mapping[str, Any]]:
    """The reference files of the package, in order of name."""
    folder = resources.files("forensics.evidence").joinpath("reference")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name
    )
    found = [json.loads(file.read_text("utf-8")) for file in files]
    return [content for content in found if content.get("schema") == SCHEMA]


def load_reference(
    extra: Iterable[Mapping[str, Any]] = (), brought: Iterable[Mapping[str, Any]] = ()
) -> Reference:
    """Bundled reference files and those that plugins offer; PluginError where any is malformed or doubled.

    For the probes that they calibrate, files `brought` by the examiner go before both.
    """
    brought = tuple(brought)
    covered = {str(entry.get("probe")) for content in brought for entry in _listed(content, "calibrations")}
    kept = [
        {
            **content,
            "calibrations": [e for e in _listed(content, "calibrations") if e.get("probe") not in covered],
        }
        for content in (*bundled(), *extra)
    ]
    return assemble([*kept, *brought])


def accepted(offered: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[PluginError]]:
    """Those of plugins' reference files that go with the bundled ones and each other, and why the rest do not."""
    kept: list[Mapping[str, Any]] = []
    refused: list[PluginError] = []
    for content in offered:
        try:
            assemble([*bundled(), *kept, content])
        except PluginError as error:
            refused.append(error)
        else:
            kept.append(content)
    return kept, refused


def assemble(files: Iterable[Mapping[str, Any]]) -> Reference:
    """A `Reference` from the contents of reference files."""
    populations: dict[str, Population] = {}
    calibrations: dict[str, Calibration] = {}
    table: ReferenceTable | None = None
    for content in files:
        population = _population(content)
        if population.id in populations:
            raise PluginError(f"two reference populations are called {population.id!r}", "rename one of them")
        populations[population.id] = population
        for entry in _listed(content, "calibrations"):
            calibration = calibration_from_json(entry, population.id)
            if calibration.probe in calibrations:
                other = calibrations[calibration.probe].population
                raise PluginError(
                    f"probe {calibration.probe!r} is calibrated by both {other!r} and {population.id!r}",
                    "one calibration per probe id: leave one of them out",
                )
            calibrations[calibration.probe] = calibration
        if content.get("fusion") is not None:
            if table is not None:
                raise PluginError(
                    f"{table.population!r} and {population.id!r} both bring a table for the fusion"
                )
            table = table_from_json(population.id, population.sha256, content["fusion"])
    return Reference(
        calibrations=calibrations,
        table=table,
        populations=populations,
        thresholds=load_thresholds(),
        scale=load_scale(),
    )


def _listed(content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of objects, possibly empty."""
    found = content.get(key) or []
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise PluginError(f"{key!r} of a reference file is not a list of objects")
    return found


def _population(content: Mapping[str, Any]) -> Population:
    """What the record says of a population."""
    if content.get("schema") != SCHEMA:
        raise PluginError(
            f"a calibration has schema {content.get('schema')!r}, not {SCHEMA!r}",
            "see forensics/evidence/reference/README.md for the form",
        )
    try:
        interval = content.get("cllr_interval") or (None, None)
        return Population(
            id=str(content["id"]),
            description=str(content["description"]),
            sha256=str(content["sha256"]),
            families=int(content["families"]),
            derived_pairs=int(content["derived_pairs"]),
            unrelated_pairs=int(content["unrelated_pairs"]),
            cllr=content.get("cllr"),
            cllr_lower=interval[0],
            cllr_upper=interval[1],
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PluginError(f"a reference file lacks a description of its population: {error!r}") from error
