"""The page tells the record, whatever the record holds, and obeys nothing in it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from forensics.records import Dossier
from forensics.report.html import html_for_paper, html_of
from tests.report import example, instruments


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers the element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Remembers the text."""
        self.text += data


def page_of(dossier: Dossier) -> Page:
    """The parsed page of a dossier."""
    return Page(html_of(dossier, example.record_of(dossier)))


@pytest.fixture(scope="module")
def page() -> Page:
    """The worked example."""
    return page_of(example.dossier())


@pytest.fixture(scope="module")
def hostile() -> Page:
    """The example in which every foreign string is a nuisance."""
    return page_of(example.hostile())


def test_the_page_states_every_opinion_with_its_number(page: Page) -> None:
    """Case, candidates, verdicts, likelihood ratios and bounds all stand in the text."""
    for expected in (
        "2026-0117",
        "meridian-8b",
        "Derived (fine tuned)",
        "+1.1",
        "±1.1",
        "Independent",
        "Inconclusive",
    ):
        assert expected in page.text


def test_every_kind_of_outcome_is_told_with_its_reason(page: Page) -> None:
    """Measurements, abstentions and failures are each named, the latter two with the reason."""
    for expected in (
        "Measurement",
        "Abstention",
        "Failure",
        "folded into the neighbouring",
        "the probe broke (ValueError)",
    ):
        assert expected in page.text


def test_the_page_tells_relation_direction_and_what_shows_together(page: Page) -> None:
    """How, direction and the candidates together stand in the answer, with the share of each layer in the findings."""
    for expected in (
        "The difference from meridian-8b has rank 16.",
        "The suspect was made from the candidate: the values of meridian-8b fill the grid.",
        "The candidates together. The suspect looks like a merge: 50% of meridian-8b and 50% of twin-8b.",
        "Shares by layer",
        "share of twin-8b",
        "too few correspond",
    ):
        assert expected in page.text.replace("\n", " ").replace("  ", " ")
    assert page.text.count("Explained, not weighed.") == 2


def test_the_page_has_a_table_of_propositions_for_each_opinion_that_holds_them(page: Page) -> None:
    """Words, standing, why, and what it is not told from; an older record without them has no such table."""
    told = " ".join(page.text.split())
    assert told.count("Propositions: how each explanation stands") == 4
    for expected in ("supported", "untested", "Siblings read alike.", "sibling or common ancestor"):
        assert expected in told
    whole = example.dossier()
    old = replace(
        whole,
        opinions=tuple(replace(o, propositions=()) for o in whole.opinions),
        controls=tuple(replace(o, propositions=()) for o in whole.controls),
    )
    assert "Propositions" not in page_of(old).text


def test_the_page_carries_the_record_and_its_digest() -> None:
    """The record can be saved from the page byte for byte, and its SHA-256 is printed."""
    dossier = example.dossier()
    record = example.record_of(dossier)
    page = Page(html_of(dossier, record))
    links = [
        attributes["href"] or ""
        for tag, attributes in page.elements
        if tag == "a" and "download" in attributes
    ]
    assert [base64.b64decode(link.partition("base64,")[2]) for link in links] == [record]
    assert hashlib.sha256(record).hexdigest() in page.text


def test_two_renderings_are_equal() -> None:
    """The same dossier gives the same page, figures included."""
    from forensics.report import figures, histograms

    dossier = example.dossier()
    first = html_of(dossier, b"{}")
    figures.curves.cache_clear()
    histograms.background.cache_clear()
    assert html_of(dossier, b"{}") == first


def test_a_strangers_text_creates_no_element(hostile: Page) -> None:
    """Hostile strings add no script, style, link, form or foreign image, and no attribute can run anything."""
    tags = {tag for tag, _ in hostile.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "input", "base", "svg"}
    assert sum(tag == "style" for tag, _ in hostile.elements) == 1
    for tag, attributes in hostile.elements:
        assert not [key for key in attributes if key.startswith("on")]
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/svg+xml;base64,")
        if tag == "a":
            href = attributes["href"] or ""
            copied = re.fullmatch(r"exhibits/[0-9a-f]{16}(-[A-Za-z0-9-]+)?\.[a-z0-9]+", href)
            assert copied or href.startswith(("#", "data:application/json;base64,"))


