"""Prompts: which sets are accepted, and where in a text hidden states are read."""

from __future__ import annotations

import json
import re

import pytest

from forensics.errors import ForensicsError
from forensics.prompt_set import TEXTS, VERSION
from forensics.prompts import (
    DEFAULT_PROMPTS,
    digest,
    extended,
    named,
    nonsense,
    places,
    prompts_from,
    random_strings,
    word_orders,
)


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
        marked = place.word[-1] in "、。，！？；："
        assert marked or place.offset + 1 == len(text) or text[place.offset + 1].isspace()
        assert any("、" in t or "，" in t for t in text.split()) or text.split()[place.order] == place.word


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


def test_the_default_set_is_what_its_version_says() -> None:
    """A changed text needs a new version, since the record names the set by it; version 1 is its first part."""
    known = {"2": "6f33b74a9c906ead501fd2492ee2f3e4555a031c1019f3da9dd74d71c77ed050"}
    assert digest(DEFAULT_PROMPTS) == known[VERSION]
    assert named(digest(DEFAULT_PROMPTS)) == f"default, version {VERSION}"
    assert named(digest(DEFAULT_PROMPTS[1:])) == "given for this case"


def test_the_default_set_has_every_kind_of_text() -> None:
    """Code, arithmetic, rare and random strings and ten languages, each with places of its own within 256."""
    assert {"code", "arithmetic", "rare strings", "Arabic", "Chinese", "Hindi", "Japanese", "Korean"} <= set(
        TEXTS
    )
    assert len(TEXTS) >= 15
    found = places(DEFAULT_PROMPTS, 256)
    assert {place.prompt for place in found} == set(range(len(DEFAULT_PROMPTS)))


def test_a_clause_ends_a_place_where_no_blanks_are_written() -> None:
    """In Chinese and Japanese a place is the mark that ends a clause, and no mark stands alone."""
    found = [place.word for place in places(("雨停了，门开了，她走进来，说：好。", "a 、 b c、d"), 100)]
    assert found == ["她走进来，", "说：", "好。", "c、", "d"]


def test_random_strings_are_printable_words_that_stay() -> None:
    """They are the same each time, without blanks in them, and mix scripts."""
    assert random_strings() == random_strings()
    for text in random_strings():
        words = text.split()
        assert len(words) == 24
        assert all(3 <= len(word) <= 8 and word.isprintable() for word in words)
        assert any(char > "\u4e00" for char in text)
        assert any(char < "\u0080" for char in text)


def test_more_prompts_stand_behind_the_default_set() -> None:
    """An extended set begins with the shipped one; one that repeats a shipped text is refused as any repetition."""
    assert prompts_from(extended("one more\nand another")) == (*DEFAULT_PROMPTS, "one more", "and another")
    with pytest.raises(ForensicsError, match="twice"):
        extended(json.dumps([DEFAULT_PROMPTS[0]]))


def test_word_orders_are_those_of_the_places() -> None:
    """The order of a place is told from text and offset alone; an offset beyond its text is refused."""
    for texts in (DEFAULT_PROMPTS, nonsense(0)):
        found = places(texts, 256)
        assert word_orders(texts, [(p.prompt, p.offset) for p in found]) == [p.order for p in found]
    for key in ((0, 10_000), (-1, 3), (99, 0), (0, -1)):
        with pytest.raises(ValueError, match="no character"):
            word_orders(DEFAULT_PROMPTS, [key])
