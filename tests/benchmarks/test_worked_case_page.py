"""The worked case's page quotes a record, and nothing in its tables was typed by hand."""

from __future__ import annotations

import json
import re

from benchmarks import worked_case, worked_case_tables


def test_the_page_quotes_the_kept_figures() -> None:
    """Every table of docs/worked-case.md is what the kept figures give (benchmarks.worked_case renews it)."""
    kept = json.loads(worked_case.KEPT.read_text(encoding="utf-8"))
    page = worked_case.PAGE.read_text(encoding="utf-8")
    marked = dict(re.findall(r"<!-- (\w+):begin -->\n(.*?)\n<!-- \1:end -->", page, re.DOTALL))
    assert marked == worked_case_tables.blocks(kept)


def test_the_words_between_the_tables_hold() -> None:
    """What the page says in words of this record's figures is true of the figures that it quotes."""
    kept = json.loads(worked_case.KEPT.read_text(encoding="utf-8"))
    found = {(one["probe"], one["candidate"]): one for one in kept["findings"]}
    opinions = {one["candidate"]: one for one in kept["opinions"]}
    assert (opinions["base"]["verdict"], opinions["base"]["relation"]) == ("derived", "pruned")
    assert {opinions[name]["verdict"] for name in ("twin", "other")} == {"independent"}
    left_out = {one["probe"]: one["log10_lr"] for one in opinions["base"]["omissions"]}
    assert [name for name, weight in left_out.items() if weight < 1] == ["attention-graph"]
    curves = {name: found["weight-std", name]["value"] for name in worked_case_tables.MODELS}
    assert curves["base"] > 0.9 > max(curves["twin"], curves["other"])
    assert "0.0 % of unrelated, 0.0 % of related" in worked_case_tables.published(kept).splitlines()[2]
    assert {
        name
        for name in ("attention-circuits", "near-init-rows", "residual-basis")
        if found[name, "base"]["weight"][0] < 0
    } == {
        "attention-circuits",
        "near-init-rows",
        "residual-basis",
    }
    in_place = ("attention-channels", "identity-attention", "norm-gains", "qkv-bias")
    assert all(found[name, "base"]["p"] <= 1e-12 for name in in_place)
    assert found["neuron-match", "base"]["facts"]["units_recognised"] < 30
    silent = {name for name, model in found if model == "base" and "silent" in found[name, model]}
    assert {"activation-overlap", "next-token", "identity-mlp"} <= silent
