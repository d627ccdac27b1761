"""Fits one probe and writes reference files: rounded numbers, one row per line, the same bytes for the same rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forensics.evidence.assessment import Assessed, assess
from forensics.evidence.population import ReferenceTable
from forensics.evidence.statistics import Array, Truth
from forensics.evidence.transforms import Transform

DIGITS = 6
BINS = 24


def rounded(number: float, digits: int = DIGITS) -> float:
    """To so many decimals, without a minus zero."""
    return round(float(number), digits) + 0.0


def edges_for(readings: Array, bins: int = BINS) -> list[float]:
    """Equal bins over all readings; one wide bin around a constant."""
    low, high = float(readings.min()), float(readings.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    edges = [rounded(edge) for edge in np.linspace(low, high, bins + 1)]
    return [min(edges[0], low), *edges[1:-1], max(edges[-1], high)]


def histogram(readings: Array, derived: Truth, edges: Sequence[float]) -> dict[str, list[float] | list[int]]:
    """Counts of both kinds per bin."""
    return {
        "edges": list(edges),
        "unrelated": np.histogram(readings[~derived], bins=edges)[0].tolist(),
        "derived": np.histogram(readings[derived], bins=edges)[0].tolist(),
    }


def validation(assessed: Assessed) -> dict[str, Any]:
    """What a fit is good for, as both a calibration and a population state it."""
    return {
        "families": assessed.families,
        "cllr": rounded(assessed.cllr, 4),
        "cllr_interval": [rounded(end, 4) for end in assessed.cllr_interval],
        "cllr_min": rounded(assessed.cllr_min, 4),
        "elub": list(assessed.elub),
        "bounds": [assessed.bounds.lower, assessed.bounds.upper],
        "turing": [
            {
                "x": c.x,
                "unrelated_above": rounded(c.unrelated_above, 4),
                "derived_below": rounded(c.derived_below, 4),
            }
            for c in assessed.turing
        ],
    }


def calibration(
    probe: str,
    transform: Transform,
    assessed: Assessed,
    readings: Array,
    derived: Truth,
    edges: Sequence[float],
) -> dict[str, Any]:
    """One probe's entry; `readings` untransformed, shape (n,)."""
    fit = assessed.fit
    return {
        "probe": probe,
        "transform": transform.as_json(),
        "intercept": rounded(fit.intercept),
        "slope": rounded(fit.slopes[0]),
        "centre": rounded(fit.centre[0]),
        "spread": rounded(fit.spread[0]),
        **validation(assessed),
        "lowest": rounded(readings.min()),
        "highest": rounded(readings.max()),
        "histogram": histogram(readings, derived, edges),
        "replicas": [[rounded(r.intercept, 4), rounded(r.slopes[0], 4)] for r in assessed.replicas],
    }


def fitted(table: ReferenceTable, probe: str, *, seed: int, draws: int) -> dict[str, Any] | None:
    """The entry of one probe alone; None where the table's pairs cannot carry one."""
    rows = table.select([probe])
    assessed = assess(rows, seed=seed, draws=draws) if rows.derived.size else None
    if assessed is None:
        return None
    k = table.probes.index(probe)
    readings = table.readings[np.isfinite(table.readings[:, k]), k]
    return calibration(probe, table.transforms[k], assessed, readings, rows.derived, edges_for(readings))


def write(path: Path, content: Mapping[str, Any]) -> None:
    """As JSON that a diff can be read of: lists of numbers and table rows stay on one line each."""
    path.write_text(_written(content, 0) + "\n", encoding="utf-8")


def _written(value: Any, depth: int) -> str:
    """Objects and lists of objects or lists are broken into lines, the rest is not."""
    pad, inner = " " * depth, " " * (depth + 1)
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{json.dumps(key)}: {_written(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{pad}}}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "[\n" + ",\n".join(f"{inner}{_written(item, depth + 1)}" for item in value) + f"\n{pad}]"
    if isinstance(value, list) and value and isinstance(value[0], list) and len(value[0]) > 2:
        return "[\n" + ",\n".join(f"{inner}{_flat(item)}" for item in value) + f"\n{pad}]"
    return _flat(value)


def _flat(value: Any) -> str:
    """On one line; not finite numbers are an error."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
