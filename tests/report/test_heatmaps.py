"""Heat maps: vector, deterministic, told in words, readable without colour, and bounded."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from forensics import archive
from forensics.errors import ForensicsError
from forensics.matrices import LARGEST_SIDE, Matrix
from forensics.readings import Measurement
from forensics.report.gallery import pictures
from forensics.report.heatmaps import heatmaps, words
from forensics.report.populations import Beside, bins
from forensics.report.view import probe_sections
from tests.report import instruments
from tests.report.example import dossier


def matrix(**changes: Any) -> Matrix:
    """Two blocks by three."""
    plain = Matrix(
        title="Nonsense", row_label="block of the suspect", column_label="block of the candidate", rows=(1, 4),
        columns=(2, 5, 9), cells=((0.91, 0.2, -0.03), (0.1, 0.4, 0.4)),
    )  # fmt: skip
    return replace(plain, **changes)


def square(side: int) -> Matrix:
    """A matrix of `side` blocks by as many."""
    names = tuple(range(1, side + 1))
    return matrix(rows=names, columns=names, cells=tuple(tuple(float(r == c) for c in names) for r in names))


def test_a_map_is_the_same_twice_and_holds_vectors_only() -> None:
    """Drawing again gives the same bytes, without date, program name or an embedded picture."""
    first = heatmaps((matrix(),))
    heatmaps.cache_clear()
    assert heatmaps((matrix(),)) == first
    assert not re.search(r"<image|<dc:date>|Matplotlib v", first[0].svg)


def test_a_map_is_made_of_greys_and_writes_its_numbers() -> None:
    """Every colour in it is a grey or the ink of all figures, and a small map holds each cell's number."""
    (drawing,) = heatmaps((matrix(),))
    found = {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}", drawing.svg)}
    assert all(len({colour[1:3], colour[3:5], colour[5:]}) == 1 for colour in found - {"#1b2430", "#7a828c"})
    for written in ("0.91", "\u22120.03", "Nonsense", "block of the candidate"):
        assert written in drawing.svg
    assert "0.91" not in heatmaps((square(40),))[0].svg


def test_a_map_is_told_in_words() -> None:
    """Sides, range and the best column of each row, the first of equals; long ones are cut with a count."""
    said = words(matrix())
    assert "1 to 4 by block of the candidate 2 to 9, from \u22120.03 to 0.91" in said
    assert "1 with 2 (0.91), 4 with 5 (0.40)." in said
    assert "and 24 more rows" in words(square(40))
    assert heatmaps((matrix(),))[0].alt == f"Heat map. {said}"


def test_two_maps_share_a_drawing_and_more_are_counted() -> None:
    """Four are drawn, two by two; the record holds the rest, and the figure says so."""
    found = heatmaps(tuple(matrix(title=f"map {i}") for i in range(5)))
    assert len(found) == 2
    assert "1 more" in found[1].note
    assert heatmaps(()) == ()


def test_the_ridge_is_marked_in_maps_of_any_size() -> None:
    """Small cells are framed; in a large map, where frames would hide them, diamonds stand on the best of each row."""
    (small,), (large,) = heatmaps((square(8),)), heatmaps((square(40),))
    assert "framed: the best of its row" in small.note
    assert "with a diamond: the best of its row" in large.note
    assert large.svg.count("<use ") >= 40


def test_the_unrelated_population_stands_beside_a_map() -> None:
    """Reference pairs and controls are drawn and told; without either the caption says so."""
    counts = bins(instruments.histogram(0.9))
    (drawing,) = heatmaps(
        (matrix(),), Beside(case=("1", 0.9), counts=counts, title="zoo", controls=(("C1", 0.1),))
    )
    assert ">C1</text>" in drawing.svg
    for told in (drawing.alt, drawing.note):
        assert "reference pairs zoo:" in told
        assert "Controls of this case: C1 at 0.1." in told
    assert "No unrelated population" in heatmaps((matrix(),), Beside(case=("1", 0.9)))[0].note


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": (1,)},
        {"cells": ((0.1, 0.2), (0.1, 0.2))},
        {"cells": ((0.1, 0.2, float("nan")), (0.1, 0.2, 0.3))},
        {"rows": (), "cells": ()},
        {"white": 1.0},
        {"black": float("inf")},
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    """Ragged, empty, not finite or without a scale: an error of the probe's author, never a picture."""
    with pytest.raises(ForensicsError):
        matrix(**changes)


def test_a_matrix_is_bounded() -> None:
    """A side of 64 passes, one more does not."""
    assert len(square(LARGEST_SIDE).cells) == LARGEST_SIDE
    with pytest.raises(ForensicsError, match="cells"):
        square(LARGEST_SIDE + 1)


def test_maps_survive_the_record_and_reach_the_gallery() -> None:
    """A matrix reads back as written, and the finding that holds it has a drawing, with or without curves."""
    told = Measurement(value=0.5, quantity="q", summary="s", matrices=(matrix(),))
    assert archive.restored(Measurement, archive.plain(told)) == told
    one = replace(instruments.findings({"base": 1.2})[0], outcome=told)
    (shown,) = pictures(probe_sections(replace(dossier(), findings=(one,))), {"base": "1"})
    assert "Heat map" in shown.curves[0][0].alt
