"""The generated parts of README and docs: `python -m tests.readme` writes them, a test compares them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.commands import reference

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def probes() -> str:
    """One row per bundled probe."""
    from forensics.evidence.weighing import load_reference
    from forensics.registry import Registry

    calibrated = load_reference().calibrations
    rows = ["| probe | looks at | needs | weighed by |", "|---|---|---|---|"]
    for name, offered in Registry.load(only_bundled=True).probes.items():
        probe = offered.probe
        weighed = calibrated[name].population if name in calibrated else "nothing: leads only"
        rows.append(f"| `{name}` | {probe.title} | {probe.needs} | {weighed} |")
    return "\n".join(rows)


def formats() -> str:
    """Places, containers, quantisations, then architectures by layout; all from the code that reads them."""
    from forensics.checkpoint.formats import FORMATS, PLACES
    from forensics.checkpoint.layout import supported
    from forensics.checkpoint.quantised import schemes_table

    places = [f"| {what} | {how} |" for what, how in PLACES]
    containers = [f"| {f.title} | {f.covers} |" for f in FORMATS]
    schemes = [f"| {title} | {covers} | {precisions} |" for title, covers, precisions in schemes_table()]
    named = [(layout, kinds) for layout, kinds in supported() if not layout.startswith("gguf")]
    types = [f"| `{layout}` | {', '.join(kinds)} |" for layout, kinds in named]
    ggufs = {kind for layout, kinds in supported() if layout.startswith("gguf") for kind in kinds}
    types.append(f"| `gguf…` | GGUF's names, for {len(ggufs)} types |")
    return "\n".join([
        "| place | |", "|---|---|", *places, "",
        "| container | |", "|---|---|", *containers, "",
        "| quantised weights | read tensor by tensor, without a GPU | precision |", "|---|---|---|", *schemes, "",
        "| layout | `model_type` |", "|---|---|", *types,
    ])  # fmt: skip


def figures() -> str:
    """What the lineage zoo's validation says, per probe, fused and per stratum."""
    path = ROOT / "forensics" / "evidence" / "reference" / "lineage-zoo.json"
    zoo = json.loads(path.read_text(encoding="utf-8"))
    counts = f"{zoo['families']} families, {zoo['derived_pairs']} derived and {zoo['unrelated_pairs']} unrelated pairs"
    rows = [
        f"{counts} in {zoo['cells']['unrelated']} cells. Cllr is out of fold, in bits: 0 is perfect, 1 says nothing.",
        "",
        "| probe | Cllr [95 %] | Cllr_min | bounds (log10 LR) |",
        "|---|---|---|---|",
    ]
    for name, fit in [*((c["probe"], c) for c in zoo["calibrations"]), ("**fused**", zoo)]:
        low, high = fit["cllr_interval"]
        bounds = f"{fit['bounds'][0]:+.2f} to {fit['bounds'][1]:+.2f}"
        rows.append(
            f"| {name} | {fit['cllr']:.3f} [{low:.3f}, {high:.3f}] | {fit['cllr_min']:.3f} | {bounds} |"
        )
    fused = sum(told["pairs"] for told in zoo["strata"].values())
    rows += [
        "",
        f"Fused figures rest on the {fused} pairs on which all of {', '.join(zoo['fused'])} gave a reading.",
        "",
        "| stratum | truth | pairs | least | median | most (fused log10 LR, out of fold) |",
        "|---|---|---|---|---|---|",
    ]
    for name, told in zoo["strata"].items():
        numbers = " | ".join(f"{told[key]:+.2f}" for key in ("least", "median", "most"))
        rows.append(f"| {name} | {told['label']} | {told['pairs']} | {numbers} |")
    return "\n".join([*rows, "", *ranges(zoo["fusion"])])


def ranges(table: Mapping[str, Any]) -> list[str]:
    """Least and largest reading per probe and stratum."""
    columns, probes = table["columns"], list(table["probes"])
    seen: dict[tuple[str, str], list[list[float]]] = {}
    for row in table["rows"]:
        told = dict(zip(columns, row, strict=True))
        cells = seen.setdefault((told["label"], told["stratum"]), [[] for _ in probes])
        for cell, value in zip(cells, told["readings"], strict=True):
            cell.extend([] if value is None else [value])
    lines = [f"| readings | {' | '.join(probes)} |", "|---|" + "---|" * len(probes)]
    for (label, stratum), cells in sorted(seen.items()):
        shown = (f"{min(cell):.2f} … {max(cell):.2f}" if cell else "–" for cell in cells)
        lines.append(f"| {stratum} ({label}) | {' | '.join(shown)} |")
    return lines


PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    README: {"probes": probes, "formats": formats},
    ROOT / "docs" / "methods.md": {"figures": figures},
    ROOT / "docs" / "commands.md": {"commands": reference},
}


def renewed(page: Path) -> str:
    """The page with its generated blocks as they should be."""
    return filled(page.read_text(encoding="utf-8"), {name: make() for name, make in PAGES[page].items()})


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """`text` with each block between its marks replaced."""
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        text, found = pattern.subn(lambda m, b=block: f"{m[1]}{b}\n{m[2]}", text)
        if found != 1:
            raise ValueError(f"{name} is not marked once")
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")
