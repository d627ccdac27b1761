"""Figures are deterministic, readable without colour, and survive any numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from forensics.readings import Series, Table
from forensics.report import figures, histograms, populations
from forensics.report.canvas import SMALL
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
    (drawing,) = figures.curves(tuple(line(panel=str(i)) for i in range(11)))
    assert drawing.note == "3 more curves are in the record."
    assert drawing.svg.count(">std</text>") == figures.PANELS


def test_panels_with_a_common_name_are_titled_without_it() -> None:
    """What all titles begin with stands in the caption once, so that titles fit above narrow panels."""
    (drawing,) = figures.curves((line(panel="Curves: size"), line(panel="Curves: tails")), None, "Case 1.")
    assert drawing.note == "Case 1. Curves."
    assert ">size</text>" in drawing.svg
    assert "Curves: size: n (from 1 to 3) over layer." in drawing.alt


def test_points_are_not_joined_and_stand_against_the_diagonal() -> None:
    """A cloud of points is told as one, with its number, and no line runs through it."""
    (drawing,) = figures.curves((line(mark="points"),))
    assert drawing.alt == "Scatter plot. p: n (4 points from 1 to 3) over layer."
    assert drawing.svg.count("<use ") > figures.curves(
        (line(mark="points", y=(1.0, 2.0, None, None, None)),)
    )[0].svg.count("<use ")


def test_the_unrelated_population_stands_in_the_picture() -> None:
    """Counts, controls and the case are drawn beside the curves and told in caption and alternative text."""
    counts = populations.bins(instruments.histogram(0.31))
    assert counts is not None
    beside = populations.Beside(case=("1", 0.97), counts=counts, title="zoo", controls=(("C1", -0.1),))
    (drawing,) = figures.curves((line(),), beside)
    unrelated, derived = round(sum(counts.unrelated)), round(sum(counts.derived))
    for told in (drawing.alt, drawing.note):
        assert (
            f"reference pairs zoo: {unrelated} unrelated and {derived} derived; this case (1) at 0.97" in told
        )
        assert f"none of the {unrelated} unrelated pairs lies in its bin or above" in told
        assert "C1 at \u22120.1" in told
    for tag in ("1", "C1"):
        assert f">{tag}</text>" in drawing.svg
    assert "<pattern" in drawing.svg


def test_a_picture_without_an_unrelated_population_says_so() -> None:
    """Neither reference pairs nor controls: the caption does not pass over it; controls alone are drawn."""
    alone = populations.Beside(case=("1", 0.9))
    assert "No unrelated population stands beside it" in figures.curves((line(),), alone)[0].note
    controls = populations.Beside(case=("1", 0.9), controls=(("C1", 0.2),))
    (drawing,) = figures.curves((line(),), controls)
    assert "No reference pair has this reading" in drawing.note
    assert ">C1</text>" in drawing.svg


def test_letters_are_large_enough_for_paper() -> None:
    """No text of a figure is set below the least size in points; figures are printed at their own size."""
    counts = populations.bins(instruments.histogram(0.31))
    beside = populations.Beside(case=("1", 0.97), counts=counts, title="zoo")
    (drawing,) = figures.curves((line(), line(panel="q"), line(panel="r")), beside)
    sizes = [float(size) for size in re.findall(r"font(?:-size)?:[^;\"]*?([0-9.]+)px", drawing.svg)]
    assert sizes
    assert min(sizes) >= SMALL


def test_a_case_beyond_all_reference_pairs_still_has_its_histogram() -> None:
    """The open bin, which holds no pair, is left out, and the case is marked where it lies."""
    table = Table(
        title="",
        columns=populations.BACKGROUND_COLUMNS,
        rows=((0.0, 0.5, 3, 1, False), (0.5, None, 0, 0, True)),
    )
    counts = populations.bins(table)
    assert counts is not None
    assert counts.edges == ((0.0, 0.5),)
    assert (
        "this case, 1, at 0.9: none of the 3 unrelated pairs"
        in histograms.background(counts, (("1", 0.9),), "q").alt
    )


def test_a_histogram_says_its_counts_and_marks_in_words() -> None:
    """The alternative text holds the number of pairs of either kind and this case's value."""
    counts = populations.bins(instruments.histogram(0.31))
    assert counts is not None
    drawing = histograms.background(counts, (("1", 0.31), ("2", 0.312), ("C1", 5.0)), "correlation")
    unrelated, derived = sum(counts.unrelated), sum(counts.derived)
    assert f"{unrelated:.0f} unrelated and {derived:.0f} derived" in drawing.alt
    assert "this case, 1, at 0.31" in drawing.alt
    assert ">C1</text>" in drawing.svg


@pytest.mark.parametrize(
    "table",
    [
        None,
        Table(title="", columns=("a",), rows=((1,),)),
        Table(title="", columns=populations.BACKGROUND_COLUMNS, rows=()),
        Table(title="", columns=populations.BACKGROUND_COLUMNS, rows=((0, 1, "x", 0, 0),)),
        Table(title="", columns=populations.BACKGROUND_COLUMNS, rows=((1, 0, 1, 1, 0),)),
        Table(title="", columns=populations.BACKGROUND_COLUMNS, rows=((0, 1, -1, 1, 0),)),
    ],
    ids=["absent", "other columns", "no rows", "text", "reversed bin", "negative count"],
)
def test_a_background_of_another_form_is_no_histogram(table: Table | None) -> None:
    """Only a table of the agreed form becomes a histogram."""
    assert populations.bins(table) is None


def test_every_opinion_has_a_strip_even_without_a_ratio() -> None:
    """Strips share one axis and exist for opinions with and without a likelihood ratio."""
    made = strips(answers(example.sparse())).by_tag
    assert made["1"].alt == "no likelihood ratio is stated"
    assert set(strips(answers(example.dossier())).by_tag) == {"1", "2", "3", "C1"}
