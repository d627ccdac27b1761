"""What the published measurements of 137 real models say about `weight-std`, as a reference file.

    python -m benchmarks.weight_std_population --measurements FOLDER

Reads TensorLock's matrix of averaged std-profile correlations and its list of families, weighs every family cell
once, fits a logistic on atanh(r) and writes coefficients and counts. The measurements themselves are not ours
to pass on and are not written.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from forensics.calibrating.reference_file import calibration, rounded, validation, write
from forensics.evidence.assessment import Assessed, assess
from forensics.evidence.fitting import Rows
from forensics.evidence.statistics import Array
from forensics.evidence.transforms import Transform

DOUBTFUL = ("Qwen_Qwen2.5-1.5B", "Qwen_Qwen2-VL-2B")
"""Families of these two may be an undisclosed lineage: no pair between them counts as unrelated."""
TRANSFORM = Transform(kind="atanh", low=-0.999, high=0.999)
"""Above 0.999 a pair is a near copy whatever the last digits say; unlimited, the near copies' atanh of up to 9
would stretch the line until 0.99 weighed no more than 0.9."""
CEILING = 0.70
"""log10 of 5: depth curves read the recipe as well as the lineage (decision 7)."""
SEED, DRAWS = 20_250_701, 200
EDGES = [-1.0, -0.6, -0.4, -0.2, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875,
         0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The pairs of the matrix: readings untransformed, shape (n,), with what is true of them."""

    readings: Array
    rows: Rows


def _key(name: str) -> str:
    """One spelling for ids written with "/" in one file and "_" in another."""
    return name.replace("/", "_")


def read_matrix(path: Path) -> tuple[list[str], Array]:
    """Model ids and the symmetric matrix of r."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file))
    names = [_key(name) for name in header[1:]]
    if [_key(line[0]) for line in lines] != names:
        raise SystemExit(f"{path}: rows and columns are not the same models")
    return names, np.array([[float(cell) for cell in line[1:]] for line in lines])


def read_families(path: Path) -> dict[str, int]:
    """The family of every model, numbered as in the file."""
    families: list[list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return {_key(name): number for number, members in enumerate(families) for name in members}


def pairs(names: list[str], matrix: Array, family: dict[str, int]) -> Published:
    """Every pair of models with one reading, without the doubtful cell."""
    doubtful = {family[name] for name in DOUBTFUL}
    readings, families, cells = [], [], []
    for i, j in combinations(range(len(names)), 2):
        cell = tuple(sorted((family[names[i]], family[names[j]])))
        if set(cell) != doubtful:
            readings.append(float(matrix[i, j]))
            families.append(cell)
            cells.append(cell[0] * len(family) + cell[1])
    both = np.array(families, dtype=np.intp)
    r = np.array(readings)
    rows = Rows(
        features=TRANSFORM(r)[:, None],
        derived=both[:, 0] == both[:, 1],
        families=both,
        cells=np.unique(cells, return_inverse=True)[1].astype(np.intp),
        family_count=len(set(family.values())),
    )
    return Published(readings=r, rows=rows)


def reference(published: Published, assessed: Assessed) -> dict[str, Any]:
    """The content of the reference file."""
    rows, r = published.rows, published.readings
    kinds = {"derived": rows.derived, "unrelated": ~rows.derived}
    digest = hashlib.sha256(json.dumps([rows.families.tolist(), r.tolist()]).encode()).hexdigest()
    return {
        "schema": "forensics-reference/1",
        "id": "weight-std-published",
        "description": (
            "published averaged std-profile correlations of 137 real models in 17 families; derived pairs are "
            "fine-tunes, merges and quantised copies, so heavy continued training with upcycling is not represented"
        ),
        "source": (
            "TensorLock/TensorLock, evaluation/RQ4_effectiveness/cluster (std profile) and evaluation/Benchmark "
            "(families), commit d2562ed5; only fitted coefficients, quantiles and counts are given here"
        ),
        "left_out": "pairs of the families of Qwen2.5-1.5B and Qwen2-VL-2B: possibly an undisclosed lineage",
        "sha256": digest,
        "derived_pairs": int(rows.derived.sum()),
        "unrelated_pairs": int((~rows.derived).sum()),
        "cells": {kind: int(np.unique(rows.cells[members]).size) for kind, members in kinds.items()},
        "quantiles": {
            kind: quantiles(r[members], rows.weights()[members]) for kind, members in kinds.items()
        },
        **validation(assessed),
        "calibrations": [calibration("weight-std", TRANSFORM, assessed, r, rows.derived, EDGES)],
        "fusion": None,
    }


def quantiles(readings: Array, weights: Array) -> dict[str, float]:
    """Of the readings, every family cell counting once."""
    order = np.argsort(readings)
    reached = np.cumsum(weights[order]) / weights.sum()
    wanted = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    return {f"{q:g}": rounded(readings[order][np.searchsorted(reached, q)], 3) for q in wanted}


def main() -> None:
    """Reads, fits, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--measurements", type=Path, required=True, help="folder with std_profile.csv and cluster.json"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("forensics/evidence/reference/weight-std-published.json")
    )
    given = parser.parse_args()
    names, matrix = read_matrix(given.measurements / "std_profile.csv")
    published = pairs(names, matrix, read_families(given.measurements / "cluster.json"))
    assessed = assess(published.rows, seed=SEED, draws=DRAWS, ceiling=CEILING)
    if assessed is None:
        raise SystemExit("the measurements hold one kind of pair only")
    write(given.out, reference(published, assessed))
    found = reference(published, assessed)
    print(
        {
            key: found[key]
            for key in (
                "families",
                "cells",
                "cllr",
                "cllr_interval",
                "cllr_min",
                "elub",
                "bounds",
                "quantiles",
            )
        }
    )


if __name__ == "__main__":
    main()
