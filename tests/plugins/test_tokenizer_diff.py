"""Tokenizers as data: what counts as the same, what does not, and what a hostile one can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics import alignment
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.tokenizer_steps import canonical, split_by, steps_of
from forensics.probe import Abstain, Sketch
from forensics.readings import Aspect, Measurement, Reason
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
    first = facts_of(WORDS)
    second = facts_of(WORDS, merges=tuple((word[:3], word[3:]) for word in WORDS))
    reading = compared(first, second)
    assert reading.facts["common_merge_prefix"] == 0
    assert reading.facts["merge_halves_alike"] == 0.0
    assert reading.facts["merge_rank_tau"] == 1.0


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
        {"change": {"tokens": np.array([], np.uint64)}},
        {"change": {"tokens": np.zeros(200, np.uint64)}},
        {"change": {"tokens": np.arange(400, dtype=np.uint64).reshape(200, 2)}},
        {"change": {"ids": np.arange(3)}},
        {"change": {"ids": np.full(200, -1)}},
        {"change": {"ids": np.full(200, np.nan)}},
        {"change": {"apart": np.zeros(1, np.bool_)}},
        {"change": {"learned": np.arange(200) + 1}},
        {"change": {"learned": np.arange(200) - 1}},
        {"change": {"learned": np.zeros(200)}},
        {"change": {"cuts": np.arange(2)}},
        {"change": {"special": np.arange(5)}},
        {"facts": {"width": "wide"}},
        {"facts": {}},
    ],
)
def test_a_strangers_broken_sketch_is_an_abstention(broken: dict[str, Any]) -> None:
    """A sketch whose parts do not fit abstains as incompatible instead of raising."""
    good = sketch_of(facts_of(WORDS))
    arrays = {"arrays": {**good.arrays, **broken.pop("change")}} if "change" in broken else broken
    with pytest.raises(Abstain) as caught, np.errstate(invalid="ignore"):
        PROBE.compare(replace(good, **arrays), good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_width_is_the_smaller_of_the_pair() -> None:
    """The fact `width` is the smaller width of the two checkpoints."""
    reading = PROBE.compare(sketch_of(facts_of(WORDS), 64), sketch_of(facts_of(WORDS), 48))
    assert reading.facts["width"] == 48


def test_only_the_patterns_are_compared_where_the_steps_are_told_otherwise() -> None:
    """tekken.json has a pattern only, tokenizer.json steps; GGUF a name that means nothing elsewhere."""
    pattern = r"\p{N}{1,3}|\s+"
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    steps = {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "use_regex": False}]}
    told = {
        "json": steps_of(steps), "tekken": split_by(pattern), "other": split_by(r"\s+"), "none": "",
        "gguf": canonical({"type": "GGUF", "name": "llama-bpe"}),
    }  # fmt: skip
    wanted = {
        ("json", "json"): "identical", ("json", "tekken"): "same patterns", ("json", "other"): "different",
        ("none", "json"): "not told in the suspect", ("json", "none"): "not told in the candidate",
        ("none", "none"): "not told in both", ("gguf", "json"): "told by another kind of file",
        ("gguf", "gguf"): "identical",
    }  # fmt: skip
    for (ours, theirs), said in wanted.items():
        sides = (facts_of(WORDS, pre_tokenizer=told[side]) for side in (ours, theirs))
        assert compared(*sides).facts["pre_tokenizer"] == said


def test_a_pattern_that_never_ends_is_only_text() -> None:
    """A catastrophic pattern and half surrogates among the steps are hashed and shown, never compiled."""
    hostile = steps_of({"type": "Split\ud800", "pattern": {"Regex": "(a+)+" * 200_000}})
    facts = facts_of(WORDS, pre_tokenizer=hostile, normalizer=hostile)
    assert compared(facts, facts).facts["pre_tokenizer"] == "identical"


def test_special_tokens_are_told_apart_from_the_vocabulary() -> None:
    """Renamed special tokens leave the vocabularies identical, and are named."""
    tokens = [b"<s>", b"</s>", *WORDS]
    other = [b"<begin>", b"<end>", *WORDS]
    reading = compared(facts_of(tokens), facts_of(other, special={"<begin>": 0, "<end>": 1}))
    assert reading.value == 1.0
    assert reading.facts["kind"] == "identical but for special tokens"
    assert reading.facts["special_tokens"] == "the same ids, 2 of 2 renamed"
    bare = compared(facts_of(tokens), facts_of(tokens, special={}))
    assert bare.facts["kind"] == "identical"
    assert bare.facts["special_tokens"] == "not listed in the candidate"


def test_it_has_no_weight() -> None:
    """Nothing that it says takes part in a verdict."""
    assert PROBE.aspect is Aspect.RECIPE
    assert compared(facts_of(WORDS), facts_of(WORDS)).exact is None


def test_no_figure_stands_without_those_of_real_vocabularies() -> None:
    """Every row has the pair's own figure beside the least and the most of unrelated and of related pairs."""
    reading = compared(facts_of(WORDS[:150]), facts_of(WORDS[100:]))
    table = next(table for table in reading.tables if table.columns == alignment.RATE_COLUMNS)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["overlap (Jaccard)"] == (50 / 200, 0.15, 0.44, 1.0, 1.0)
    assert rows["shared, of the smaller"][0] == 50 / 100
    assert rows["first merges that are the same"][0] == reading.facts["common_merge_prefix"]
    assert "25 pairs of different families" in table.title


def test_the_rates_of_real_vocabularies_are_those_of_the_documentation() -> None:
    """The numbers in the code are those that the benchmark wrote into docs/methods.md."""
    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text("utf-8")
    for name, which in (("real, different families", "unrelated"), ("real, one family", "related")):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        pairs, *cells = (cell.strip().replace(",", "") for cell in line.split("|")[2:-2])
        told = [tuple(float(end) for end in cell.split(" to ")) for cell in cells]
        order = ("jaccard", "of_the_smaller", "id_agreement", "prefix", "in_place", "tau")
        ranges = {rate.figure: getattr(rate, which) for rate in alignment.VOCABULARY_RATES.values()}
        assert [ranges[figure] for figure in order] == [(ends[0], ends[-1]) for ends in told]
        assert f"{pairs} pairs" in alignment.VOCABULARY_RATES_OF
