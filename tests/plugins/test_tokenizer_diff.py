"""Tokenizers as data: what counts as the same, what does not, and what a hostile one can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forensics.checkpoint.facts import TokenizerFacts
from forensics.probe import Abstain, Sketch
from forensics.readings import Measurement, Reason
from plugins.tokenizer_diff import TokenizerDiff
from tests.standin import StandIn, architecture_of, run_sketch

PROBE = TokenizerDiff()
WORDS = [f"word{i}".encode() for i in range(200)]


def facts_of(tokens: list[bytes], **more: Any) -> TokenizerFacts:
    """A byte-pair tokenizer with these tokens in the order of their ids."""
    merges = tuple((token[:2], token[2:]) for token in tokens)
    given: dict[str, Any] = {"model": "BPE", "merges": merges, "special": {"<s>": 0, "</s>": 1}, **more}
    return TokenizerFacts(tokens={token: i for i, token in enumerate(tokens)}, **given)


def sketch_of(facts: TokenizerFacts | None, width: int = 32) -> Sketch:
    """The probe's sketch of a checkpoint that has nothing but this tokenizer."""
    return run_sketch(PROBE, StandIn({}, architecture_of(width=width), tokenizer=facts))


def compared(first: TokenizerFacts, second: TokenizerFacts) -> Measurement:
    """The reading for two tokenizers."""
    return PROBE.compare(sketch_of(first), sketch_of(second))


def test_a_tokenizer_agrees_with_itself_in_everything() -> None:
    """The same tokenizer on both sides gives overlap 1, all ids and merges alike, and says it is reuse only."""
    reading = compared(facts_of(WORDS), facts_of(WORDS))
    assert reading.value == 1.0
    assert reading.facts["id_agreement"] == 1.0
    assert reading.facts["common_merge_prefix"] == len(WORDS)
    assert reading.facts["merge_rank_tau"] == pytest.approx(1.0)
    assert "tokenizer reuse only" in reading.summary
    assert reading.group is None


def test_overlap_is_jaccard_on_bytes() -> None:
    """150 and 100 tokens with 50 in common overlap by 50/200, whatever their ids."""
    reading = compared(facts_of(WORDS[:150]), facts_of(WORDS[100:]))
    assert reading.value == 50 / 200
    assert reading.facts["containment_of_suspect"] == 50 / 150
    assert reading.facts["containment_of_candidate"] == 50 / 100
    assert reading.facts["id_agreement"] == 0.0


def test_reversed_merges_have_the_opposite_order() -> None:
    """The same merges in reversed order share no prefix and correlate by minus one."""
    reading = compared(facts_of(WORDS), facts_of(WORDS[::-1]))
    assert reading.value == 1.0
    assert reading.facts["common_merge_prefix"] == 0
    assert reading.facts["merge_rank_tau"] == pytest.approx(-1.0)


def test_a_merge_is_its_two_halves() -> None:
    """(ab, c) and (a, bc) make the same token but are different merges."""
    first = replace(facts_of(WORDS), merges=((b"ab", b"c"),))
    second = replace(facts_of(WORDS), merges=((b"a", b"bc"),))
    assert compared(first, second).facts["common_merge_prefix"] == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (None, None, "absent in both"),
        ("{{ x }}", None, "absent in the candidate"),
        ("{{ x }}", "{{ x }}", "identical"),
        ("{% a %}\n{{ b }}\n{{ c }}\n{{ d }}", "{% a %}\n{{ b }}\n{{ c }}\n{{ e }}", "% of pieces alike"),
    ],
)
def test_chat_templates_are_compared_as_text(ours: str | None, theirs: str | None, said: str) -> None:
    """Templates are identical, alike by a share, or absent on a named side."""
    reading = compared(facts_of(WORDS, chat_template=ours), facts_of(WORDS, chat_template=theirs))
    assert said in str(reading.facts["chat_template"])


def test_templates_that_differ_past_the_cut_are_not_identical() -> None:
    """A difference behind the part that a sketch keeps is still seen."""
    long = "x" * 30_000
    reading = compared(facts_of(WORDS, chat_template=long + "1"), facts_of(WORDS, chat_template=long + "2"))
    assert reading.facts["chat_template"] != "identical"


def test_hostile_text_is_bounded_and_writable() -> None:
    """A huge template, half surrogates and ten thousand special tokens give a small sketch and a reading."""
    hostile = facts_of(
        WORDS,
        chat_template="{{" * 500_000 + "\ud800",
        special={f"\ud800{i}" * 50: i for i in range(10_000)},
    )
    sketch = sketch_of(hostile)
    assert all(len(str(value).encode("utf-8")) < 60_000 for value in sketch.facts.values())
    assert PROBE.compare(sketch, sketch_of(facts_of(WORDS))).value == 1.0


def test_order_of_shared_merges_is_sampled_alike_each_time() -> None:
    """With more merges than the sample the reading is still the same each time."""
    probe = TokenizerDiff(sample=50)
    rng = np.random.Generator(np.random.PCG64(1))
    mixed = [WORDS[i] for i in rng.permutation(len(WORDS))]
    first, second = sketch_of(facts_of(WORDS)), sketch_of(facts_of(mixed))
    assert probe.compare(first, second) == probe.compare(first, second)
    assert probe.compare(first, second).facts["merges_ranked"] == 50


def test_without_a_tokenizer_it_abstains() -> None:
    """A checkpoint without a readable tokenizer is an abstention for missing files."""
    with pytest.raises(Abstain) as caught:
        PROBE.sketcher(StandIn({}, architecture_of()))  # type: ignore[arg-type]
    assert caught.value.reason is Reason.MISSING_FILES


@pytest.mark.parametrize(
    "broken",
    [
        {"arrays": {}},
        {"arrays": {"tokens": np.array([], np.uint64), "ids": np.array([]), "merges": np.array([])}},
        {"arrays": {"tokens": np.arange(9), "ids": np.arange(3), "merges": np.arange(2)}},
        {"facts": {"width": 32, "special": "[" * 50_000}},
        {"facts": {"width": "wide", "special": "{}"}},
        {"facts": {"width": 32, "special": "[1]"}},
    ],
)
def test_a_strangers_broken_sketch_is_an_abstention(broken: dict[str, Any]) -> None:
    """A sketch whose parts do not fit abstains as incompatible instead of raising."""
    good = sketch_of(facts_of(WORDS))
    with pytest.raises(Abstain) as caught:
        PROBE.compare(replace(good, **broken), good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_width_is_the_smaller_of_the_pair() -> None:
    """The fact `width` is the smaller width of the two checkpoints."""
    reading = PROBE.compare(sketch_of(facts_of(WORDS), 64), sketch_of(facts_of(WORDS), 48))
    assert reading.facts["width"] == 48
