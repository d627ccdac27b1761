"""The first page is one page, gives every verdict the same room, and stands alone as a summary."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader

from forensics.cli import main
from forensics.records import Dossier
from forensics.report import html_of, summary_of, summary_pdf_of, summary_text, view
from forensics.report.front import CARDS, CLOSE, MOST, front
from forensics.report.html import OFFERED
from tests.report import example
from tests.report.test_html import Page


def wordy() -> Dossier:
    """Two candidates of whom everything is said at length."""
    whole = example.dossier({"a" * 300: 1.146, "b" * 300: -1.12}, {}, suspect="c" * 300, case_id="d" * 300)
    long = "word " * 400
    return replace(
        whole, opinions=tuple(replace(o, because=long, not_meaning=long, band=o.band) for o in whole.opinions)
    )


def three() -> Dossier:
    """One more than have a whole card, with documents of the parties."""
    return example.contested()


def crowd() -> Dossier:
    """More candidates than a page holds."""
    return example.dossier({f"model-{i}": (-1) ** i * (1.146 - 0.01 * i) for i in range(40)})


@pytest.mark.parametrize("make", [example.sparse, example.many, example.hostile, wordy, three, crowd])
def test_the_summary_is_one_page_with_the_record_attached(make: Callable[[], Dossier]) -> None:
    """Whatever the case holds, the summary is a single page that names it and carries the record."""
    dossier = make()
    record = example.record_of(dossier)
    made = summary_pdf_of(dossier, record, timeout=600)
    reader = PdfReader(io.BytesIO(made.pdf))
    assert made.refused == ()
    assert len(reader.pages) == 1
    assert {name: list(found) for name, found in reader.attachments.items()} == {"dossier.json": [record]}


def test_the_summary_page_says_what_the_first_page_of_the_report_says() -> None:
    """The page alone is the beginning of the report: every word of the answer stands in both."""
    dossier = example.dossier()
    record = example.record_of(dossier)
    alone, whole = (
        Page(page).text for page in (summary_of(dossier, record, screen=True), html_of(dossier, record))
    )
    answer = alone[alone.index("The answer") :].split()
    assert " ".join(answer) in " ".join(whole.split())
    assert "Rests on" in alone
    assert "Does not mean" in alone
    assert OFFERED not in summary_of(dossier, record, screen=True)


def test_verdicts_of_either_direction_get_the_same_room() -> None:
    """A candidate that came out independent has the same elements on the page as one that came out derived."""
    cards = []
    for value in (1.146, -1.146):
        dossier = example.dossier({"base": value}, {})
        page = summary_of(dossier, b"{}", screen=True)
        card = page[page.index('<section class="card">') :]
        cards.append([tag for tag, _ in Page(card[: card.index("</section>")]).elements])
    assert cards[0] == cards[1]


def test_room_shrinks_as_candidates_grow_and_the_rest_is_counted() -> None:
    """Cards, close cards, rows; of a crowd the strongest stand in either direction, and the others by verdict."""
    few = {
        n: view.answers(example.dossier({str(i): 0.1 for i in range(n)}, {}))
        for n in (CARDS, CLOSE, CLOSE + 1)
    }
    assert [front(answers, "suspect").density for answers in few.values()] == ["cards", "close", "rows"]
    assert front(few[CARDS], "a very long name" * 9).density == "close"
    found = front([answer for answer in view.answers(crowd()) if answer.role == "candidate"], "suspect")
    assert len(found.answers) == MOST
    assert {answer.opinion.verdict for answer in found.answers} == {"derived", "independent"}
    assert found.remark.endswith("Of the others: 3 derived, 2 independent, 25 inconclusive.")


def test_the_command_writes_the_summary_beside_the_dossier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`report --summary` prints the answer in short, or writes the first page under a name of its own."""
    dossier = example.dossier()
    record = tmp_path / "dossier.json"
    record.write_bytes(example.record_of(dossier))
    assert main(["report", str(record), "--summary"]) == 0
    assert capsys.readouterr().out == summary_text(dossier)
    assert main(["report", str(record), "--summary", "--to", "html"]) == 0
    page = (tmp_path / "dossier.summary.html").read_text("utf-8")
    assert page == summary_of(dossier, record.read_bytes(), screen=True)
    assert not (tmp_path / "dossier.html").exists()
