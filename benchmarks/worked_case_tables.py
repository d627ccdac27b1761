"""Tables of docs/worked-case.md: pure functions of the figures kept from a record, and of the reference populations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.worked_case_cells import cell, figure, in_thousandths, p_value, percent, share, table, weighed
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
RANGE = ("log10_lr", "lower", "upper")
SHARED = -2
"""How neuron-match's table names a shared expert."""
LOOKS = (
    ("norm-gains", "norm gains: cosine as they are", "raw_cosine_meaningless"),
    ("qkv-bias", "biases: agreement of sizes", "magnitudes_only_no_evidence"),
)
"""Likenesses that meet the eye: probe, what is compared, its fact."""

Kept = Mapping[str, Any]


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
            weighed([one[key] for key in RANGE]) if one["log10_lr"] is not None else "–",
            one["spoke"] or "none", one["relation"] or "–", cell(one["because"]),
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
        curves = ", ".join(f"{name.upper()} {figure(one['facts'][f'r_{name}_proj'])}" for name in "qkvo")
        rows.append(
            (
                f"`{model}`",
                in_thousandths(one["value"]),
                curves,
                weighed(one["weight"]),
                *_commonness(one["value"]),
            )
        )
    alleged = load_reference().calibrations["weight-std"].weigh(ALLEGED, "")
    weight = weighed([alleged.log10_lr, alleged.lower, alleged.upper])
    rows.append(("the figure of 2025", in_thousandths(ALLEGED), "–", weight, *_commonness(ALLEGED)))
    columns = ("suspect against", "correlation", "by matrix", "log10 LR, from real models",
               "unrelated real pairs this high", "real pairs in its bin", "unrelated zoo pairs this high")  # fmt: skip
    return table(columns, rows)


def _commonness(value: float) -> tuple[str, str, str]:
    """Pairs that read as much: of real models unrelated ones from the value's bin on, both kinds in it; of the zoo."""
    counts = load_reference().calibrations["weight-std"].histogram
    place = max(0, min(counts.bin_of(value), len(counts.unrelated) - 1))
    edge, unrelated, derived = counts.edges[place], counts.unrelated, counts.derived
    zoo = unrelated_in_zoo("weight-std")
    strangers, kin = percent(unrelated[place], sum(unrelated)), percent(derived[place], sum(derived))
    return (
        f"{share(sum(unrelated[place:]), sum(unrelated))}, from {edge:g}",
        f"{edge:g} to {counts.edges[place + 1]:g}: {strangers} of unrelated, {kin} of related",
        share(sum(one >= value for one in zoo), len(zoo)),
    )


def probes(kept: Kept) -> str:
    """Every probe that read a number of the base, with what it read of the unrelated models."""
    rows = []
    for one in kept["findings"]:
        if one["candidate"] != "base" or "silent" in one or one["probe"] in UNCOUNTED:
            continue
        readings = [figure(finding(kept, one["probe"], model).get("value")) for model in MODELS]
        unrelated = unrelated_in_zoo(one["probe"])
        most = figure(max(unrelated)) if unrelated else "–"
        above = share(sum(value >= one["value"] for value in unrelated), len(unrelated)) if unrelated else "–"
        rows.append((f"`{one['probe']}`", *readings, weighed(one["weight"]), p_value(one["p"]), most, above))
    columns = ("probe", *(f"`{model}`" for model in MODELS), "log10 LR of `base`", "exact p of `base`",
               "largest of the zoo's unrelated pairs", "of these as high as `base`")  # fmt: skip
    return table(columns, rows)


def silent(kept: Kept) -> str:
    """The probes that could not say anything of the base, with their reasons."""
    rows = [
        (f"`{one['probe']}`", cell(one["silent"]))
        for one in kept["findings"]
        if one["candidate"] == "base" and "silent" in one
    ]
    return table(("probe", "why it is silent about `base`"), rows)


def experts(kept: Kept) -> str:
    """Of the base's neurons in each layer, the share that was found again in each expert of the suspect's."""
    rows = next(iter(finding(kept, "neuron-match", "base")["tables"].values()))
    held = {(layer, expert): found for layer, expert, _, _, _, found, _ in rows}
    units = sorted({expert for _, expert in held})
    columns = (
        "layer",
        *("shared expert" if unit == SHARED else f"routed expert {unit + 1}" for unit in units),
    )
    layers = sorted({layer for layer, _ in held})
    return table(columns, [(str(n + 1), *(figure(held.get((n, unit))) for unit in units)) for n in layers])


def looks(kept: Kept) -> str:
    """What looks alike in biases and gains beside what agrees coordinate by coordinate."""
    rows = []
    for name, what, fact in LOOKS:
        for model in MODELS:
            one = finding(kept, name, model)
            if "silent" not in one:
                shown = f"{one['facts'][fact]:.4f}"
                rows.append((f"`{model}`", what, shown, figure(one["value"]), p_value(one["p"])))
    return table(("suspect against", "of", "looks", "agrees in place", "exact p"), rows)


def without(kept: Kept) -> str:
    """The fused weight of the base without each probe that shares in it."""
    opinion = next(one for one in kept["opinions"] if one["candidate"] == "base")
    rows = [(f"`{one['probe']}`", weighed([one[key] for key in RANGE])) for one in opinion["omissions"]]
    return table(
        ("without", "log10 LR of `base`"),
        [("nothing left out", weighed([opinion[key] for key in RANGE])), *rows],
    )


def worth(kept: Kept) -> str:
    """The published number's weight as a factor, beside that of everything together."""
    opinion = next(one for one in kept["opinions"] if one["candidate"] == "base")
    alleged = load_reference().calibrations["weight-std"].weigh(ALLEGED, "")
    told = [
        ("the published number of `base`", finding(kept, "weight-std", "base")["weight"]),
        ("a published number of 0.927", [alleged.log10_lr, alleged.lower, alleged.upper]),
        ("all evidence on `base` together", [opinion[key] for key in RANGE]),
    ]
    rows = [(what, *(f"{10**one:.2g}" for one in weight)) for what, weight in told]
    return table(("evidence", "times as probable if derived as if unrelated", "at least", "at most"), rows)


def documents(kept: Kept) -> str:
    """Whose licences and notices lie in the suspect's folder and repository, seen from the base."""
    tables = finding(kept, "repository-scan", "base")["tables"]
    rows = [tuple(cell(str(one)) or "–" for one in row) for row in tables.get("Licence texts", ())]
    held = [
        tuple(cell(str(one)) or "–" for one in row)
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
    "worth": worth,
    "without": without,
    "looks": looks,
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
