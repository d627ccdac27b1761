"""The PDF is repeatable, carries the record, and is typeset where nothing can be fetched."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from forensics.errors import ReportError
from forensics.report import Rendered, pdf_of
from forensics.report.pdf import EPOCH, made_at, typeset
from tests.report import example


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    """The worked example as PDF."""
    dossier = example.dossier()
    return pdf_of(dossier, example.record_of(dossier), timeout=600)


@pytest.fixture(scope="module")
def reader(rendered: Rendered) -> PdfReader:
    """The same, opened."""
    return PdfReader(io.BytesIO(rendered.pdf))


def text_of(reader: PdfReader) -> str:
    """Text of a PDF's first pages with its white space evened out."""
    text = " ".join(page.extract_text() for page in reader.pages[:2])
    # Where a font lacks a glyph, WeasyPrint writes a code map that pypdf reads as bytes, poppler as characters.
    return " ".join(text.replace("\x00", "").split())


def test_two_renderings_are_equal_byte_for_byte() -> None:
    """The same dossier gives the same PDF."""
    dossier = example.sparse()
    record = example.record_of(dossier)
    assert pdf_of(dossier, record, timeout=600).pdf == pdf_of(dossier, record, timeout=600).pdf


def test_the_attachment_is_the_record(reader: PdfReader) -> None:
    """`dossier.json` comes out of the PDF byte for byte."""
    assert {name: list(found) for name, found in reader.attachments.items()} == {
        "dossier.json": [example.record_of(example.dossier())]
    }


def test_the_example_typesets_without_complaint(rendered: Rendered) -> None:
    """Nothing is refused and the typesetter warns of nothing."""
    assert rendered.refused == ()
    assert rendered.warnings == ()


def test_the_pdf_states_the_answer_and_is_numbered(reader: PdfReader) -> None:
    """Case, verdict and ratio stand on page 1; every page says which of how many it is."""
    pages = len(reader.pages)
    first = " ".join(reader.pages[0].extract_text().split())
    for expected in ("2026-0117", "meridian-8b", "Derived (fine tuned)", "+1.1"):
        assert expected in first
    assert 8 <= pages <= 22
    for number in (1, 2, pages):
        assert f"Page {number} of {pages}" in " ".join(reader.pages[number - 1].extract_text().split())


def test_the_pdf_has_title_language_outline_and_tags(reader: PdfReader) -> None:
    """Title, language, bookmarks, structure and the claim of PDF/A-3a are set; dates are the record's."""
    catalog: Any = reader.trailer["/Root"]
    outline: Any = reader.outline
    assert reader.metadata is not None
    assert reader.metadata.title == "Model lineage dossier: 2026-0117"
    assert reader.metadata.creation_date == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert catalog["/Lang"] == "en"
    assert catalog["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in catalog
    titles = [entry["/Title"] for entry in outline if not isinstance(entry, list)]
    assert titles[0].endswith("The answer")
    assert len(titles) == 13
    metadata = catalog["/Metadata"].get_object().get_data().decode()
    assert 'pdfaid:part="3"' in metadata
    assert 'pdfaid:conformance="A"' in metadata


def test_hostile_strings_fetch_nothing_and_embed_nothing() -> None:
    """A record full of markup, addresses and odd characters typesets with one attachment and no refused fetch."""
    dossier = example.hostile()
    record = example.record_of(dossier)
    rendered = pdf_of(dossier, record, timeout=600)
    reader = PdfReader(io.BytesIO(rendered.pdf))
    assert rendered.refused == ()
    assert {name: list(found) for name, found in reader.attachments.items()} == {"dossier.json": [record]}
    text = text_of(reader)
    assert "root:" not in text
    assert "<link rel=attachment" in text


def test_whatever_a_page_asks_for_is_refused_and_named(tmp_path: Path) -> None:
    """Were markup ever to get through, no file or address would be read, and each attempt would be reported."""
    canary = tmp_path / "canary.txt"
    canary.write_text("canary-5f1c")
    address = canary.as_uri()
    page = (
        f'<html lang="en"><head><title>t</title><link rel="attachment" href="{address}">'
        f'<link rel="stylesheet" href="http://127.0.0.1:9/a.css"><style>@import url("ftp://127.0.0.1/b.css");'
        f'@font-face {{ font-family: x; src: url("{address}") }}</style></head>'
        f'<body style="font-family: x"><img src="{address}" alt="a"><p>text</p>'
        f'<a rel="attachment" href="{address}">a</a></body></html>'
    )
    rendered = typeset(page, b"{}", EPOCH, timeout=600)
    reader = PdfReader(io.BytesIO(rendered.pdf))
    assert list(reader.attachments) == ["dossier.json"]
    assert b"canary-5f1c" not in b"".join(data for found in reader.attachments.values() for data in found)
    assert "canary-5f1c" not in text_of(reader)
    assert {address, "http://127.0.0.1:9/a.css", "ftp://127.0.0.1/b.css"} <= set(rendered.refused)


def test_missing_system_libraries_are_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where WeasyPrint cannot load its libraries, the user learns which packages bring them."""
    (tmp_path / "weasyprint.py").write_text("raise OSError('cannot load library libpango-1.0-0')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ReportError, match="libpango") as caught:
        typeset("<p>x", b"{}", EPOCH, timeout=600)
    assert "apt-get install libpango-1.0-0" in caught.value.hint


def test_a_worker_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its time limit the worker is killed and the user is told that the record is complete."""
    (tmp_path / "weasyprint.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ReportError, match="more than 1 s") as caught:
        typeset("<p>x", b"{}", EPOCH, timeout=1)
    assert "record is complete" in caught.value.hint


def test_a_worker_that_dies_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of the typesetter is told in one line and not as a traceback of ours."""
    (tmp_path / "weasyprint.py").write_text("raise MemoryError('out of room')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ReportError, match=r"status 1: MemoryError: out of room"):
        typeset("<p>x", b"{}", EPOCH, timeout=600)


@pytest.mark.parametrize(
    "stated", [None, "", "yesterday", "0001-01-01T00:00:00+14:00", "1969-12-31T00:00:00Z"]
)
def test_an_unreadable_date_becomes_the_epoch(stated: str | None) -> None:
    """Dates of the PDF come from the record or are fixed, so that two renderings are equal."""
    dossier = example.bare()
    assert made_at(replace(dossier, case=replace(dossier.case, generated_at=stated))) == EPOCH
