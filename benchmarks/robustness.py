"""The robustness matrix: what is done to a copied model, and which probes still see where it comes from.

    python -m benchmarks.robustness [--zoo DIR] [--bases llama-a …] [--operations …] [--shares 0 10 100]

Makes every missing cell (see `zoo/laundering.py`), puts every probe to each against its base and writes the table
into docs/methods.md. A probe sees a cell if its exact p is at most 1e-6 or its reading is above that of every
unrelated pair of the packaged reference table, whose verdicts `benchmarks/verdicts.py` tells. So only the bases are
needed, not the whole zoo. Resumable: cells and readings that exist are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure_pairs import Bench, bench_for, measured
from benchmarks.tables import put
from benchmarks.verdicts import judge
from benchmarks.zoo import laundering
from forensics.errors import ForensicsError
from forensics.evidence.library import Reference, load_reference
from forensics.evidence.population import ReferenceTable
from forensics.evidence.thresholds import load_thresholds

BASES = ("llama-a", "qwen2-a", "gpt2-a", "neox-a", "gemma2-a", "mixtral-a", "mistral-n", "llama-x")
"""One of each kind: gated and not, RMSNorm and LayerNorm, with and without biases, norms behind, experts; the last two
are 64 and 256 wide."""
DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One checkpoint of the matrix."""

    base: str
    operation: str
    share: int

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.base}@{self.operation.replace(' + ', '+').replace(' ', '-')}@{self.share}"


def make(zoo: Path, cell: Cell) -> str:
    """Makes one cell's checkpoint, unless it is there; the reason where the architecture lacks the operation."""
    from benchmarks.zoo import training
    from benchmarks.zoo.build import write_checkpoint
    from benchmarks.zoo.operations import load
    from benchmarks.zoo.recipes import BASES as RECIPE_OF
    from benchmarks.zoo.recipes import RECIPES

    record = zoo / "laundered" / f"{cell.name}.json"
    if record.exists():
        return str(json.loads(record.read_text())["refused"])
    training.prepare_process()
    recipe = RECIPES[RECIPE_OF[cell.base]]
    text = "code-b" if recipe.slice != "code-b" else "prose-a"
    bench = laundering.Bench(tokenizer=recipe.tokenizer, slice=text, seed=sum(map(ord, cell.name)))
    started, refused = time.monotonic(), ""
    source = trained(cell)
    try:
        if source is not None and (why := make(zoo, source)):
            raise ForensicsError(why)
        if source is None:
            model = laundering.launder(load(zoo / cell.base), cell.operation, cell.share, bench)
        else:
            steps = laundering.trained_once(cell.operation)[1]
            model = laundering.finish(load(zoo / source.name), cell.operation, steps, bench)
        write_checkpoint(model, zoo / cell.name, bench.tokenizer, "bfloat16")
    except ForensicsError as error:
        refused = str(error)
    record.write_text(json.dumps({"refused": refused}) + "\n")
    print(f"{cell.name:60} {time.monotonic() - started:5.1f} s {refused}", flush=True)
    return refused


def trained(cell: Cell) -> Cell | None:
    """The cell whose training serves this one too, as training commutes with what comes after it."""
    shared, steps = laundering.trained_once(cell.operation)
    return Cell(base=cell.base, operation=shared, share=cell.share) if cell.share and steps else None


def made_cells(zoo: Path, cells: Sequence[Cell], jobs: int) -> list[Cell]:
    """Cells whose architecture has the operation, made side by side; what others are made of comes first."""
    (zoo / "laundered").mkdir(exist_ok=True)
    sources = {source for cell in cells if (source := trained(cell)) is not None}
    first = [*(cell for cell in cells if trained(cell) is None), *(sources - set(cells))]
    refusals: dict[Cell, str] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for group in (first, [cell for cell in cells if trained(cell) is not None]):
            refusals |= zip(group, pool.map(make, [zoo] * len(group), group), strict=True)
    return [cell for cell in cells if not refusals[cell]]


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


def with_verdicts(
    bench: Bench, lines: Sequence[dict[str, Any]], reference: Reference
) -> list[dict[str, Any]]:
    """Lines with the verdict that the whole gives on each pair."""
    return [{**line, "verdict": judge(bench, line, reference).verdict} for line in lines]


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


def main() -> None:
    """Makes, measures, writes."""
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
    given = parser.parse_args()
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
    reference = load_reference()
    if reference.table is None:
        raise SystemExit("the package brings no reference table")
    bench = bench_for(given.zoo, given.cache or given.zoo / "measured")
    pairs = [
        {"suspect": c.name, "candidate": c.base, "label": "derived", "stratum": c.operation} for c in cells
    ]
    lines = with_verdicts(bench, measured(bench, pairs, given.jobs), reference)
    text = table_text(cells, lines, reference.table)
    put(DOCUMENT, "robustness", text)
    print(text)


if __name__ == "__main__":
    main()
