"""Figures are deterministic, readable without colour, and survive any numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from forensics.readings import Series, Table
from forensics.report import figures
from forensics.report.gallery import strips
from forensics.report.view import answers
from tests.report import example, instruments


def line(**changes: object) -> Series:
    """A series of five points."""
    plain = Series(
        panel="p",
        name="n",
        x_label="layer",
        y_label="std",
        x=(0.0, 1.0, 2.0, 3.0, 4.0),
        y=(1.0, 2.0, None, 3.0, 1.0),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_figure_is_the_same_twice_and_holds_no_date() -> None:
    """Drawing again gives the same bytes; neither date nor program name is in them."""
    first = figures.curves((line(),))
    figures.curves.cache_clear()
    second = figures.curves((line(),))
    assert first == second
    assert not re.search(r"<dc:date>|Matplotlib v", first[0].svg)


def test_names_in_a_figure_are_text_and_never_formulas() -> None:
    """Dollar signs, underscores and markup in names are drawn as written."""
    (drawing,) = figures.curves((line(name="$\\frac{", panel="_x_"), line(name="_hidden", panel="<b>")))
    for expected in ("$\\frac{", "_x_", "_hidden", "&lt;b&gt;"):
        assert expected in drawing.svg
    assert "<b>" not in drawing.svg


def test_lines_of_one_panel_differ_without_colour() -> None:
    """Every line of a panel has a dash pattern or a marker of its own."""
    assert len({(str(dash), marker) for _, dash, marker in figures.STYLES}) == figures.LINES


@pytest.mark.parametrize(
    "series",
    [(), (line(y=(None,) * 5),), (line(x=(), y=()),), (line(y=()),)],
    ids=["none", "all missing", "empty", "no values"],
)
def test_nothing_to_draw_gives_no_figure(series: tuple[Series, ...]) -> None:
    """Without a single point there is no figure, and no error."""
    assert figures.curves(series) == ()


def test_extreme_and_ragged_series_are_drawn() -> None:
    """Values near the end of the floating range and lists of unequal length still give a figure."""
    (drawing,) = figures.curves((line(y=(1e308, -1e308, 0.0)), line(x=tuple(float(i) for i in range(9)))))
    assert "nan" not in drawing.svg.lower()


def test_more_curves_than_fit_are_counted() -> None:
    """Lines beyond the sixth of a panel and panels beyond the eighth are left out and counted."""
    (drawing,) = figures.curves(tuple(line(name=str(i)) for i in range(9)))
    assert drawing.note == "3 more curves are in the record."
    drawings = figures.curves(tuple(line(panel=str(i)) for i in range(11)))
    assert [drawing.note for drawing in drawings] == ["", "", "", "3 more curves are in the record."]


def test_a_histogram_says_its_counts_and_marks_in_words() -> None:
    """The alternative text holds the number of pairs of either kind and this case's value."""
    counts = figures.bins(instruments.histogram(0.31))
    assert counts is not None
    drawing = figures.background(counts, (("1", 0.31), ("2", 0.312), ("C1", 5.0)), "correlation")
    unrelated, derived = sum(counts.unrelated), sum(counts.derived)
    assert f"{unrelated:.0f} unrelated and {derived:.0f} derived" in drawing.alt
    assert "this case, 1, at 0.31" in drawing.alt
    assert ">C1</text>" in drawing.svg


@pytest.mark.parametrize(
    "table",
    [
        None,
        Table(title="", columns=("a",), rows=((1,),)),
        Table(title="", columns=figures.BACKGROUND_COLUMNS, rows=()),
        Table(title="", columns=figures.BACKGROUND_COLUMNS, rows=((0, 1, "x", 0, 0),)),
        Table(title="", columns=figures.BACKGROUND_COLUMNS, rows=((1, 0, 1, 1, 0),)),
        Table(title="", columns=figures.BACKGROUND_COLUMNS, rows=((0, 1, -1, 1, 0),)),
    ],
    ids=["absent", "other columns", "no rows", "text", "reversed bin", "negative count"],
)
def test_a_background_of_another_form_is_no_histogram(table: Table | None) -> None:
    """Only a table of the agreed form becomes a histogram."""
    assert figures.bins(table) is None


def test_every_opinion_has_a_strip_even_without_a_ratio() -> None:
    """Strips share one axis and exist for opinions with and without a likelihood ratio."""
    made = strips(answers(example.sparse())).by_tag
    assert made["1"].alt == "no likelihood ratio is stated"
    assert set(strips(answers(example.dossier())).by_tag) == {"1", "2", "3", "C1"}
