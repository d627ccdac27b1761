"""Plain text tells the same, and cannot steer a terminal."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace

import pytest

from forensics.records import Dossier
from forensics.report import summary_table, summary_text, text_of
from tests.report import example


def hidden(text: str) -> set[str]:
    """Control, format and surrogate characters other than the line feed."""
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n"}


@pytest.mark.parametrize("dossier", [example.dossier(), example.hostile(), example.bare(), example.sparse()])
@pytest.mark.parametrize("render", [text_of, summary_text])
def test_plain_text_holds_no_control_character(dossier: Dossier, render: object) -> None:
    """Neither the report nor the summary has an escape sequence, a bidirectional mark or a surrogate in it."""
    assert callable(render)
    text = render(dossier)
    assert hidden(text) == set()
    text.encode()


def test_the_text_holds_case_verdict_ratio_and_every_outcome() -> None:
    """The plain report states what the page states."""
    text = text_of(example.dossier())
    for expected in (
        "2026-0117",
        "Derived (fine tuned)",
        "+1.1 (+0.80 to +1.1), bound ±1.1",
        "Abstention",
        "Failure",
        "q_proj",
    ):
        assert expected in text


@pytest.mark.parametrize("render", [text_of, summary_text])
def test_relation_and_direction_are_told_in_words(render: object) -> None:
    """Report and summary say how and which way, for the opinion that has grounds, and what shows together."""
    assert callable(render)
    text = " ".join(render(example.dossier()).split())
    assert text.count("how The difference from meridian-8b has rank 16.") == 1
    assert (
        text.count("direction The suspect was made from the candidate: the values of meridian-8b fill") == 1
    )
    assert "together The suspect looks like a merge: 50% of meridian-8b and 50% of twin-8b." in text


@pytest.mark.parametrize("render", [text_of, summary_text])
def test_propositions_are_told_in_words(render: object) -> None:
    """The summary has one line of those supported or open, the report each with its standing."""
    assert callable(render)
    text = " ".join(render(example.dossier()).split())
    if render is summary_text:
        assert text.count("supported: derived. open: sibling or common ancestor") == 1
        assert "distilled" not in text
    else:
        assert "untested: The suspect learnt from the candidate's outputs." in text
        assert "Siblings read alike. Not told from: derived." in text


def test_the_summary_fits_eighty_columns() -> None:
    """No line of the summary is longer than 80 columns, and each opinion's number stands on one line."""
    text = summary_text(example.many())
    assert max(map(len, text.splitlines())) <= 80
    assert sum(line.startswith("  log10 LR") for line in text.splitlines()) == 13


@pytest.mark.parametrize("width", [60, 100])
def test_prose_is_wrapped_at_the_width(width: int) -> None:
    """Only digests and names may pass the width."""
    long = [line for line in text_of(example.dossier(), width).splitlines() if len(line) > width]
    assert all(any(len(word) == 64 for word in line.split()) for line in long)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_has_a_row_for_every_candidate_and_control(width: int) -> None:
    """The table stays within the terminal, keeps each number on one line and takes no markup from a label."""
    from rich.console import Console

    dossier = example.dossier()
    named = replace(
        dossier, opinions=(replace(dossier.opinions[0], candidate="[red]x[/red]"), *dossier.opinions[1:])
    )
    page = io.StringIO()
    Console(file=page, width=width, force_terminal=False).print(summary_table(named))
    text = page.getvalue()
    assert summary_table(named).row_count == 4
    assert max(map(len, text.splitlines())) <= width
    assert "[red]x[/red]" in text
    assert "(−0.04 to +0.61)" in text
