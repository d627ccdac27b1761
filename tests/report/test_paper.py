"""What the PDF claims of itself is there: PDF/A-3a with tags, fonts, alternatives, and one associated file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject

from forensics.report import pdf_of
from forensics.report.missing import missing_glyphs
from tests.report import example


@pytest.fixture(scope="module")
def reader() -> PdfReader:
    """A small case as PDF."""
    dossier = example.dossier({"meridian-8b": 1.146}, {"stranger-7b": -1.02})
    return PdfReader(io.BytesIO(pdf_of(dossier, example.record_of(dossier), timeout=600).pdf))


@pytest.fixture(scope="module")
def catalog(reader: PdfReader) -> Any:
    """Its catalogue."""
    return reader.trailer["/Root"]


def elements(node: Any) -> Iterator[Any]:
    """The structure elements below a node, in reading order."""
    kids = node.get("/K")
    for kid in kids if isinstance(kids, ArrayObject) else [kids]:
        found = kid.get_object() if kid is not None else None
        if isinstance(found, DictionaryObject) and "/S" in found:
            yield found
            yield from elements(found)


def fonts(reader: PdfReader) -> dict[str, Any]:
    """Every font of every page and of the figures in them, by name."""
    found: dict[str, Any] = {}

    def collect(resources: Any) -> None:
        for font in (resources.get("/Font") or {}).values():
            found[font.get_object()["/BaseFont"]] = font.get_object()
        for inner in (resources.get("/XObject") or {}).values():
            if "/Resources" in inner.get_object():
                collect(inner.get_object()["/Resources"].get_object())

    for page in reader.pages:
        collect(page["/Resources"].get_object())
    return found


def test_it_claims_pdf_a_3a_and_no_more(catalog: Any) -> None:
    """Part 3, conformance A, an output intent, language and a displayed title; PDF/UA is claimed by nobody yet."""
    metadata = catalog["/Metadata"].get_object().get_data().decode()
    assert 'pdfaid:part="3"' in metadata
    assert 'pdfaid:conformance="A"' in metadata
    assert "pdfuaid" not in metadata
    (intent,) = catalog["/OutputIntents"]
    assert intent.get_object()["/S"] == "/GTS_PDFA1"
    assert catalog["/Lang"] == "en"
    assert catalog["/MarkInfo"]["/Marked"]
    assert catalog["/ViewerPreferences"]["/DisplayDocTitle"]


def test_the_record_is_an_associated_file(catalog: Any) -> None:
    """The catalogue names the attachment and its relation to the report."""
    related = [one.get_object() for one in catalog["/AF"]]
    assert {one["/AFRelationship"] for one in related} == {"/Data"}
    assert {one["/UF"] for one in related} == {"dossier.json"}


def test_headings_nest_and_every_figure_speaks(catalog: Any) -> None:
    """The structure tree has headings that skip no level, tables with headings, and figures with alternatives."""
    found = list(elements(catalog["/StructTreeRoot"]))
    kinds = [one["/S"] for one in found]
    levels = [int(kind[2:]) for kind in kinds if re.fullmatch("/H[1-6]", kind)]
    assert levels[0] == 1
    assert all(lower - upper <= 1 for upper, lower in pairwise(levels))
    figures = [one for one in found if one["/S"] == "/Figure"]
    assert figures
    assert all(one.get("/Alt") for one in figures)
    assert {"/Table", "/TH", "/TD", "/P", "/L", "/LI", "/Caption", "/Link"} <= set(kinds)


def test_every_font_is_embedded(reader: PdfReader) -> None:
    """The shipped faces are used, and nothing is left to the reader's machine."""
    found = fonts(reader)
    for name, font in found.items():
        inner = [one.get_object() for one in font.get("/DescendantFonts", [font])]
        for one in inner:
            descriptor = one["/FontDescriptor"].get_object()
            assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor), name
        assert "/ToUnicode" in font, name
    assert {"Dossier-Sans", "Dossier-Serif", "Dossier-Mono"} <= {
        name.partition("+")[2].removesuffix("-Semi-Bold") for name in found
    }


def test_nothing_runs_and_nothing_leads_outside(reader: PdfReader, catalog: Any) -> None:
    """No script, no action, no form, and links that stay in the document."""
    assert not {"/OpenAction", "/AA", "/AcroForm"} & set(catalog)
    assert "/JavaScript" not in (catalog.get("/Names") or {})
    for page in reader.pages:
        for note in page.get("/Annots") or []:
            link = note.get_object()
            assert link["/Subtype"] == "/Link"
            assert link.get("/A", {}).get("/S") in {None, "/GoTo"}


def test_missing_letters_are_told_with_the_package_that_brings_them() -> None:
    """Which package is named follows from the letters; other warnings stay as they are."""
    heard = [
        '.notdef glyph rendered for Unicode string unsupported by fonts: "\u6a21" (U+6A21)',
        '.notdef glyph rendered for Unicode string unsupported by fonts: "\u578b" (U+578B)',
    ]
    (told,) = missing_glyphs(heard)
    assert told.startswith("2 characters are in no installed font")
    assert "fonts-noto-cjk" in told
    assert "fonts-noto-core" not in told
    assert "fonts-noto-color-emoji" in missing_glyphs([heard[0].replace("6A21", "1F600")])[0]
    assert "fonts-noto-core" in missing_glyphs([heard[0].replace("6A21", "0E01")])[0]
    assert missing_glyphs(["something else"]) == ("something else",)
