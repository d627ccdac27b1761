"""The candidates among each other stand before the opinions in every rendering, and nowhere without pairs."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

from forensics.records import Dossier, Subject
from forensics.report import among, summary_table, summary_text, text_of
from forensics.report.html import html_of
from tests.report import example


def flat(text: str) -> str:
    """White space evened out."""
    return " ".join(text.split())


def in_order(text: str, *parts: str) -> bool:
    """Whether the first occurrences of these parts follow each other."""
    places = [text.find(part) for part in parts]
    return places[0] >= 0 and all(a < b for a, b in pairwise(places))


def test_section_stands_before_the_opinions() -> None:
    """Text, summary, table and page tell of the pairs first, with the warning where two are related."""
    dossier = example.dossier()
    text, summary = flat(text_of(dossier)), flat(summary_text(dossier))
    page = html_of(dossier, example.record_of(dossier))
    assert in_order(text, among.TITLE, among.WARNING, "[1] and [2]", "1 The answer")
    apart = "[1] and [3], [2] and [3]: independent"
    assert in_order(summary, among.TITLE, "[1] and [2]: derived (fine tuned)", apart)
    assert in_order(summary, among.WARNING, "opinion")
    assert in_order(page, among.TITLE, among.WARNING, "which came first is not judged here", 'class="card"')
    from rich.console import Console

    printed = io.StringIO()
    Console(file=printed, width=100, force_terminal=False).print(summary_table(dossier))
    assert in_order(flat(printed.getvalue()), among.TITLE, "Compared with")


def test_reasons_and_readings_stand_with_the_weighing() -> None:
    """Each pair's reason, how the two differ, and every probe's reading or why there is none."""
    text = flat(text_of(example.dossier()))
    behind = text[text.index("Evaluation: how the findings were weighed") :]
    assert "[1] meridian-8b and [2] twin-8b: Derived (fine tuned), log10 LR +1.1 (+0.80 to +1.1)" in behind
    assert "The difference from twin-8b has rank 16." in behind
    assert "qkv-bias missing tensors" in behind


def test_one_candidate_has_no_section() -> None:
    """Without pairs nothing is said, in no rendering."""
    dossier = example.sparse()
    for text in (text_of(dossier), summary_text(dossier), html_of(dossier, example.record_of(dossier))):
        assert among.TITLE not in text


def test_candidates_that_took_no_part_are_named() -> None:
    """An unreadable candidate, and one behind those that were compared, are not judged here."""
    dossier = with_more(example.dossier())
    said = among.remarks(dossier)
    assert said == [
        "broken is not judged here: it could not be read.",
        "late is not judged here: only the candidates named before it were compared.",
    ]
    assert all(one in flat(text_of(dossier)) for one in said)


def with_more(dossier: Dossier) -> Dossier:
    """Two more candidates that are in no pair."""
    named = (*dossier.case.candidates, "broken", "late")
    unread = Subject(label="broken", role="candidate", form="unreadable")
    return replace(
        dossier,
        case=replace(dossier.case, candidates=named),
        subjects=(*dossier.subjects, unread, example.subject("late", "candidate")),
    )


def test_of_many_pairs_the_related_ones_stand_first() -> None:
    """Sixty-six pairs do not push the opinions away: the related one is shown and the rest are counted."""
    dossier = example.many()
    assert len(dossier.candidate_relations) == 66
    assert len(among.table_of(dossier).rows) == 1
    assert among.remarks(dossier) == [
        "65 more pairs, none of which came out as related, stand with the reasons."
    ]
