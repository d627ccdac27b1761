"""The robustness matrix: what is done to a copied model, and which probes still see where it comes from.

    python -m benchmarks.robustness [--zoo DIR] [--bases llama-a …] [--operations …] [--shares 0 10 100]

Makes every missing cell (see `zoo/laundering.py`), puts every probe to each against its base and writes the table
into docs/methods.md. A probe sees a cell if its exact p is at most 1e-6 or its reading is above that of every
unrelated pair of the packaged reference table, whose verdicts `benchmarks/verdicts.py` tells. So only the bases are
needed, not the whole zoo. Resumable: cells and readings that exist are kept; the readings go into
`laundered-cells.jsonl.gz` as well, from which `--kept` judges again without a checkpoint.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import kept
from benchmarks.measure_pairs import bench_for, measured
from benchmarks.tables import put
from benchmarks.zoo import laundering
from benchmarks.zoo.cells import Cell, made_cells
from forensics.evidence.library import load_reference
from forensics.evidence.population import ReferenceTable
from forensics.evidence.thresholds import load_thresholds

BASES = ("llama-a", "qwen2-a", "gpt2-a", "neox-a", "gemma2-a", "mixtral-a", "mistral-n", "llama-x")
"""One of each kind: gated and not, RMSNorm and LayerNorm, with and without biases, norms behind, experts; the last two
are 64 and 256 wide."""
DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"
KEPT = Path(__file__).parent / "laundered-cells.jsonl.gz"


def ceilings(table: ReferenceTable) -> dict[str, float]:
    """The largest reading of each probe over all unrelated pairs of the reference."""
    unrelated = table.readings[~table.derived]
    return {
        probe: float(np.nanmax(unrelated[:, column]))
        for column, probe in enumerate(table.probes)
        if np.isfinite(unrelated[:, column]).any()
    }


def sees(reading: Mapping[str, Any], ceiling: float | None) -> bool:
    """Whether a probe sees the descent: exactly, or above every unrelated pair."""
    exact, value = reading.get("p"), reading.get("value")
    by_value = value is not None and ceiling is not None and value > ceiling
    return by_value or (exact is not None and exact <= load_thresholds().group_exact_p)


def seen(line: Mapping[str, Any], highest: Mapping[str, float]) -> dict[str, bool]:
    """Per probe with a tensor group and a reading, whether it sees the descent."""
    readings = line["readings"].items()
    return {p: sees(r, highest.get(p)) for p, r in readings if r.get("group") and r.get("value") is not None}


def rows(
    cells: Sequence[Cell], lines: Sequence[Mapping[str, Any]], highest: Mapping[str, float]
) -> list[list[str]]:
    """One row per operation and share of training: per probe how many of the bases it sees, and the whole."""
    by_row: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for cell, line in zip(cells, lines, strict=True):
        by_row[cell.operation, cell.share].append(line)
    probes = weighing_probes(lines)
    table = []
    for (operation, share), found in by_row.items():
        per_cell = [seen(line, highest) for line in found]
        told = [
            f"{sum(c[p] for c in per_cell if p in c)}/{sum(p in c for c in per_cell)}"
            if any(p in c for c in per_cell)
            else "–"
            for p in probes
        ]
        groups = [
            {line["readings"][p]["group"] for p, yes in c.items() if yes}
            for line, c in zip(found, per_cell, strict=True)
        ]
        two = f"**{sum(len(g) >= 2 for g in groups)}/{len(groups)}**"
        verdicts = f"{sum(line['verdict'] == 'derived' for line in found)}/{len(found)}"
        table.append([operation, f"{share} %", *told, two, verdicts])
    return table


def weighing_probes(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Probes that speak for a tensor group anywhere, by id."""
    return sorted({p for line in lines for p, reading in line["readings"].items() if reading.get("group")})


def missed(
    cells: Sequence[Cell], lines: Sequence[Mapping[str, Any]], highest: Mapping[str, float]
) -> list[str]:
    """Cells that fewer than two tensor groups see."""
    few = []
    for cell, line in zip(cells, lines, strict=True):
        groups = {line["readings"][p]["group"] for p, yes in seen(line, highest).items() if yes}
        if len(groups) < 2:
            few.append(
                f"{cell.base}, {cell.operation}, {cell.share} %: {', '.join(sorted(groups)) or 'nothing'}"
            )
    return few


def table_text(cells: Sequence[Cell], lines: Sequence[Mapping[str, Any]], unrelated: ReferenceTable) -> str:
    """The generated block of docs/methods.md."""
    highest, probes = ceilings(unrelated), weighing_probes(lines)
    twins = unrelated.strata.count("same-recipe")
    head = ["operation", "trained on", *probes, "two groups", "derived"]
    body = [head, ["---"] * len(head), *rows(cells, lines, highest)]
    few = missed(cells, lines, highest)
    return "\n".join(
        [
            (
                f"{len(cells)} laundered copies of {len({c.base for c in cells})} bases "
                f"({', '.join(sorted({c.base for c in cells}))}); x/n counts bases; a probe sees one if its exact p "
                f"is at most 1e-6 or its reading is above all of {int((~unrelated.derived).sum())} unrelated pairs "
                f"({twins} of one recipe)."
            ),
            "",
            *("| " + " | ".join(row) + " |" for row in body),
            "",
            f"Seen by fewer than two tensor groups ({len(few)}): {'; '.join(few) or 'none'}.",
        ]
    )


def tell(found: kept.Kept) -> None:
    """Judges the cells and writes the table."""
    reference = load_reference()
    if reference.table is None:
        raise SystemExit("the package brings no reference table")
    lines = [{**line, "verdict": line["opinion"].verdict} for line in found.judged(reference)]
    cells = [
        Cell(base=line["candidate"], operation=line["stratum"], share=int(line["share"])) for line in lines
    ]
    text = table_text(cells, lines, reference.table)
    put(DOCUMENT, "robustness", text)
    print(text)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zoo", type=Path, default=Path(__file__).parent / "zoo" / "checkpoints")
    parser.add_argument("--bases", nargs="+", default=BASES)
    parser.add_argument(
        "--operations", nargs="+", choices=laundering.OPERATIONS, default=list(laundering.OPERATIONS)
    )
    parser.add_argument("--shares", nargs="+", type=int, default=laundering.SHARES)
    parser.add_argument("--cache", type=Path, help="sketches and readings (default: ZOO/measured)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--make-only", action="store_true", help="make the checkpoints and stop")
    parser.add_argument("--made", action="store_true", help="only cells that are there, none is made")
    parser.add_argument("--kept", action="store_true", help=f"judge the cells in {KEPT.name} anew, and stop")
    return parser.parse_args()


def main() -> None:
    """Makes, measures, writes."""
    given = arguments()
    if given.kept:
        tell(kept.load(KEPT))
        return
    order = [
        Cell(base=b, operation=o, share=s)
        for s in given.shares
        for o in given.operations
        for b in given.bases
    ]
    there = [cell for cell in order if (given.zoo / cell.name).exists()] if given.made else None
    cells = made_cells(given.zoo, order, given.jobs) if there is None else there
    if given.make_only:
        return
    bench = bench_for(given.zoo, given.cache or given.zoo / "measured")
    pairs = [
        {
            "suspect": c.name,
            "candidate": c.base,
            "label": "derived",
            "stratum": c.operation,
            "share": str(c.share),
        }
        for c in cells
    ]
    found = kept.of_bench(bench, measured(bench, pairs, given.jobs))
    kept.write(KEPT, found)
    tell(found)


if __name__ == "__main__":
    main()
