"""Margins against the controls are told in words, in every form of the report, and said not to be weighed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics import archive
from forensics.matrices import Matrix
from forensics.readings import Measurement
from forensics.records import Condition, Dossier, Margin
from forensics.report.explaining import explanation
from forensics.report.html import html_for_paper
from forensics.report.margins import words
from forensics.report.terminal import text_of
from tests.report import instruments
from tests.report.example import dossier, record_of

FULL = Margin(reading=0.62, controls=3, speaking=2, highest=0.21, by="stranger", margin=0.41)

CONDITIONS = (Condition(toward="derived", rule="weight", met=False, found="weight: none"),)


def told() -> Dossier:
    """The example with one finding of behaviour, its margins and a map of layers."""
    whole = dossier()
    label = whole.opinions[0].candidate
    layers = Matrix(
        title="Nonsense", row_label="suspect", column_label="candidate", rows=(1, 2), columns=(1,),
        cells=((0.9,), (0.1,)),
    )  # fmt: skip
    read = Measurement(value=0.62, quantity="q", summary="s", matrices=(layers,))
    one = replace(
        instruments.findings({label: 1.2})[0],
        outcome=read,
        margins=(FULL, Margin(inputs="prompts", reading=0.7, controls=0)),
    )
    return replace(whole, findings=(one,))


@pytest.mark.parametrize(
    ("margin", "said"),
    [
        (FULL, "reading 0.62, 0.41 above the highest of 2 controls (stranger, 0.21), 1 more gave none"),
        (
            replace(FULL, inputs="prompts", highest=0.72, margin=-0.1, speaking=1, controls=1),
            "prompts 0.62, 0.1 below the highest of 1 control (stranger, 0.72)",
        ),
        (Margin(reading=0.62, controls=0), "reading 0.62; no control speaks (none was examined)"),
        (Margin(reading=0.62, controls=2), "reading 0.62; no control speaks (none of 2 gave this reading)"),
    ],
)
def test_a_margin_in_words(margin: Margin, said: str) -> None:
    """The reading, the highest control and the difference; or that no control speaks, and why."""
    assert words(margin) == said


def test_every_form_of_the_report_tells_margins_and_maps() -> None:
    """Page, text and explanation hold both sentences; page and text also the map of layers in words."""
    whole = told()
    page = html_for_paper(whole, record_of(whole))
    text = text_of(whole, 400)
    why = explanation(
        replace(whole, opinions=(replace(whole.opinions[0], conditions=CONDITIONS),)),
        whole.opinions[0].candidate,
    )
    for form in (page, text, why):
        assert "0.41 above the highest of 2 controls (stranger, 0.21)" in form
        assert "no control speaks" in form
    assert "Shown, not weighed." in page
    for form in (page, text):
        assert (
            "suspect 1 to 2 by candidate 1, from 0.10 to 0.90. Best: 1 with 1 (0.90), 2 with 1 (0.10)."
            in form
        )


def test_margins_and_maps_survive_the_record() -> None:
    """What the archive writes reads back equal."""
    whole = told()
    assert archive.restored(Dossier, archive.plain(whole)) == archive.settled(whole)
