"""From measured pairs to the content of a calibration file: what each probe's reading is worth, or why nothing.

The form is that of a reference file (forensics/evidence/reference/README.md) without a table for the fusion; the rows
stand under `table`, for whoever wants to check or extend it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forensics.calibrating.pairs import PairList
from forensics.calibrating.precision import coarsest
from forensics.calibrating.reference_file import fitted, rounded
from forensics.calibrating.running import Measured
from forensics.errors import CaseError
from forensics.evidence.library import SCHEMA, load_reference
from forensics.evidence.population import COLUMNS, ReferenceTable, rows_digest, table_from_json
from forensics.evidence.thresholds import load_thresholds
from forensics.evidence.transforms import Transform
from forensics.registry import Offered

SEED, DRAWS = 20_251_124, 200
CORRELATION = Transform(kind="atanh", low=-0.99, high=0.99)
"""For readings within [−1, 1]: correlations, and rates that behave like one."""


def content_of(listed: PairList, measured: Measured, name: str, *, draws: int = DRAWS) -> dict[str, Any]:
    """The whole file under the id that begins with `name`. CaseError where no probe can be calibrated."""
    probes = sorted(measured.offered)
    rows = _rows(measured, probes)
    digest = rows_digest(probes, rows)
    known = load_reference().calibrations
    table = {
        "probes": {
            p: known[p].transform.as_json()
            if p in known
            else _transform([row[COLUMNS.index("readings")][k] for row in rows]).as_json()
            for k, p in enumerate(probes)
        },
        "seed": SEED,
        "draws": draws,
        "columns": list(COLUMNS),
        "rows": rows,
    }
    entries, refused = _calibrations(table_from_json(name, digest, table), measured)
    if not entries:
        reasons = "; ".join(f"{probe}: {why}" for probe, why in refused.items()) or "nothing was measured"
        raise CaseError(
            f"no probe can be calibrated: {reasons}",
            "add pairs of further families; what was measured is kept",
        )
    return {
        "schema": SCHEMA,
        "id": f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:60] or 'calibration'}-{digest[:12]}",
        "description": _described(listed, measured, rows),
        "source": _source(listed),
        "sha256": digest,
        "derived_pairs": sum(row[2] == "derived" for row in rows),
        "unrelated_pairs": sum(row[2] == "unrelated" for row in rows),
        "cells": {label: len({row[4] for row in rows if row[2] == label}) for label in ("derived", "unrelated")},
        "families": min(entry["families"] for entry in entries),
        "without_weight": dict(sorted({**refused, **measured.insufficient}.items())),
        "left_out": [[one.suspect, one.candidate, one.reason] for one in measured.left_out],
        "checkpoints": _checkpoints(listed, measured),
        "calibrations": entries,
        "table": table,
    }  # fmt: skip


def _rows(measured: Measured, probes: Sequence[str]) -> list[list[Any]]:
    """One row per pair in the order of `COLUMNS`."""
    rows = []
    for line in measured.lines:
        pair, unrelated = line.pair, line.pair.label == "unrelated"
        both = [measured.subjects[m] for m in (pair.suspect, pair.candidate)]
        shapes = [one.architecture for one in both if one.architecture]
        found = [line.readings.get(probe, {}) for probe in probes]
        rows.append([
            pair.suspect, pair.candidate, pair.label, pair.kind, pair.cell, list(pair.families),
            min((shape.width for shape in shapes), default=0),
            min((shape.layers for shape in shapes), default=0),
            coarsest(name for one in both for name in one.dtypes),
            [_number(one.get("value")) for one in found],
            [_number(one.get("peak")) if unrelated else None for one in found],
        ])  # fmt: skip
    return sorted(rows, key=lambda row: row[:2])


def _number(found: Any) -> float | None:
    """To the digits a table keeps; None for what is no finite number."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return rounded(found, 5)


def _transform(readings: Sequence[float | None]) -> Transform:
    """By the range of what a probe reads, where no bundled calibration says which."""
    values = [value for value in readings if value is not None] or [0.0]
    low, high = min(values), max(values)
    if low >= -1.0 and high <= 1.0:
        return CORRELATION
    return Transform(kind="identity", low=low, high=high if high > low else low + 1.0)


def _calibrations(table: ReferenceTable, measured: Measured) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """An entry per probe that enough families answered for, and why the others get none."""
    least = load_thresholds().fusion_families
    entries, refused = [], {}
    for probe in table.probes:
        rows = table.select([probe])
        sides = [int(np.unique(rows.families[side]).size) for side in (rows.derived, ~rows.derived)]
        entry = fitted(table, probe, seed=table.seed, draws=table.draws) if min(sides) >= least else None
        if entry is None:
            refused[probe] = (
                f"it answered for derived pairs of {sides[0]} and unrelated pairs of {sides[1]} independent families; "
                f"{least} of each are needed{_silence(measured, probe)}"
            )
        else:
            entries.append({**entry, **_instrument(measured.offered[probe])})
    return entries, refused


def _silence(measured: Measured, probe: str) -> str:
    """What a probe said most often instead of a reading."""
    said = Counter(str(line.readings.get(probe, {}).get("none", ""))[:200] for line in measured.lines)
    del said[""]
    most = said.most_common(1)
    return f" ({most[0][1]} pairs: {most[0][0]})" if most else ""


def _instrument(offered: Offered) -> dict[str, str]:
    """Which probe the readings are of; another version is not weighed by them."""
    return {"version": offered.probe.version, "distribution": offered.origin.distribution}


def _described(listed: PairList, measured: Measured, rows: Sequence[Sequence[Any]]) -> str:
    """The population in one sentence, for the reader of a dossier."""
    families = {family for row in rows for family in row[5]}
    kinds = Counter(str(row[3])[:40] for row in rows if row[2] == "derived")
    widths = [width for row in rows if (width := row[COLUMNS.index("width")])] or [0]
    told = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common(6))
    how = "first looks at" if measured.quick else "readings of"
    return (
        f"{how} {len({m for row in rows for m in row[:2]})} checkpoints of {len(families)} families, {min(widths)} to "
        f"{max(widths)} wide, paired by {listed.name[:80]}: {sum(kinds.values())} derived ({told}) and "
        f"{len(rows) - sum(kinds.values())} unrelated; brought to this case by the examiner"
    )


def _source(listed: PairList) -> str:
    """Where the labels come from."""
    named = sorted({pair.source for pair in listed.pairs if pair.source})
    labels = f"; labels from {', '.join(named)}" if named else ""
    return f"forensics calibrate on {listed.name[:80]}, SHA-256 {listed.sha256}{labels}"[:2000]


def _checkpoints(listed: PairList, measured: Measured) -> list[list[str]]:
    """Name, family, digest and commit of every checkpoint that was read."""
    return [
        [name, listed.models[name].family, subject.digest, subject.commit]
        for name, subject in sorted(measured.subjects.items())
    ]


def summary(content: Mapping[str, Any]) -> list[str]:
    """What the file says, a line per probe."""
    lines = [f"{content['derived_pairs']} derived and {content['unrelated_pairs']} unrelated pairs"]
    for entry in content["calibrations"]:
        low, high = entry["cllr_interval"]
        lines.append(
            f"{entry['probe']}: {entry['families']} families, Cllr {entry['cllr']:.3f} [{low:.3f}, {high:.3f}], log10 "
            f"LR within {entry['bounds'][0]:.2f} and {entry['bounds'][1]:.2f}"
        )
    return lines + [f"{probe}: no weight, {why}" for probe, why in content["without_weight"].items()]
