"""Exact p-values put to the zoo: conservative on its unrelated pairs, and how often they see each kind of descendant.

    python -m benchmarks.nulls [--zoo DIR] [--cache DIR]

Writes the block `nulls` of docs/methods.md. Two bases are unrelated, whatever text and recipe they share. Pairs that
share a model depend on each other: shares over all pairs are told as they are, and the test of uniformity uses pairs of
which no two share a model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

from benchmarks.calibrate import Zoo, read_manifest
from benchmarks.measure_pairs import bench_for, measured
from benchmarks.tables import put

DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"
LEVELS = (0.1, 0.01, 0.001)
STRONG = 1e-6
"""At most this, and an exact p speaks for its tensor group."""
SEED = 0
Line = Mapping[str, Any]


def pairs_of(zoo: Zoo) -> list[dict[str, str]]:
    """The manifest's pairs of bases, twins of one recipe apart, then those of descendants and of imitators."""
    names = {c["name"] for c in zoo.checkpoints.values() if c["kind"] == "base"}
    strangers = [
        {**p, "stratum": "twins of one recipe" if p["stratum"] == "same-recipe" else "other bases"}
        for p in zoo.pairs
        if {p["suspect"], p["candidate"]} <= names
    ]
    others = [p for p in zoo.pairs if not {p["suspect"], p["candidate"]} <= names]
    imitators = {"pasted", "distilled", "same-initialisation"}
    kept = [dict(p) for p in others if p["label"] == "derived" or p["stratum"] in imitators]
    return strangers + kept


def ps_of(lines: Iterable[Line], probe: str) -> list[float]:
    """Exact p-values of a probe over the lines on which it gave one."""
    found = (line["readings"].get(probe, {}).get("p") for line in lines)
    return [float(p) for p in found if p is not None]


def disjoint(lines: Sequence[Line], seed: int = SEED) -> list[Line]:
    """As many pairs as one pass in random order finds of which no two share a model; blind to the p-values."""
    taken: set[str] = set()
    kept = []
    for k in np.random.default_rng(seed).permutation(len(lines)):
        sides = {lines[k]["suspect"], lines[k]["candidate"]}
        if not sides & taken:
            taken |= sides
            kept.append(lines[k])
    return kept


def law_row(probe: str, name: str, lines: Sequence[Line]) -> str:
    """One probe on one kind of unrelated pairs: smallest p, how many at each level, test for too small ones."""
    ps = ps_of(lines, probe)
    if not ps:
        return f"| {probe} | {name} | 0 | – | – | – | – | – |"
    low = " | ".join(
        f"{sum(p <= level for p in ps)} ({sum(p <= level for p in ps) / len(ps):.1%})" for level in LEVELS
    )
    apart = ps_of(disjoint([x for x in lines if x["readings"].get(probe, {}).get("p") is not None]), probe)
    ks = kstest(apart, "uniform", alternative="greater").pvalue
    return f"| {probe} | {name} | {len(ps)} | {min(ps):.2g} | {low} | {ks:.2f} ({len(apart)}) |"


def power_row(stratum: str, label: str, lines: Sequence[Line], probes: Sequence[str]) -> str:
    """One stratum: of the pairs on which a probe gave an exact p, on how many it was at most `STRONG`."""
    cells = []
    for probe in probes:
        ps = ps_of(lines, probe)
        cells.append(f"{sum(p <= STRONG for p in ps)}/{len(ps)}" if ps else "–")
    return f"| {stratum} ({label}) | {' | '.join(cells)} |"


def tables(lines: Sequence[Line]) -> str:
    """Both tables."""
    probes = sorted({n for x in lines for n, r in x["readings"].items() if r.get("p") is not None})
    strata: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        strata.setdefault((line["label"], line["stratum"]), []).append(line)
    strangers = ("twins of one recipe", "other bases", "distilled")
    law = [
        law_row(probe, name, strata[("unrelated", name)])
        for probe in probes
        for name in strangers
        if ("unrelated", name) in strata
    ]
    order = sorted(key for key in strata if key[1] not in strangers)
    power = [power_row(stratum, label, strata[label, stratum], probes) for label, stratum in order]
    return "\n".join(
        [
            "| probe | unrelated pairs | with a p | smallest | ≤ 0.1 | ≤ 0.01 | ≤ 0.001 | KS p (disjoint pairs) |",
            "|---|---|---|---|---|---|---|---|",
            *law,
            "",
            f"Pairs with an exact p of at most {STRONG:g}, of those with one:",
            "",
            f"| pairs | {' | '.join(probes)} |",
            f"|---|{'---|' * len(probes)}",
            *power,
        ]
    )


def main() -> int:
    """Measures and writes the block."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--zoo", type=Path, default=Path("benchmarks/zoo/checkpoints"))
    parser.add_argument(
        "--cache", type=Path, help="where sketches and readings are kept; default: ZOO/measured"
    )
    parser.add_argument("--probes", nargs="*", default=(), help="default: every bundled probe")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    bench = bench_for(arguments.zoo, arguments.cache or arguments.zoo / "measured", arguments.probes)
    lines = measured(bench, pairs_of(read_manifest(arguments.zoo)), arguments.jobs)
    text = tables(lines)
    print(text)
    put(DOCUMENT, "nulls", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
