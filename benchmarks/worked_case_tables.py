"""Tables of docs/worked-case.md: pure functions of the figures kept from a record, and of the reference populations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from forensics.evidence.library import load_reference

ZOO = Path(__file__).parent.parent / "forensics" / "evidence" / "reference" / "lineage-zoo.json"
MODELS = ("base", "twin", "other")
ALLEGED = 0.927
"""The correlation on which the public report of July 2025 rested."""
UNCOUNTED = (
    "repository-scan",
    "metadata-lineage",
    "tokenizer-diff",
    "code-lineage",
    "delta-anatomy",
    "tower-identity",
)
"""Probes whose values are counts or overlaps; their findings are told in words."""

Kept = Mapping[str, Any]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _figure(value: float | None) -> str:
    """A reading with two decimals, more where two would hide that it is not 1."""
    if value is None:
        return "–"
    shown = f"{value:.2f}"
    return (f"{value:.3f}" if shown in {"1.00", "-1.00"} and abs(value) != 1 else shown).replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _weight(weight: Sequence[float] | None) -> str:
    """A log10 likelihood ratio with its interval."""
    if weight is None:
        return "not weighed"
    middle, lower, upper = (_signed(one) for one in weight)
    return f"{middle} ({lower} to {upper})"


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({_percent(part, whole)})"


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return "under 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def _cell(text: str) -> str:
    """Words that can stand in a table."""
    return text.replace("|", "/").replace("\n", " ")


@cache
def unrelated_in_zoo(probe: str) -> tuple[float, ...]:
    """What a probe reads of the zoo's unrelated pairs; empty for probes that the reference table lacks."""
    found = json.loads(ZOO.read_text(encoding="utf-8"))["fusion"]
    columns, probes = found["columns"], list(found["probes"])
    if probe not in probes:
        return ()
    readings, label = columns.index("readings"), columns.index("label")
    told = (row[readings][probes.index(probe)] for row in found["rows"] if row[label] == "unrelated")
    return tuple(value for value in told if value is not None)


def finding(kept: Kept, probe: str, model: str) -> Kept:
    """What a probe found of one model."""
    return next(one for one in kept["findings"] if (one["probe"], one["candidate"]) == (probe, model))


def verdicts(kept: Kept) -> str:
    """One row per model that was compared with the suspect."""
    rows = [
        (
            f"`{one['candidate']}`", one["role"], one["verdict"],
            _weight([one[key] for key in ("log10_lr", "lower", "upper")]) if one["log10_lr"] is not None else "–",
            one["spoke"] or "none", one["relation"] or "–", _cell(one["because"]),
        )
        for one in kept["opinions"]
    ]  # fmt: skip
    columns = ("model", "role", "verdict", "log10 LR", "groups that speak for descent", "relation", "because")
    return table(columns, rows)


def published(kept: Kept) -> str:
    """The published correlation for each model, its worth, and how common it is among unrelated pairs."""
    rows = []
    for model in MODELS:
        one = finding(kept, "weight-std", model)
        if "silent" in one:
            rows.append((f"`{model}`", "–", one["silent"], "–", "–", "–", "–"))
            continue
        curves = ", ".join(f"{name.upper()} {_figure(value)}" for name, value in one["curves"].items())
        rows.append(
            (f"`{model}`", _figure3(one["value"]), curves, _weight(one["weight"]), *_commonness(one["value"]))
        )
    alleged = load_reference().calibrations["weight-std"].weigh(ALLEGED, "")
    weight = _weight([alleged.log10_lr, alleged.lower, alleged.upper])
    rows.append(("the figure of 2025", _figure3(ALLEGED), "–", weight, *_commonness(ALLEGED)))
    columns = ("suspect against", "correlation", "by matrix", "log10 LR, from real models",
               "unrelated real pairs this high", "real pairs in its bin", "unrelated zoo pairs this high")  # fmt: skip
    return table(columns, rows)


