"""Documents and statements of the parties: listed and quoted beside the evidence, and no part of it."""

from __future__ import annotations

from itertools import zip_longest

from forensics.exhibits import Exhibit, Side, Statement, copied_as
from forensics.records import Dossier
from forensics.report import numbers
from forensics.report.display import Shown, display, isolate
from forensics.report.plain import Writer

NOT_WEIGHED = (
    "The parties put in what follows. It is identified by its digest, shown as it was given and never weighed: no "
    "reading, likelihood ratio or opinion would be another without it. What it claims was not examined."
)
SIDES: dict[Side, str] = {"for": "For the claim of descent", "against": "Against it"}
NAME, LINE = 26, 34
"""Characters of a name, and of a note or a statement, on one line of a terminal."""


def pointer(dossier: Dossier) -> str:
    """One sentence on the first page."""
    counts = ((len(dossier.exhibits), "exhibit"), (len(dossier.statements), "statement"))
    told = " and ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n)
    return f"The parties put in {told}, listed and not weighed."


def link(exhibit: Exhibit | Statement) -> Shown:
    """Where the copy lies, from the report's own folder: letters, digits and hyphens only; empty for none."""
    return Shown(copied_as(exhibit))


def quoted(statement: Statement) -> list[Shown]:
    """A statement's paragraphs as plain text through the display filter; then how much is not quoted."""
    lines = [line.replace("\t", " ").rstrip() for line in statement.text.split("\n")]
    shown = [Shown(isolate(display(line, len(line)))) for line in lines if line]
    if statement.omitted:
        shown.append(Shown(f"[{numbers.count(statement.omitted)} more characters in the file]"))
    return shown


def side_by_side(dossier: Dossier) -> list[tuple[Statement | None, Statement | None]]:
    """The n-th statement for the claim beside the n-th against it."""
    claiming, denying = ([s for s in dossier.statements if s.side == side] for side in SIDES)
    return list(zip_longest(claiming, denying))


def abreast(pair: tuple[Statement | None, Statement | None]) -> list[tuple[Shown, Shown]]:
    """The paragraphs of two statements row by row, so that a page may end between them."""
    left, right = (quoted(one) if one else [] for one in pair)
    return list(zip_longest(left, right, fillvalue=Shown("")))


def lines(dossier: Dossier) -> list[tuple[str, str]]:
    """(label, line) of every document, for a terminal; a line takes at most 64 columns of ordinary text."""
    told = [("exhibit", _line(e.name, e.note or e.media_type)) for e in dossier.exhibits]
    return told + [(s.side, _line(s.name, s.text)) for s in dossier.statements]


def _line(name: str, what: str) -> str:
    return f"{_cut(name, NAME)}: {_cut(what, LINE)}"


def _cut(text: str, limit: int) -> str:
    """The beginning of `text` on one line, at most `limit` characters with the escapes of hidden ones."""
    shown = display(" ".join(text[: 4 * limit].split()))
    return shown if len(shown) <= limit and len(text) <= 4 * limit else shown[: limit - 1] + "…"


def summarise(dossier: Dossier, writer: Writer) -> None:
    """Writes one line for each document, and that none was weighed."""
    told = lines(dossier)
    if told:
        writer.gap()
        for label, line in told:
            writer.pair(label, line)
        writer.pair("", "Listed in the dossier and not weighed.")


def tell(dossier: Dossier, writer: Writer, number: str) -> None:
    """Writes its chapter of the plain-text report, where there is anything to tell."""
    if not dossier.exhibits and not dossier.statements:
        return
    writer.chapter(number, "What the parties put in")
    writer.paragraph(NOT_WEIGHED)
    for exhibit in dossier.exhibits:
        writer.line(f"exhibit: {exhibit.name}")
        if exhibit.note:
            writer.pair("note", exhibit.note)
        _identified(exhibit, exhibit.media_type, writer)
    for statement in dossier.statements:
        writer.line(f"{SIDES[statement.side].lower()}: {statement.name}")
        _identified(statement, "text", writer)
        for paragraph in quoted(statement):
            writer.paragraph(paragraph, indent="  | ", first="  | ")


def _identified(document: Exhibit | Statement, kind: str, writer: Writer) -> None:
    writer.pair("copy", link(document) or "none")
    writer.pair("kind", f"{kind}, {numbers.size(document.size)}")
    writer.line(f"  {document.sha256}")
    writer.gap()
