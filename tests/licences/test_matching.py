"""Licences found in texts: by wording and by name, several in one file, and whatever is done to slow the search."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from forensics.licences import known, licence, licences_in, notices_in, published_under, tagged
from forensics.licences.known import FORM, sampled
from forensics.licences.words import Words, shingles

APACHE = (Path(__file__).parents[2] / "LICENSE").read_text()
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def told(text: str) -> list[tuple[str, str]]:
    """Id and manner of every licence in a text."""
    return [(match.licence.id, match.how) for match in licences_in(text)]


def test_a_verbatim_text_has_all_of_its_wording() -> None:
    """Line breaks, case, quotes and characters without a shape do not matter."""
    hidden = APACHE.replace("License", "Li\u200bcense").replace('"', "”").upper()
    for text in (APACHE, APACHE.replace("\n", "\r\n\t"), hidden):
        (match,) = licences_in(text)
        assert (match.licence.id, match.share) == ("Apache-2.0", 1.0)


def test_several_licences_in_a_list_are_all_found() -> None:
    """A third-party list with two texts names both, each with the line on which it begins."""
    listed = f"Notices\n\n{MIT}\n\n{'-' * 60}\n{APACHE}"
    found = {match.licence.id: match.line for match in licences_in(listed)}
    assert set(found) == {"MIT", "Apache-2.0"}
    assert found["MIT"] <= 4 < MIT.count("\n") <= found["Apache-2.0"]


def test_half_a_text_is_told_by_its_share_and_a_tenth_is_nothing() -> None:
    """What is left of a text decides; a few sentences of it do not make a licence."""
    (match,) = licences_in(MIT[: len(MIT) * 3 // 4])
    assert 0.5 < match.share < 0.9
    assert told(MIT[: len(MIT) // 10]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("OPENPANGU MODEL LICENSE AGREEMENT VERSION 1.0\n\nThis agreement …", ("openPangu-1.0", "title")),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT\nMeta Llama 3 Version Release Date", ("Llama-3", "title")),
        (
            "LLAMA 3 COMMUNITY LICENSE AGREEMENT: Meta Llama 3 is licensed under the Meta Llama 3 Community License",
            ("Llama-3", "title"),
        ),
        ("Qwen RESEARCH LICENSE AGREEMENT\n", ("Qwen-Research", "title")),
        (
            "words " * 70 + "Qwen is licensed under the Qwen RESEARCH LICENSE AGREEMENT",
            ("Qwen-Research", "named"),
        ),
        ("Gemma is provided under and subject to the Gemma Terms of Use", ("Gemma", "named")),
        ("Mistral AI Non-Production License", ("MNPL-0.1", "title")),
        ("Yi Series Models Community License Agreement 2.1", ("Yi", "title")),
    ],
)
def test_model_licences_are_known_by_title_and_notice(text: str, found: tuple[str, str]) -> None:
    """A title heads a text, a notice stands anywhere; longer phrases win over what they contain."""
    assert told(text) == [found]


def test_code_heads_name_their_licence() -> None:
    """The usual head of a modelling file names Apache-2.0, and code further down is not looked at."""
    head = '# Licensed under the Apache License, Version 2.0 (the "License");\n'
    assert [m.licence.id for m in notices_in(head + "x = 1\n" * 9000)] == ["Apache-2.0"]
    assert notices_in("x = 1\n" * 9000 + head) == ()


def test_the_table_is_sound() -> None:
    """No id, tag or phrase stands for two licences, mentions are of known ones, and long samples are one in eight."""
    ids = [one.id for one in known()]
    assert len(ids) == len(set(ids))
    for group in ("tags", "titles", "notices"):
        every = [part for one in known() for part in getattr(one, group)]
        assert len(every) == len(set(every)), group
    for one in known():
        assert one.mentions <= set(ids)
        assert one.sample or one.titles
        for phrase in (*one.titles, *one.notices):
            assert " ".join(Words.of(phrase).words) == phrase
    apache = licence("Apache-2.0")
    assert apache is not None
    assert apache.sample == frozenset(sampled(shingles(Words.of(APACHE).words)))
    assert max(apache.sample) < FORM["below"]


def test_tags_and_names_stand_for_licences() -> None:
    """A card's tag and the name of a published model lead to its terms; other names to nothing."""
    assert [one.id if one else None for one in map(tagged, ("llama3.1", "Apache-2.0", "other"))] == [
        "Llama-3.1", "Apache-2.0", None,
    ]  # fmt: skip
    names = (
        "meta-llama/Meta-Llama-3-8B",
        "meta-llama/Llama-3.1-8B",
        "google/gemma-2-2b",
        "Qwen/Qwen2.5-7B",
        "gemmafoo",
    )
    assert [one.id if one else None for one in map(published_under, names)] == [
        "Llama-3", "Llama-3.1", "Gemma", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a " * 500_000,
        "1." * 500_000,
        "\n" * 1_000_000,
        APACHE * 90,
        "apache license version 2.0 " * 40_000,
        "\u202e\u200b" * 500_000,
    ],
)
def test_a_megabyte_costs_little(text: str) -> None:
    """Text made to be slow takes processor time in proportion to its length, which is cut."""
    begun = time.process_time()
    licences_in(text)
    assert time.process_time() - begun < 3.0