def test_a_strangers_text_is_shown_as_written(hostile: Page) -> None:
    """Hostile strings appear as text: no template in them is computed and no control character survives."""
    assert "<img src=file:///etc/passwd>" in hostile.text
    assert "{{7*7}}" in hostile.text
    assert "invoice\\u202egnp.exe" in hostile.text
    assert "\\x1b[31mred" in hostile.text
    assert "lone \\ud800 surrogate" in hostile.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\ufeff]", hostile.text)


def test_nothing_on_the_page_needs_the_network_or_a_script(page: Page) -> None:
    """The content policy allows embedded images and exactly the inlined style sheet, and no address leads outside."""
    html = html_of(example.dossier(), b"{}")
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = next(
        a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"'sha256-{digest}'" in policy
    assert "http" not in style[0]
    assert not re.search(r"url\((?!\"?data:)", style[0])
    assert not [attributes for _, attributes in page.elements if "style" in attributes]


def test_every_figure_says_in_words_what_it_shows(page: Page) -> None:
    """Every image has alternative text."""
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert (
        len(images) == len(instruments.PROBES[:3]) + 7 + 4 + 4 + 4
    )  # histograms, curves, strips, their axes, waterfalls
    assert all(attributes.get("alt") for attributes in images)


def test_contents_lead_somewhere(page: Page) -> None:
    """Every entry of the contents points at exactly one heading."""
    targets = [
        (a["href"] or "")[1:] for tag, a in page.elements if tag == "a" and (a["href"] or "").startswith("#")
    ]
    anchors = [a["id"] for tag, a in page.elements if tag in {"h2", "h3"} and "id" in a]
    assert targets == anchors
    assert len(set(anchors)) == len(anchors)


def test_an_instrument_describes_itself_once(page: Page) -> None:
    """What an instrument measures and was expected to show is printed once, however many candidates there are."""
    whole = example.dossier()
    for probe in instruments.PROBES:
        assert page.text.count(probe.measures) == 1
        assert not probe.expected or page.text.count(probe.expected) == 1
    assert len(whole.opinions) > 1


def test_chapters_stand_in_the_order_of_a_forensic_report(page: Page) -> None:
    """Answer, question, items, methods, findings, evaluation, validation, limits, reproduction, then appendices."""
    anchors = [a["id"] for tag, a in page.elements if tag == "h2" and "id" in a]
    assert anchors == [
        "answer", "question", "items", "methods", "findings", "weighing", "validation", "limits", "reproduction",
        "manifest", "scale", "glossary", "references",
    ]  # fmt: skip


def test_headings_never_skip_a_level(page: Page) -> None:
    """Every heading is at most one level below the one before it."""
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(lower - upper <= 1 for upper, lower in pairwise(levels))


@pytest.mark.parametrize("make", [example.bare, example.sparse])
def test_a_record_with_next_to_nothing_in_it_renders(make: object) -> None:
    """No opinion, finding, subject, control or date is an error; what is missing is said."""
    assert callable(make)
    page = page_of(make())
    assert "No control was given." in page.text
    assert "not stated (SOURCE_DATE_EPOCH not set)" in page.text


def test_long_tables_are_cut_with_a_count() -> None:
    """A table of 3000 rows and a list of 902 files show 500 and say how many more the record holds."""
    page = page_of(example.long_tables())
    assert "row-499" in page.text
    assert "row-500" not in page.text
    assert "2500 more rows in the record" in page.text
    assert "402 more files in the record" in page.text


def test_an_unknown_verbal_scale_is_named_and_not_replaced_by_ours() -> None:
    """The table of words is printed only where it is the one that the record used."""
    dossier = example.dossier()
    other = replace(dossier, environment=replace(dossier.environment, verbal_scale="another-scale/9"))
    assert "extremely strong support" in page_of(dossier).text
    text = page_of(other).text
    assert "another-scale/9" in text
    assert "extremely strong support" not in text


def test_the_page_for_paper_leaves_the_record_to_the_attachment() -> None:
    """What goes to the typesetter holds no copy of the record and no script of the screen."""
    dossier = example.bare()
    assert "data:application/json" not in html_for_paper(dossier, example.record_of(dossier))
