"""Calibrations and the fusion's table from a lineage zoo, as a reference file.

    python -m benchmarks.calibrate --zoo benchmarks/zoo/checkpoints
    python -m benchmarks.calibrate --refit    # the same readings, fitted anew: no checkpoint is needed

Measures every labelled pair of the zoo's manifest with every bundled probe, fits what the probes' readings are
worth on families left out, and writes rows, fits and validation. Fails below 11 families: their log10 is the
least cap under which a fused weight can reach the verdict's threshold.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure_pairs import bench_for, measured
from benchmarks.voting import ANCHORS, BESIDE, CALIBRATED_ELSEWHERE, TRANSFORM, VOTES
from forensics.calibrating.precision import coarsest
from forensics.calibrating.reference_file import fitted, rounded, validation, write
from forensics.evidence.assessment import Assessed, assess
from forensics.evidence.fusion import choose
from forensics.evidence.population import COLUMNS, ReferenceTable, rows_digest, table_from_json
from forensics.evidence.thresholds import load_thresholds

PRECISIONS = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}
POPULATION = "lineage-zoo"
SEED, DRAWS = 20_251_124, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """The manifest's checkpoints by name, and its pairs."""

    checkpoints: Mapping[str, Mapping[str, Any]]
    pairs: tuple[Mapping[str, str], ...]


