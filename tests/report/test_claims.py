"""Claims beside the findings in every rendering, and nowhere where none were read."""

from __future__ import annotations

import io
from dataclasses import replace

from forensics.report import claims, summary_table, summary_text, text_of
from forensics.report.html import html_of
from tests.report import example


def flat(text: str) -> str:
    """White space evened out."""
    return " ".join(text.split())


def test_every_rendering_tells_of_the_claims() -> None:
    """The text and the page say how each stands, where, and on what ground; summaries have a line per candidate."""
    dossier = example.dossier()
    text, page = flat(text_of(dossier)), html_of(dossier, example.record_of(dossier))
    for said in (
        claims.TITLE,
        "skylab/meridian-8b",
        "README.md:3",
        "without its owner",
        "Not matched to any candidate",
    ):
        assert said in text
        assert said in page
    assert "agrees: declared parent, “skylab/meridian-8b” (README.md:3)" in flat(summary_text(dossier))
    from rich.console import Console

    printed = io.StringIO()
    Console(file=printed, width=160, force_terminal=False).print(summary_table(dossier))
    assert "Claims agrees: declared parent" in flat(printed.getvalue())


def test_contradictions_stand_first_with_their_innocent_reasons() -> None:
    """Whatever the order of the record."""
    dossier = example.dossier()
    worst = replace(dossier.claims[-1], says="contradicts", innocent=("it was retrained", "another is meant"))
    shown = claims.shown(replace(dossier, claims=(*dossier.claims, worst)))
    assert shown[0] == worst
    assert claims.innocent(worst) == "it was retrained; or another is meant"
    assert [one.says for one in shown][-1] == "silent"


def test_silence_on_a_strangers_ancestry_is_not_worth_a_line() -> None:
    """A summary tells of silence only beside descent; the record of older versions has no section at all."""
    dossier = example.dossier()
    derived, stranger = dossier.opinions[:2]
    only = replace(
        dossier, claims=tuple(replace(dossier.claims[-1], candidate=o.candidate) for o in (derived, stranger))
    )
    assert claims.headline(only, derived).startswith("silent")
    assert claims.headline(only, stranger) == ""
    without = replace(dossier, claims=())
    for text in (text_of(without), summary_text(without), html_of(without, example.record_of(without))):
        assert claims.TITLE not in text


def test_many_claims_are_cut_and_counted() -> None:
    """A thousand candidates do not bury the report."""
    dossier = replace(example.dossier(), claims=example.dossier().claims * 100)
    assert len(claims.shown(dossier)) == claims.SHOWN
    assert f"{len(dossier.claims) - claims.SHOWN} more in the record" in text_of(dossier)
