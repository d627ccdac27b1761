"""What the parties put in is told in every report, side by side, as text; nothing of it is obeyed or weighed."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from pypdf import PdfReader

from forensics.archive import decode, encode, settled
from forensics.exhibits import COPY, Exhibit, Statement, copied_as
from forensics.report import html_of, pdf_of, summary_table, summary_text, text_of
from forensics.report.parties import NOT_WEIGHED, abreast, quoted, side_by_side
from tests.report import example
from tests.report.test_html import Page, page_of

TOLD = (
    "accusation.pdf",
    "first published on 3 October",
    "claim.txt",
    "Nobody else has them.",
    "We trained from scratch.",
)


@pytest.fixture(scope="module")
def page() -> Page:
    """The contested case."""
    return page_of(example.contested())


def test_the_page_lists_and_links_every_document(page: Page) -> None:
    """Names, notes, digests and words stand in the text; each copy is linked once, markup as a text file."""
    told = " ".join(page.text.split())
    for expected in (*TOLD, example.digest("accusation"), NOT_WEIGHED, "[8976 more characters in the file]"):
        assert expected in told.replace("\u202f", " ")
    dossier = example.contested()
    links = [
        a["href"] for tag, a in page.elements if tag == "a" and (a["href"] or "").startswith("exhibits/")
    ]
    assert links == [
        copied_as(one) for one in (*dossier.exhibits, *dossier.statements[:2], dossier.statements[2])
    ]
    assert links[1] == f"exhibits/{example.digest('shot')[:16]}-screen-shot-2.txt"


def test_both_sides_stand_beside_each_other() -> None:
    """The first claim is beside the first denial, paragraph by paragraph; a side that says less has empty cells."""
    first, second = side_by_side(example.contested())
    assert [s.name if s else None for s in (*first, *second)] == [
        "claim.txt",
        "denial.txt",
        None,
        "reply.txt",
    ]
    rows = abreast(first)
    assert rows[0] == ("The curves of the two models agree.", "We trained from scratch.")
    assert len(rows) == 2


def test_a_case_without_documents_says_nothing_of_them() -> None:
    """No chapter, no sentence on the first page, nothing in the text."""
    for told in (
        page_of(example.dossier()).text,
        text_of(example.dossier()),
        summary_text(example.dossier()),
    ):
        assert "parties put in" not in told


def test_an_older_record_reads_as_one_without_documents() -> None:
    """Records written before there were any still say what they said."""
    raw = json.loads(encode(example.bare()))
    del raw["exhibits"], raw["statements"]
    assert decode(json.dumps(raw).encode()) == settled(example.bare())


def test_documents_stand_apart_from_what_is_weighed() -> None:
    """Every other line of the plain report is the same with and without them."""
    contested = example.contested()
    without = text_of(replace(contested, exhibits=(), statements=()))
    lines = iter(re.sub(r"^\d+ ", "", line) for line in text_of(contested).splitlines())
    assert all(re.sub(r"^\d+ ", "", line) in lines for line in without.splitlines() if set(line) - {"="})


def test_the_summary_has_one_line_for_each() -> None:
    """Each document is one labelled line of at most 80 columns, on a terminal as well."""
    lines = summary_text(example.contested()).splitlines()
    assert "  exhibit       accusation.pdf: first published on 3 October" in lines
    assert sum(line.startswith(("  exhibit ", "  for ", "  against ")) for line in lines) == 5
    assert max(map(len, lines)) <= 80
    assert "denial.txt: We trained from scratch." in str(summary_table(example.contested()).caption)


def test_the_pdf_tells_them_and_fetches_nothing() -> None:
    """Documents and the end of a statement longer than a page stand in the PDF; no file is linked or attached."""
    contested = example.contested()
    long = Statement(
        side="for",
        name="long.txt",
        size=1,
        sha256=example.digest("long"),
        text="claim " * 1300 + "the-very-end",
    )
    dossier = replace(contested, statements=(long, *contested.statements[1:]))
    record = example.record_of(dossier)
    rendered = pdf_of(dossier, record, timeout=600)
    assert (rendered.refused, rendered.warnings) == ((), ())
    reader = PdfReader(io.BytesIO(rendered.pdf))
    assert list(reader.attachments) == ["dossier.json"]
    text = " ".join(" ".join(p.extract_text() for p in reader.pages).split())
    for expected in (
        "accusation.pdf",
        "first published on 3 October",
        "the-very-end",
        "We trained from scratch.",
    ):
        assert expected in text
    for sheet in reader.pages:
        for note in sheet.get("/Annots") or []:
            assert "/URI" not in str(note.get_object())
            assert "/Launch" not in str(note.get_object())


def test_hostile_words_are_quoted_as_they_are() -> None:
    """A statement's paragraphs hold no control character and lose nothing; markup in them is text."""
    for statement in example.hostile().statements:
        told = "\n".join(quoted(statement))
        assert "\\x1b[31mred" in told
        assert "invoice\\u202egnp.exe" in told
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e]", told)
    html = html_of(example.hostile(), b"{}")
    assert "<script>" not in html
    assert "javascript:" not in html


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "javascript:alert(1)", "a" * 65])
def test_a_forged_digest_names_no_copy(digest: str) -> None:
    """Only sixty-four hexadecimal digits lead to a file."""
    assert copied_as(Exhibit(name="x", note="", size=1, sha256=digest, media_type="image/png")) == ""


@pytest.mark.parametrize(
    "name", [*example.HOSTILE, "..", "a/../../b", "CON", "x" * 500, "é.pdf", ".htaccess"]
)
@pytest.mark.parametrize("media", ["image/png", "text/html", "image/svg+xml", "application/x-sh", "../evil"])
def test_copies_have_harmless_names(name: str, media: str) -> None:
    """Whatever a record says, the path is a digest, letters, digits and hyphens, and never one that a browser runs."""
    path = copied_as(Exhibit(name=name, note="", size=1, sha256="a" * 64, media_type=media))
    folder, _, rest = path.partition("/")
    assert folder == "exhibits"
    assert COPY.fullmatch(rest)
    assert rest.rpartition(".")[2] in {"png", "txt", "bin"}
