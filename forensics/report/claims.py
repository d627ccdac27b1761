"""The suspect's claims of ancestry beside what the weights say: a table, and a line for each candidate."""

from __future__ import annotations

from forensics.claims import ClaimStanding
from forensics.records import Dossier, Opinion
from forensics.report import view
from forensics.report.plain import Writer

TITLE = "Claims set against the findings"
NOTE = (
    "What the suspect's metadata claim of its ancestry, held against the opinions after these were formed. It has no "
    "weight: no verdict would be another without it. Anyone can edit metadata and tools fill them in, so agreement "
    "proves nothing, and a contradiction has innocent explanations, some of which are listed."
)
SHOWN = 60
"""Claims that are told in one report; the record holds the rest."""
QUOTED = 80
"""Characters of a claim on one line of a summary."""


def shown(dossier: Dossier) -> tuple[ClaimStanding, ...]:
    """Those that are told: contradictions first, then what agrees, what is undecided, unmatched and silent."""
    order = ("contradicts", "agrees", "undecided", "unmatched", "silent")
    return tuple(sorted(dossier.claims, key=lambda one: order.index(one.says)))[:SHOWN]


def omitted(dossier: Dossier) -> int:
    """How many are not told."""
    return max(0, len(dossier.claims) - SHOWN)


def claimed(one: ClaimStanding) -> str:
    """The claim as it stands, with its kind; that there is none."""
    return "nothing" if one.kind == "none" else f"{one.kind}: {one.stated}"


def about(dossier: Dossier, one: ClaimStanding) -> str:
    """The candidate's tag and label, or that no candidate was found to be meant."""
    return (
        f"[{view.tags(dossier).get(one.candidate, '–')}] {one.candidate}" if one.candidate else "no candidate"
    )


def innocent(one: ClaimStanding) -> str:
    """How it can come about without intent to mislead, as one clause; empty where nothing needs explaining."""
    return "; or ".join(one.innocent)


def headline(dossier: Dossier, opinion: Opinion) -> str:
    """What the claims about one candidate come to, on a line; empty where nothing is worth a line."""
    told = [one for one in dossier.claims if one.candidate == opinion.candidate]
    lines = [
        f"{one.says}: {one.kind}, “{one.stated[:QUOTED]}{'…' * (len(one.stated) > QUOTED)}” ({one.where})"
        if one.kind != "none"
        else "silent: the suspect's metadata claim nothing of this candidate"
        for one in told
        if one.kind != "none" or opinion.verdict == "derived"
    ]
    return "; ".join(lines[:3])


def tell(dossier: Dossier, writer: Writer) -> None:
    """Writes the section into a plain-text report; nothing where no claims were read."""
    if not dossier.claims:
        return
    writer.chapter("", TITLE, rule="-")
    writer.paragraph(NOTE)
    for one in shown(dossier):
        writer.item(f"{about(dossier, one)}: {one.says}", bullet="")
        writer.pair("claimed", claimed(one))
        if one.where:
            writer.pair("stands in", one.where)
        if one.same_by:
            writer.pair("same because", one.same_by)
        writer.pair("says", one.sentence)
        if one.innocent:
            writer.pair("can be so", innocent(one))
    if omitted(dossier):
        writer.line(f"{omitted(dossier)} more in the record")
