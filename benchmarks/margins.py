"""What probes of behaviour read of descendants, students and strangers of the zoo, alone and against controls.

    python -m benchmarks.margins [--zoo DIR] [--cache DIR] [--jobs 2]

Writes the block `margins` of docs/methods.md. Every descendant is read against its base and against the twins of its
base (same recipe and texts, other seed), every student, pasted model and sharer of an initialisation against the model
it imitates, and all of them against eight controls: bases drawn from those that are neither the candidate nor a twin.
A margin is a reading less the highest one against the controls.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibrate import read_manifest
from benchmarks.measure_pairs import bench_for, measured
from benchmarks.tables import put
from benchmarks.zoo.imitators import IMITATORS
from benchmarks.zoo.pairs import kinship
from benchmarks.zoo.recipes import BASES, descendants

DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"
PROBES = ("activation-overlap", "next-token")
CONTROLS = 8
LIGHT = frozenset(
    {"fine-tuned", "lora-merged", "quantised", "permuted", "rotated", "flipped", "noised", "rescaled"}
)
"""Steps that leave what a model does about as it was; everything else trains long, prunes, narrows or repeats."""
Line = Mapping[str, Any]


def kind_of(suspect: str, candidate: str) -> str:
    """What is true of a pair, as a row of the table."""
    if suspect in descendants():
        if descendants()[suspect].base == candidate:
            light = set(descendants()[suspect].kind.split("+")) <= LIGHT
            return (
                "derived, lightly changed"
                if light
                else "derived, trained long, pruned, merged or new vocabulary"
            )
        return "twin of the base" if kinship(suspect, candidate) == "same-recipe" else "control"
    imitator = IMITATORS.get(suspect)
    if imitator is not None and imitator.imitates == candidate:
        return {"distilled": "student"}.get(imitator.stratum, imitator.stratum)
    return "twin of the base" if kinship(suspect, candidate) == "same-recipe" else "control"


def wanted(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """Every descendant and imitator with its own base or model, its twins, and some bases that are neither."""
    known = set(names)
    for suspect in sorted((set(descendants()) | set(IMITATORS)) & known):
        kinds = {candidate: kind_of(suspect, candidate) for candidate in sorted(set(BASES) & known)}
        controls = [candidate for candidate, kind in kinds.items() if kind == "control"]
        drawn = random.Random(suspect).sample(controls, min(CONTROLS, len(controls)))
        for candidate, kind in kinds.items():
            if kind != "control" or candidate in drawn:
                yield {"suspect": suspect, "candidate": candidate}


def margins(lines: Sequence[Line], probe: str) -> dict[str, list[tuple[float, float]]]:
    """By kind of pair, every reading and its margin over the suspect's controls."""
    read = {(one["suspect"], one["candidate"]): one["readings"][probe].get("value") for one in lines}
    found: dict[str, list[tuple[float, float]]] = {}
    for suspect in sorted({one["suspect"] for one in lines}):
        values = {c: v for (s, c), v in read.items() if s == suspect and v is not None}
        kinds = {candidate: kind_of(suspect, candidate) for candidate in values}
        highest = max((v for c, v in values.items() if kinds[c] == "control"), default=None)
        for candidate, value in sorted(values.items()):
            if kinds[candidate] != "control" and highest is not None:
                found.setdefault(kinds[candidate], []).append((value, value - highest))
    return found


def above(derived: Sequence[float], twins: Sequence[float]) -> float:
    """Share of pairs of a descendant and a twin in which the descendant reads higher; ties count half."""
    one, other = np.asarray(derived)[:, None], np.asarray(twins)[None, :]
    return float(np.mean((one > other) + 0.5 * (one == other)))


def table(lines: Sequence[Line]) -> list[str]:
    """Per probe and kind: pairs, readings, margins, and how often they exceed every twin's."""
    heads = (
        "probe",
        "pair",
        "n",
        "reading: least / median / most",
        "margin over the highest control",
        "margin above 0",
    )
    rows = [f"| {' | '.join(heads)} | reads above a twin |", "|---|---|---|---|---|---|---|"]
    for probe in PROBES:
        found = margins(lines, probe)
        twins = [value for value, _ in found.get("twin of the base", [])]
        for kind, pairs in sorted(found.items()):
            values, over = (np.array(column) for column in zip(*pairs, strict=True))
            against = "" if kind.startswith("twin") or not twins else f"{above(list(values), twins):.0%}"
            cells = [
                probe,
                kind,
                str(len(pairs)),
                _span(values),
                _span(over),
                f"{np.mean(over > 0):.0%}",
                against,
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def _span(values: np.ndarray) -> str:
    """Least, median, most."""
    least, middle, most = np.quantile(values, [0.0, 0.5, 1.0])
    return f"{least:.2f} / {middle:.2f} / {most:.2f}".replace("-", "−")


def main() -> None:
    """Measures what is missing and writes the table."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--zoo", type=Path, default=Path("zoo"))
    arguments.add_argument("--cache", type=Path, default=Path("zoo-readings"))
    arguments.add_argument("--jobs", type=int, default=2)
    given = arguments.parse_args()
    names = read_manifest(given.zoo).checkpoints
    lines = measured(bench_for(given.zoo, given.cache, PROBES), list(wanted(names)), given.jobs)
    rows = table(lines)
    put(DOCUMENT, "margins", "\n".join(rows))
    print("\n".join(rows))


if __name__ == "__main__":
    main()
