"""Figures beside the ranges of known pairs: nothing is drawn without them, and every number is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics import alignment
from forensics.readings import Measurement, Scalar, Table
from forensics.report import ranges
from forensics.report.gallery import pictures
from forensics.report.view import probe_sections, tags
from tests.report import instruments
from tests.report.example import dossier


def table(overlap: Scalar = 0.3, begun: Scalar = 12) -> Table:
    """One share and one count."""
    rows = (("overlap", overlap, 0.15, 0.44, 1.0, 1.0), ("begun", begun, 0, 27, 28_446, 129_816))
    return Table(title="25 pairs of real ones", columns=ranges.COLUMNS, rows=rows)


def test_the_form_is_that_of_the_probe() -> None:
    """The columns that are drawn are those of the rates of vocabularies."""
    assert ranges.COLUMNS == alignment.RATE_COLUMNS


def test_all_pairs_of_the_case_stand_in_one_picture() -> None:
    """Each figure once, with every pair's value, and both populations in words."""
    title, found = ranges.ranged([("1 base", table()), ("C1 twin", table(0.98, 40_000))])
    drawing = ranges.range_picture(title, found)
    assert drawing is not None
    assert [figure.counted for figure in found] == [False, True]
    assert "overlap: 1 base 0.3, C1 twin 0.98, unrelated pairs 0.15 to 0.44, related ones 1" in drawing.alt
    assert drawing.note.startswith("25 pairs of real ones.")
    assert ">1 base</text>" in drawing.svg
    ranges.range_picture.cache_clear()
    assert ranges.range_picture(title, found) == drawing


@pytest.mark.parametrize("cell", [None, "x", True, 10**400, -1e300])
def test_what_is_no_number_is_not_drawn(cell: Scalar) -> None:
    """A figure that the pair lacks, or that cannot be drawn, has no row."""
    _, found = ranges.ranged([("1", table(cell))])
    assert [figure.name for figure in found] == ["begun"]
    assert ranges.ranged([("1", Table(title="", columns=("a",), rows=((cell,),)))]) == ("", ())
    assert ranges.range_picture("", ()) is None


def test_negative_correlations_are_drawn() -> None:
    """An axis of shares reaches down to the lowest value."""
    title, found = ranges.ranged([("1", table(-0.4))])
    drawing = ranges.range_picture(title, found)
    assert drawing is not None
    assert "1 \u22120.4" in drawing.alt


def test_one_picture_per_instrument_whatever_the_number_of_candidates() -> None:
    """It stands at the first finding and holds the others."""
    whole = dossier()
    told = [
        replace(
            finding,
            background=None,
            outcome=Measurement(value=0.1 * k, quantity="q", summary="s", tables=(table(0.1 * k),)),
        )
        for k, finding in enumerate(f for f in whole.findings if f.probe is instruments.SCAN)
    ]
    (shown,) = pictures(probe_sections(replace(whole, findings=tuple(told))), tags(whole))
    ((drawing,),) = [drawings for drawings in shown.curves.values() if drawings]
    for tag in ("1 meridian-8b 0", "2 twin-8b 0.1", "C1 stranger-7b 0.3"):
        assert tag in drawing.alt
