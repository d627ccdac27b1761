"""The tables of exact p-values."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from benchmarks.calibrate import Zoo
from benchmarks.nulls import disjoint, pairs_of, tables


def line(
    suspect: str, candidate: str, p: float | None, stratum: str, label: str = "unrelated"
) -> dict[str, Any]:
    """A measured pair."""
    found = {"suspect": suspect, "candidate": candidate, "stratum": stratum, "label": label}
    return {**found, "readings": {"some": {"p": p}, "silent": {"none": "abstention"}}}


def test_disjoint_pairs_share_no_model() -> None:
    """Of all pairs of nine models, at least three are kept, and no model twice."""
    kept = disjoint([line(a, b, 0.5, "other bases") for a, b in combinations("abcdefghi", 2)])
    named = [pair[side] for pair in kept for side in ("suspect", "candidate")]
    assert len(named) == len(set(named)) >= 6


def test_twins_stand_apart_and_siblings_are_left_out() -> None:
    """Bases of one recipe are twins; of the other pairs descendants and imitators are taken."""
    bases = {n: {"name": n, "kind": "base", "recipe": r} for n, r in (("a", "r"), ("b", "r"), ("c", "s"))}
    listed = [
        {"suspect": "a", "candidate": "b", "label": "unrelated", "stratum": "same-recipe"},
        {"suspect": "a", "candidate": "c", "label": "unrelated", "stratum": "other-architecture"},
        {"suspect": "c", "candidate": "b", "label": "unrelated", "stratum": "same-architecture"},
        {"suspect": "child", "candidate": "a", "label": "derived", "stratum": "fine-tuned"},
        {"suspect": "child", "candidate": "b", "label": "unrelated", "stratum": "same-recipe"},
    ]
    found = pairs_of(Zoo(checkpoints=bases, pairs=tuple(listed)))
    assert [p["stratum"] for p in found] == [
        "twins of one recipe",
        "other bases",
        "other bases",
        "fine-tuned",
    ]


def test_tables_count_what_is_small() -> None:
    """Counts by level for strangers, and by the threshold of a tensor group for descendants."""
    lines = [line("a", "b", 0.05, "twins of one recipe"), line("c", "d", 0.5, "twins of one recipe")]
    text = tables([*lines, line("child", "a", 1e-9, "fine-tuned", "derived")])
    assert "| some | twins of one recipe | 2 | 0.05 | 1 (50.0%) | 0 (0.0%) | 0 (0.0%) |" in text
    assert "| fine-tuned (derived) | 1/1 |" in text
    assert "silent" not in text