def _figure3(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _commonness(value: float) -> tuple[str, str, str]:
    """Pairs that read as much: of real models unrelated ones from the value's bin on, both kinds in it; of the zoo."""
    counts = load_reference().calibrations["weight-std"].histogram
    place = max(0, min(counts.bin_of(value), len(counts.unrelated) - 1))
    edge, unrelated, derived = counts.edges[place], counts.unrelated, counts.derived
    zoo = unrelated_in_zoo("weight-std")
    strangers, kin = _percent(unrelated[place], sum(unrelated)), _percent(derived[place], sum(derived))
    return (
        f"{_share(sum(unrelated[place:]), sum(unrelated))}, from {edge:g}",
        f"{edge:g} to {counts.edges[place + 1]:g}: {strangers} of unrelated, {kin} of related",
        _share(sum(one >= value for one in zoo), len(zoo)),
    )


def probes(kept: Kept) -> str:
    """Every probe that read a number of the base, with what it read of the unrelated models."""
    rows = []
    for one in kept["findings"]:
        if one["candidate"] != "base" or "silent" in one or one["probe"] in UNCOUNTED:
            continue
        readings = [_figure(finding(kept, one["probe"], model).get("value")) for model in MODELS]
        unrelated = unrelated_in_zoo(one["probe"])
        most = _figure(max(unrelated)) if unrelated else "–"
        above = (
            _share(sum(value >= one["value"] for value in unrelated), len(unrelated)) if unrelated else "–"
        )
        p = "–" if one["p"] is None else f"{one['p']:.1g}"
        rows.append((f"`{one['probe']}`", *readings, _weight(one["weight"]), p, most, above))
    columns = ("probe", *(f"`{model}`" for model in MODELS), "log10 LR of `base`", "exact p of `base`",
               "largest of the zoo's unrelated pairs", "of these as high as `base`")  # fmt: skip
    return table(columns, rows)


def silent(kept: Kept) -> str:
    """The probes that could not say anything of the base, with their reasons."""
    rows = [
        (f"`{one['probe']}`", _cell(one["silent"]))
        for one in kept["findings"]
        if one["candidate"] == "base" and "silent" in one
    ]
    return table(("probe", "why it is silent about `base`"), rows)


def experts(kept: Kept) -> str:
    """Per expert and layer, how much of it is found in the base's MLP, and how much of the MLP it holds."""
    one = finding(kept, "neuron-match", "base")
    found = next(iter(one.get("tables", {}).values()), [])
    rows = []
    for layer, expert, other, _, agreement, of_base, of_suspect in found:
        name = "shared" if expert == -2 else f"routed {expert}"
        rows.append((str(layer), name, str(other), _figure(agreement), _figure(of_base), _figure(of_suspect)))
    columns = ("suspect's layer", "expert", "base's layer", "agreement of the neurons' weight vectors",
               "share of the base's neurons found in it", "share of its own found in the base")  # fmt: skip
    return table(columns, rows)


def documents(kept: Kept) -> str:
    """Whose licences and notices lie in the suspect's folder and repository, seen from the base."""
    tables = finding(kept, "repository-scan", "base")["tables"]
    rows = [tuple(_cell(str(cell)) for cell in row) for row in tables.get("Licence texts", ())]
    held = [
        tuple(_cell(str(cell)) for cell in row)
        for row in tables.get("Holders in licences, notices and third-party lists", ())
    ]
    licences = table(("suspect's file", "base's file", "what it is", "words in common"), rows)
    holders = table(("document", "file", "line", "holder", "about the base"), held)
    return f"{licences}\n\n{holders}"


def words(*probe_ids: str) -> Callable[[Kept], str]:
    """A block of what probes say in their own words, of every model."""

    def block(kept: Kept) -> str:
        told = []
        for probe in probe_ids:
            for model in MODELS:
                one = finding(kept, probe, model)
                told.append(f"* `{probe}`, `{model}`: {one.get('silent') or one['summary']}")
        return "\n".join(told)

    return block


BLOCKS: Mapping[str, Callable[[Kept], str]] = {
    "verdicts": verdicts,
    "published": published,
    "probes": probes,
    "silent": silent,
    "experts": experts,
    "documents": documents,
    "tokenizer": words("tokenizer-diff"),
    "papers": words("repository-scan", "metadata-lineage"),
}


def blocks(kept: Kept) -> dict[str, str]:
    """Every generated block of the page, by the name between its marks."""
    return {name: make(kept) for name, make in BLOCKS.items()}
