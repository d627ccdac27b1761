"""Two models' papers beside each other: how licence texts differ, and what a licence asks beside what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from forensics.checkpoint.papers import Papers
from forensics.licences.difference import difference
from forensics.licences.known import published_under
from forensics.licences.obligations import beside

DIFFERENCES = 20
"""Differences of one pair of licence texts that are shown."""
Row: TypeAlias = tuple[str | int, ...]


def licence_rows(ours: Papers, theirs: Papers) -> tuple[list[Row], list[Row]]:
    """Each licence text of ours with the other's that it is most like, and where the two differ if they are related.

    Rows of (our file, their file, what it is, words in common) and of (our file, line, our words, their words, times).
    """
    compared: list[Row] = []
    spans: list[Row] = []
    for mine in ours.licence_texts:
        found = [(difference(mine.text, other.text), other.file) for other in theirs.licence_texts]
        if found:
            best, file = max(found, key=lambda entry: entry[0].common)
            compared.append((mine.file, file, best.kind, f"{100 * best.common:.1f} %"))
            spans += [(mine.file, s.line, s.ours, s.theirs, s.count) for s in best.spans[:DIFFERENCES]]
    return compared, spans


def obligation_rows(ours: Papers, theirs: Papers) -> Iterator[Row]:
    """What the candidate's licences ask, and those that a declared parent's name stands for, beside what ours show.

    Rows of (licence, whose, kind, clause, what is asked, what is shown).
    """
    whose = [(name, "the candidate") for name in theirs.own_licences]
    for lead in ours.leads:
        known = published_under(lead.text) if lead.kind == "declared parent" else None
        if known and known.id not in theirs.own_licences:
            whose.append((known.id, f"the declared parent, {lead.text}"))
    holders = tuple(dict.fromkeys(one.holder for one in theirs.held if one.paper == "licence"))
    for name, of in dict.fromkeys(whose):
        for row in beside(name, holders if of == "the candidate" else (), ours.shown):
            yield (name, of, *row)