def read_manifest(folder: Path) -> Zoo:
    """What the zoo's builder says it holds."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if not manifest["complete"]:
        print("the zoo is not complete; calibrating on what is there", flush=True)
    checkpoints = {checkpoint["name"]: checkpoint for checkpoint in manifest["checkpoints"]}
    return Zoo(checkpoints=checkpoints, pairs=tuple(manifest["pairs"]))


def table_rows(zoo: Zoo, lines: Sequence[Mapping[str, Any]], probes: Sequence[str]) -> list[list[Any]]:
    """Rows of the table in the order of `COLUMNS`; families are draws of initial weights."""
    rows = []
    for line in lines:
        sides = [zoo.checkpoints[line[side]] for side in ("suspect", "candidate")]
        found = [line["readings"].get(probe, {}) for probe in probes]
        unrelated = line["label"] == "unrelated"
        row = {
            "suspect": line["suspect"],
            "candidate": line["candidate"],
            "label": line["label"],
            "stratum": line["stratum"],
            "cell": line["family_cell"],
            "families": sorted({side["initialisation"] for side in sides}),
            "width": min(side["width"] for side in sides),
            "layers": min(side["layers"] for side in sides),
            "precision": coarsest(PRECISIONS[side["dtype"]] for side in sides),
            "readings": [_number(reading.get("value")) for reading in found],
            "layer_peaks": [_number(reading.get("peak")) if unrelated else None for reading in found],
        }
        rows.append([row[column] for column in COLUMNS])
    return sorted(rows, key=lambda row: row[:2])


def _number(found: float | None) -> float | None:
    """To the digits the table keeps."""
    return None if found is None else rounded(found, 5)


def _fusion(rows: list[list[Any]], probes: Sequence[str], versions: Mapping[str, str]) -> dict[str, Any]:
    """The table of the fusion."""
    return {
        "probes": {probe: TRANSFORM.as_json() for probe in probes},
        "seed": SEED,
        "draws": DRAWS,
        "beside": [probe for probe in BESIDE if probe in probes],
        "votes": {what: list(members) for what, members in VOTES.items()},
        "anchors": [probe for probe in ANCHORS if probe in probes],
        "versions": {probe: versions[probe] for probe in probes},
        "columns": list(COLUMNS),
        "rows": rows,
    }


def reference(
    rows: list[list[Any]], probes: Sequence[str], description: str, versions: Mapping[str, str]
) -> dict[str, Any]:
    """The content of the reference file; SystemExit if the population cannot carry an opinion."""
    fusion = _fusion(rows, probes, versions)
    digest = rows_digest(list(probes), rows)
    table = table_from_json(POPULATION, digest, fusion)
    least = load_thresholds().fusion_families
    together = choose(table, probes, least)
    assessed = assess(table.select(together), seed=SEED, draws=DRAWS)
    if assessed is None or assessed.families < least:
        families = 0 if assessed is None else assessed.families
        raise SystemExit(f"{families} independent families; {least} are needed before a weight can count")
    return {
        "schema": "forensics-reference/1",
        "id": POPULATION,
        "description": description,
        "source": "benchmarks/zoo, reproducible from its recipes and seeds",
        "sha256": digest,
        "derived_pairs": int(table.derived.sum()),
        "unrelated_pairs": int((~table.derived).sum()),
        "cells": {
            "derived": int(np.unique(table.cells[table.derived]).size),
            "unrelated": int(np.unique(table.cells[~table.derived]).size),
        },
        "fused": list(together),
        "slopes": {
            " or ".join(members): rounded(slope, 4)
            for members, slope in zip(table.ballot(together), assessed.fit.slopes, strict=True)
        },
        **validation(assessed),
        "strata": strata(table, together, assessed),
        "calibrations": [entry for probe in probes if (entry := _calibrated(table, probe)) is not None],
        "fusion": fusion,
    }


def _calibrated(table: ReferenceTable, probe: str) -> dict[str, Any] | None:
    """One probe alone; None where it is calibrated elsewhere or the zoo cannot carry it."""
    if probe in CALIBRATED_ELSEWHERE:
        return None
    entry = fitted(table, probe, seed=SEED, draws=DRAWS)
    if entry is None:
        print(f"{probe}: too few families, left without a calibration", flush=True)
    return entry


def strata(table: ReferenceTable, probes: Sequence[str], assessed: Assessed) -> dict[str, dict[str, Any]]:
    """Per stratum: pairs judged, share that misleads, and the range of out-of-fold log10 LR within bounds."""
    columns = [table.probes.index(probe) for probe in probes]
    complete = np.flatnonzero(np.isfinite(table.readings[:, columns]).all(axis=1))
    log10 = np.clip(assessed.llr / np.log(10.0), assessed.bounds.lower, assessed.bounds.upper)
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(set(table.strata)):
        members = [
            at
            for at, row in enumerate(complete)
            if table.strata[row] == name and np.isfinite(assessed.llr[at])
        ]
        if members:
            derived = bool(table.derived[complete[members[0]]])
            reached = log10[members]
            misled = (reached <= 0) if derived else (reached > 0)
            found[name] = {
                "label": "derived" if derived else "unrelated",
                "pairs": len(members),
                "misleading": rounded(misled.mean(), 3),
                "least": rounded(reached.min(), 3),
                "median": rounded(np.median(reached), 3),
                "most": rounded(reached.max(), 3),
            }
    return found


def described(zoo: Zoo, rows: Sequence[Sequence[Any]]) -> str:
    """The population in one sentence, for the reader of a dossier."""
    families = {family for row in rows for family in row[COLUMNS.index("families")]}
    architectures = {c["architecture"] for c in zoo.checkpoints.values()}
    widths = [c["width"] for c in zoo.checkpoints.values()]
    return (
        f"small language models trained for this purpose: {len(families)} initialisations, {len(architectures)} "
        f"architectures, {min(widths)} to {max(widths)} wide; unrelated pairs include twins of one recipe, models "
        "of one initialisation trained apart, pasted embeddings and norms, and distilled students"
    )


def _report(content: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
    """The figures for whoever runs this."""
    for entry in content["calibrations"]:
        shown = {
            key: entry[key] for key in ("families", "cllr", "cllr_interval", "cllr_min", "elub", "bounds")
        }
        print(entry["probe"], shown)
    print("fused", {key: content[key] for key in ("fused", "slopes", "families", "cells", "cllr", "cllr_interval",
                                                  "cllr_min", "elub", "bounds", "turing")})  # fmt: skip
    for name, stratum in content["strata"].items():
        print(f"  {name:32}", stratum)
    reasons = Counter(
        (probe, reading["none"][:90])
        for line in lines
        for probe, reading in line["readings"].items()
        if "none" in reading
    )
    for (probe, why), count in reasons.most_common(40):
        print(f"  {count:4} × {probe}: {why}")


def refitted(path: Path) -> dict[str, Any]:
    """The content of a reference file fitted anew on the rows that it holds."""
    held = json.loads(path.read_text(encoding="utf-8"))
    fusion = held["fusion"]
    return reference(fusion["rows"], list(fusion["probes"]), held["description"], fusion["versions"])


def measured_anew(given: argparse.Namespace) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
    """The content of the reference file from a zoo's checkpoints, and the lines that were measured."""
    zoo = read_manifest(given.zoo)
    bench = bench_for(given.zoo, given.cache or given.zoo / "measured")
    lines = measured(bench, zoo.pairs, given.jobs)
    known = sorted({*BESIDE, *(probe for members in VOTES.values() for probe in members)})
    probes = [p for p in known if any("value" in line["readings"].get(p, {}) for line in lines)]
    rows = table_rows(zoo, lines, probes)
    versions = {probe.id: probe.version for probe in bench.probes()}
    return reference(rows, probes, described(zoo, rows), versions), lines


def main() -> None:
    """Measures, fits, writes, prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--zoo", type=Path)
    source.add_argument("--refit", action="store_true", help="keep the readings in --out and fit them anew")
    parser.add_argument("--out", type=Path, default=Path("forensics/evidence/reference/lineage-zoo.json"))
    parser.add_argument("--cache", type=Path, help="sketches and readings (default: ZOO/measured)")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    content, lines = (refitted(given.out), ()) if given.refit else measured_anew(given)
    write(given.out, content)
    _report(content, lines)


if __name__ == "__main__":
    main()
