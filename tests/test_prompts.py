"""Prompts: which sets are accepted, and where in a text hidden states are read."""

from __future__ import annotations

import json
import re

import pytest

from forensics.errors import ForensicsError
from forensics.prompts import DEFAULT_PROMPTS, digest, nonsense, places, prompts_from


def test_blank_text_means_the_default_set() -> None:
    """Nothing given means the shipped prompts, which are all different and can be written as a JSON list."""
    assert prompts_from("") == prompts_from(" \n") == DEFAULT_PROMPTS
    assert len(set(DEFAULT_PROMPTS)) == len(DEFAULT_PROMPTS) >= 24
    assert prompts_from(json.dumps(DEFAULT_PROMPTS)) == DEFAULT_PROMPTS


def test_lines_and_json_lists_mean_the_same() -> None:
    """One prompt per line and a JSON list of the same strings give the same prompts."""
    assert prompts_from("first one\n\n  second one \r\n") == prompts_from('["first one", "second one"]')


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[1, 2]", "other than text"),
        ("[not json", "begin like a JSON list"),
        ("[" * 100_000, "begin like a JSON list"),
        ("[]", "no prompt"),
        ("same\nsame", "twice"),
        ("x" * 5_000, "prompt 1"),
        ("x\n" * 600_000, "characters"),
        ("\n".join(str(i) for i in range(300)), "300 prompts"),
        ('["\\ud800 half"]', "surrogate"),
    ],
)
def test_unusable_sets_are_refused_in_two_lines(text: str, part: str) -> None:
    """A set that is too large, repeated, no text or no list is a ForensicsError with a hint, never a traceback."""
    with pytest.raises(ForensicsError, match=part) as caught:
        prompts_from(text)
    assert caught.value.hint


def test_places_are_word_ends_past_the_first_words() -> None:
    """A place is the last character of a whole word, never of the first two, and its word stands there."""
    for place in places(DEFAULT_PROMPTS, 256):
        text = DEFAULT_PROMPTS[place.prompt]
        assert place.order >= 2
        assert text[: place.offset + 1].endswith(place.word)
        assert place.offset + 1 == len(text) or text[place.offset + 1].isspace()
        assert text.split()[place.order] == place.word


def test_places_are_distinct_and_as_many_as_wanted() -> None:
    """With words enough exactly the wanted number of different places is given; a short text gives what it has."""
    found = places(DEFAULT_PROMPTS, 256)
    assert len({(p.prompt, p.offset) for p in found}) == len(found) == 256
    assert [p.word for p in places(("one two three four", "", "five six seven"), 100)] == [
        "three",
        "four",
        "seven",
    ]


def test_nonsense_depends_on_the_seed_alone() -> None:
    """Nonsense is the same each time, other for another seed, and consists of short words of small letters."""
    assert nonsense(0) == nonsense(0) != nonsense(1)
    assert digest(nonsense(0)) == "e3d4ca463e6d376029c1e345e2f0111419c0bbfad6f48faa0073588d4b54f6e3"
    assert all(re.fullmatch(r"[a-z]{2,5}( [a-z]{2,5})*", text) for text in nonsense(0))


def test_digest_tells_prompt_sets_apart() -> None:
    """Moving a word from one prompt to the next changes the digest."""
    assert digest(("a b", "c")) != digest(("a", "b c"))
