"""The cells of the robustness matrix: laundered copies of bases of the zoo, made side by side and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.zoo import laundering
from forensics.errors import ForensicsError


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
