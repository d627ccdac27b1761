"""A dossier on a terminal: the answer as a table or as plain lines, and the whole report as plain text.

Strings of a subject pass through `display` and reach rich as `Text`, never as markup; plain text holds no
escape sequence and no control character but the line feed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.records import Dossier, Opinion
from forensics.report import among, claims, parties, relations, view
from forensics.report.display import display
from forensics.report.plain import Writer, plain
from forensics.report.self_test import headlines
from forensics.report.story import tell

if TYPE_CHECKING:
    from rich.table import Table

SUMMARY_WIDTH = 80


def summary_table(dossier: Dossier) -> Table:
    """One row per candidate and control: opinion, log10 LR with interval and bound, words, and the reason."""
    from rich.table import Table
    from rich.text import Text

    title = "\n".join(plain(line) for line in (view.question(dossier), among.headline(dossier)) if line)
    table = Table(title=Text(title), title_justify="left", show_lines=True)
    table.add_column("", no_wrap=True)
    table.add_column("Compared with", overflow="fold", max_width=40)
    table.add_column("Opinion", overflow="fold")
    table.add_column("log10 LR", no_wrap=True)
    table.add_column("In words, and why", overflow="fold")
    for answer in view.answers(dossier):
        opinion = answer.opinion
        ratio = view.ratio(opinion).replace(" (", "\n(").replace(", bound", "\nbound")
        role = " (control)" if answer.role == "control" else ""
        table.add_row(
            answer.tag,
            Text(plain(opinion.candidate) + role),
            Text(f"{view.MARKS[opinion.verdict]} {plain(view.verdict(opinion))}"),
            Text(ratio),
            Text(
                "\n".join(
                    [plain(line) for line in _words(dossier, opinion)] + view.glimpses(dossier, opinion)
                )
            ),
        )
    told = [f"{label}: {line}" for label, line in parties.lines(dossier)]
    below = [*headlines(dossier), *relations.together(dossier), *told]
    if below:
        table.caption = Text("\n".join(plain(said) for said in below))
        table.caption_justify = "left"
    return table


def _words(dossier: Dossier, opinion: Opinion) -> list[str]:
    """Band, reason, and what is known of the relation."""
    directed = relations.direction(opinion) if opinion.direction != "undetermined" else ""
    stood = f"Propositions {relations.standing(opinion)}." if opinion.propositions else ""
    claim = claims.headline(dossier, opinion)
    said = (
        opinion.band,
        opinion.because,
        relations.how(opinion),
        directed,
        stood,
        claim and f"Claims {claim}",
    )
    return [line for line in said if line]


def summary_text(dossier: Dossier) -> str:
    """The same for an output that is no terminal: labelled lines of at most 80 columns, easy to read and to grep."""
    writer = Writer(SUMMARY_WIDTH)
    writer.paragraph(view.question(dossier))
    if among.headline(dossier):
        writer.paragraph(among.headline(dossier))
    for answer in view.answers(dossier):
        _answer(dossier, answer, writer)
    for said in relations.together(dossier):
        writer.gap()
        writer.pair("together", said)
    for line in headlines(dossier):
        writer.gap()
        writer.item(line, bullet="")
    parties.summarise(dossier, writer)
    if not dossier.opinions:
        writer.paragraph("The record holds no opinion.")
    return writer.text()


def _answer(dossier: Dossier, answer: view.Answer, writer: Writer) -> None:
    """What was concluded of one candidate or control."""
    opinion = answer.opinion
    writer.gap()
    role = " (control)" if answer.role == "control" else ""
    writer.line(f"[{answer.tag}] {display(opinion.candidate, 60)}{role}")
    writer.pair("opinion", view.verdict(opinion))
    if opinion.log10_lr is not None:
        writer.pair("log10 LR", view.ratio(opinion))
        writer.pair("in words", opinion.band)
    writer.pair("because", opinion.because)
    told = {"how": relations.how, "direction": relations.direction, "propositions": relations.standing}
    for label, words in told.items():
        if words(opinion):
            writer.pair(label, words(opinion))
    if claim := claims.headline(dossier, opinion):
        writer.pair("claims", claim)
    for glimpse in view.glimpses(dossier, opinion):
        writer.pair("reading", glimpse)


def text_of(dossier: Dossier, width: int = 100) -> str:
    """The whole report as plain text, wrapped at `width` columns; long names and digests stay whole."""
    writer = Writer(max(40, width))
    tell(dossier, writer)
    return writer.text()
