"""weight-std on the published measurements of real models, judged out of fold, as numbers without the measurements.

`summarise` needs the measurements, which are not ours to pass on; what it computes is kept beside this file, bound by
digest to the reference population of the package, so that the report can be written without them.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.validation.merits import (
    LN10,
    Curves,
    Interval,
    Merit,
    coverage_from_rows,
    curves_from,
    curves_of,
    merit_from,
    merit_of,
)
from benchmarks.weight_std_population import CEILING, DRAWS, SEED, pairs, read_families, read_matrix
from forensics.evidence.fitting import Rows
from forensics.evidence.library import bundled, load_reference
from forensics.evidence.statistics import Truth
from forensics.evidence.validation import judge

KEPT = Path(__file__).parent / "published.json"
PROBE, POPULATION = "weight-std", "weight-std-published"
CLAIM = 0.927
"""The correlation on which a public accusation rested."""
NEAR = (0.90, 0.95)
"""Readings like it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Out-of-fold figures of the published population."""

    merit: Merit
    coverage: Interval
    curves: Curves
    near: tuple[int, int, float, float]
    """Unrelated and derived pairs with a correlation within NEAR, and their shares, family cells counting once."""
    above: tuple[int, int, float, float]
    """The same at and above its upper end."""


def summarise(folder: Path) -> dict[str, Any]:
    """The figures from std_profile.csv and cluster.json; refuses another population than the package's."""
    names, matrix = read_matrix(folder / "std_profile.csv")
    found = pairs(names, matrix, read_families(folder / "cluster.json"))
    rows, r = found.rows, found.readings
    package = content()
    if (int(rows.derived.sum()), int((~rows.derived).sum())) != (
        package["derived_pairs"],
        package["unrelated_pairs"],
    ):
        raise SystemExit(f"{folder} does not hold the population {POPULATION} of the package")
    judged = judge(rows, ceiling=CEILING)
    if judged is None:
        raise SystemExit("the measurements hold one kind of pair only")
    return {
        "sha256": package["sha256"],
        "merit": asdict(merit_of(judged, DRAWS, SEED)),
        "coverage": list(coverage_from_rows(rows, DRAWS, SEED, CEILING)),
        "curves": curves_of(judged).as_json(),
        "near": _counted(rows, (r >= NEAR[0]) & (r < NEAR[1])),
        "above": _counted(rows, r >= NEAR[1]),
    }


def _counted(rows: Rows, members: Truth) -> list[float]:
    """Unrelated and derived `members`, then their shares of all such pairs."""
    kinds, mass = (~rows.derived, rows.derived), rows.weights()
    counts = [int((members & kind).sum()) for kind in kinds]
    return [*counts, *(float(mass[members & kind].sum() / mass[kind].sum()) for kind in kinds)]


def keep(found: dict[str, Any], path: Path = KEPT) -> None:
    """Writes them."""
    path.write_text(json.dumps(_short(found), allow_nan=False) + "\n", encoding="utf-8")


def _short(value: Any) -> Any:
    """Six decimals are more than is told."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def kept(path: Path = KEPT) -> Summary | None:
    """What was written for the population that the package holds; None if there is none, or for another one."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["sha256"] != content()["sha256"]:
        return None
    return Summary(
        merit=merit_from(found["merit"]),
        coverage=tuple(found["coverage"]),
        curves=curves_from(found["curves"]),
        near=tuple(found["near"]),
        above=tuple(found["above"]),
    )


def content() -> dict[str, Any]:
    """The package's reference file."""
    return dict(next(found for found in bundled() if found["id"] == POPULATION))


def worth() -> str:
    """The sentence what the claimed correlation is worth."""
    weight = load_reference().calibrations[PROBE].weigh(CLAIM, POPULATION)
    ratio = 10.0**weight.log10_lr
    return (
        f"A std-profile correlation of {CLAIM} has a log10 likelihood ratio of **{weight.log10_lr:+.2f}** "
        f"({weight.lower:+.2f} to {weight.upper:+.2f}; LR {ratio:.2f}, {10.0**weight.lower:.2f} to "
        f"{10.0**weight.upper:.2f}) "
        + (
            "for derivation against independent origin: it says nothing, and the interval holds both directions."
            if weight.lower < 0 < weight.upper and abs(weight.log10_lr) < math.log(2.0) / LN10
            else "for derivation against independent origin."
        )
    )
