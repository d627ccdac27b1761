"""Holders, expressions and obligations: what documents say, in one spelling, beside what a licence asks."""

from __future__ import annotations

import time

import pytest

from forensics.licences import (
    Shown,
    asked,
    beside,
    holder_key,
    holders_of,
    is_common,
    is_listed,
    known,
    normalised,
    obligations,
)
from forensics.licences.obligations import UNKNOWN, phrases_in
from forensics.licences.words import Words


@pytest.mark.parametrize(
    ("line", "holders"),
    [
        ("# Copyright 2024 The Qwen team, Alibaba Group and the HuggingFace Inc. team. All rights reserved.",
         ["qwen", "alibaba group", "huggingface"]),
        ("Copyright (c) Meta Platforms, Inc. and affiliates.", ["meta platforms"]),
        ("© 2024 Huawei Technologies Co., Ltd.", ["huawei technologies"]),
        ("take the notice (Copyright (c) 2026 Demo Lab) out of the folder", ["demo lab"]),
        ("Copyright 2024-2025", []),
        ("no notice by Acme", []),
        ("Copyright \u202e2024 Acme\u202c", ["acme"]),
    ],
)  # fmt: skip
def test_holders_are_told_apart(line: str, holders: list[str]) -> None:
    """Years, formulas, articles and legal forms are dropped; several holders on a line are several."""
    assert [holder_key(holder) for holder in holders_of(line)] == holders


def test_a_line_without_end_is_cut() -> None:
    """A megabyte of commas after a copyright sign costs nothing."""
    begun = time.process_time()
    holders_of("copyright " + " ," * 500_000)
    holders_of("copyright" + " " * 1_000_000 + "inc")
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("mit or APACHE-2.0", "MIT OR Apache-2.0"),
        ("GPL-2.0+ WITH classpath-exception-2.0 */", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("llama3.1", "Llama-3.1"),
        ("other", ""),
        ("my own terms", ""),
        ("(MIT", ""),
        ("", ""),
        ("(" * 200 + "MIT", ""),
        ("MIT OR " * 4000 + "MIT", ""),
        ("MIT\u202e", ""),
    ],
)
def test_expressions_are_spelt_as_spdx_spells_them(text: str, expression: str) -> None:
    """Aliases, tags and expressions have one spelling; anything else has none and raises nothing."""
    assert normalised(text) == expression


def test_common_is_what_nobody_owns() -> None:
    """Licences that anybody uses are common, alone and in expressions; makers' own are not, and nothing is not."""
    assert is_common("MIT OR Apache-2.0")
    assert not is_common("Llama-3.1")
    assert not is_common("MIT AND Gemma")
    assert not is_common("")


def test_obligations_are_of_known_licences_with_something_to_say() -> None:
    """Every entry belongs to a licence in the table, has a clause, and phrases in the form that is looked for."""
    ids = {one.id for one in known()}
    told = [one for name in sorted(ids) for one in obligations(name)]
    assert len(told) > 50
    for one in told:
        assert all((one.kind, one.clause, one.says))
        assert all(" ".join(Words.of(phrase).words) == phrase for phrase in one.phrases)


def test_what_a_licence_asks_stands_beside_what_is_shown() -> None:
    """Present with file and line, absent as not found, and untellable where documents cannot tell."""
    shown = Shown(
        licences={"Llama-3.1": "LICENSE:1, 100.0 % of its wording"}, phrases={"built with llama": "README.md:9"},
        names=("acme/Acme-7B",),
    )  # fmt: skip
    rows = {(kind, clause): said for kind, clause, _, said in beside("Llama-3.1", (), shown)}
    assert rows == {
        ("licence copy", "1.b.i (A)"): "its text: LICENSE:1, 100.0 % of its wording",
        ("attribution", "1.b.i (B)"): "the words: README.md:9",
        ("naming", "1.b.i"): "no name begins so ('acme/Acme-7B')",
        ("notice", "1.b.iii"): "the words: not found",
    }
    changes = {kind: said for kind, _, _, said in beside("Qwen", (), shown)}["changes stated"]
    assert changes == UNKNOWN
    assert list(beside("nothing known", (), shown)) == []


def test_a_licence_that_says_what_to_say_shows_nothing() -> None:
    """The words that a licence asks for do not count where they stand in its own text."""
    words = Words.of('you shall display "Built with Llama"\nand Improved using Qwen')
    assert phrases_in(words) == {"built with llama": 1, "improved using qwen": 2}
    assert phrases_in(words, ["Llama-3.1"]) == {"improved using qwen": 2}
    assert phrases_in(words, ["Llama-3.1", "Qwen"]) == {}


def test_what_is_asked_is_met_missing_or_untold() -> None:
    """Met where all that is looked for is there; missing where some is not; untold without anything to look for."""
    nothing = Shown(names=("acme/Acme-7B",))
    told = {one.obligation.clause: one.met for one in asked("openPangu-1.0", (), nothing)}
    assert told == {"3": None, "4.1 (1)": False, "4.1 (2)": None, "4.2 (1)": False, "4.2 (2)": False}
    words = Words.of("Powered by openPangu. openPangu is a trademark of Huawei Technologies Co., Ltd.")
    shown = Shown(
        licences={"openPangu-1.0": "LICENSE:1"}, phrases=dict.fromkeys(phrases_in(words), "README.md:1"),
        holders={"huawei technologies": "NOTICE:1"},
    )  # fmt: skip
    kept = {one.obligation.clause: one.met for one in asked("openPangu-1.0", ["Huawei Technologies"], shown)}
    assert kept == {"3": None, "4.1 (1)": True, "4.1 (2)": True, "4.2 (1)": True, "4.2 (2)": True}


def test_llama_3_asks_for_its_own_words() -> None:
    """Version 3 has words and a name of its own, not those of 3.1, and limits that documents cannot show."""
    shown = Shown(phrases={"built with llama": "README.md:1"}, names=("acme/Llama-7B",))
    told = {one.obligation.clause: one.met for one in asked("Llama-3", (), shown)}
    assert (told["1.b.i (B)"], told["1.b.i"]) == (False, False)
    assert (told["1.b.iv"], told["1.b.v"], told["2"]) == (None, None, None)
    named = {
        one.obligation.clause: one.met for one in asked("Llama-3", (), Shown(names=("acme/Llama-3-Acme",)))
    }
    assert named["1.b.i"] is True


def test_what_is_asked_under_a_condition_is_never_missing() -> None:
    """Kimi's display is asked of large services only."""
    met = [one.met for one in asked("Kimi-Modified-MIT", (), Shown()) if one.obligation.conditional]
    assert met == [None]


def test_asking_nothing_is_known_and_not_being_listed_is_not() -> None:
    """The Unlicense asks nothing; what Yi's licence asks is not on the list."""
    assert is_listed("Unlicense")
    assert not list(asked("Unlicense", (), Shown()))
    assert not is_listed("Yi")
