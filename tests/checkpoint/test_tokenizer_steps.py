"""Normalisers and pre-tokenisers as canonical text, whatever stands there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.checkpoint.tokenizer import tokenizer_facts
from forensics.checkpoint.tokenizer_steps import BYTE_LEVEL_PATTERN, STEPS, patterns_of, split_by, steps_of

SPLIT = {"type": "Split", "pattern": {"Regex": r"\s+"}, "behavior": "Isolated", "invert": False}


def test_a_sequence_is_its_steps() -> None:
    """Nesting, and the order of keys, make no difference; the order of steps does."""
    digits, turned = {"type": "Digits"}, dict(reversed(SPLIT.items()))
    nested = {"type": "Sequence", "pretokenizers": [{"type": "Sequence", "pretokenizers": [turned]}, digits]}
    flat = {"type": "Sequence", "pretokenizers": [SPLIT, digits]}
    assert steps_of(nested) == steps_of(flat)
    assert steps_of({"pretokenizers": [digits, SPLIT]}) != steps_of(flat)
    assert steps_of(SPLIT) == split_by(r"\s+")
    assert steps_of(None) == "[]"


def test_patterns_are_text_in_order() -> None:
    """Regular expressions, literal text, and the byte-level step's own pattern where it is used."""
    parts = [
        SPLIT, {"type": "Split", "pattern": {"String": " "}}, {"type": "ByteLevel"},
        {"type": "ByteLevel", "use_regex": False},
    ]  # fmt: skip
    assert patterns_of(steps_of({"pretokenizers": parts})) == (r"\s+", " ", BYTE_LEVEL_PATTERN)
    assert patterns_of("") == ()


def test_a_regex_is_not_the_same_as_its_text() -> None:
    """A literal dot is another step than any character."""
    either = [{"type": "Replace", "pattern": {kind: "."}, "content": "x"} for kind in ("Regex", "String")]
    assert steps_of(either[0]) != steps_of(either[1])


def test_the_table_of_characters_is_a_digest() -> None:
    """A precompiled table is told by its digest, of whatever text stands there."""
    (step,) = json.loads(steps_of({"type": "Precompiled", "precompiled_charsmap": "YWJj" * 50_000}))
    assert len(step["charsmap"]) == 32
    assert steps_of({"type": "Precompiled", "precompiled_charsmap": "\ud800é"}) != steps_of(
        {"type": "Precompiled"}
    )


@pytest.mark.parametrize(
    "hostile",
    [
        7, "Sequence", [], {"type": ["Split"]}, {"type": {"Regex": "a"}}, {"normalizers": [None, 7, [[]]]},
        {"type": "Split", "pattern": {"Regex": "x" * 3_000_000}}, {"x" * 3_000_000: 1, "type": "\ud800"},
        {"pretokenizers": [SPLIT] * 100_000}, {"type": "Prepend", "n": 10**400, "f": 1e999, "g": -(2.0**60)},
        {f"key{i}": i for i in range(10_000)}, {"normalizers": "all", "pretokenizers": None},
    ],
)  # fmt: skip
def test_hostile_steps_are_short_json(hostile: Any) -> None:
    """Whatever stands there becomes a short list of flat objects that JSON can hold."""
    steps = steps_of(hostile)
    parsed = json.loads(steps, parse_constant=lambda _: pytest.fail("not finite"))
    assert len(parsed) <= STEPS
    assert len(steps) < 200_000
    assert all(not isinstance(value, dict | list) for step in parsed for value in step.values())
    assert isinstance(patterns_of(steps), tuple)


def test_nesting_beyond_any_real_one_ends() -> None:
    """A sequence in a sequence, as deep as JSON goes, is read without recursion."""
    deep = SPLIT
    for _ in range(50_000):
        deep = {"type": "Sequence", "pretokenizers": [deep]}  # type: ignore[dict-item]
    assert steps_of(deep) == steps_of(SPLIT)


def test_a_tokenizer_tells_its_steps() -> None:
    """The facts of tokenizer.json hold both lists, and the patterns."""
    parsed = {"model": {"vocab": {"a": 0}}, "pre_tokenizer": SPLIT, "normalizer": {"type": "NFC"}}
    facts = tokenizer_facts(json.dumps(parsed).encode(), None, None)
    assert json.loads(facts.normalizer) == [{"type": "NFC"}]
    assert facts.patterns == (r"\s+",)
