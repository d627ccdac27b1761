"""The map of experts: bounded, told in words, and open about what was not compared."""

from __future__ import annotations

from dataclasses import replace

from forensics import alignment
from forensics.readings import Measurement, Table
from forensics.report import experts, populations
from forensics.report.gallery import pictures
from forensics.report.view import probe_sections
from tests.report import instruments
from tests.report.example import dossier


def table(**changes: object) -> Table:
    """Two layers with three experts copied from one MLP; one of them was not compared in the second layer."""
    rows = (
        *((0, e, 0, -1, 0.9, 0.8, 0.3) for e in (0, 1, 2)),
        *((4, e, 4, -1, 0.7, 0.6, 0.2) for e in (0, 2)),
    )
    plain = Table(title="Experts", columns=experts.COLUMNS, rows=rows, omitted=2)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_the_form_is_that_of_the_probe() -> None:
    """The columns that are drawn are those that neuron-match writes."""
    assert experts.COLUMNS == alignment.COVERAGE_COLUMNS


def test_cells_lie_by_expert_and_layer() -> None:
    """Rows are the suspect's experts; what was not compared has no number."""
    found = experts.coverage((table(),))
    assert found is not None
    assert (found.of, found.units, found.layers) == ("suspect", (0, 1, 2), (0, 4))
    assert found.agreement == ((0.9, 0.7), (0.9, None), (0.9, 0.7))
    assert found.share == ((0.8, 0.6), (0.8, None), (0.8, 0.6))


def test_experts_of_the_candidate_are_the_rows_where_the_suspect_has_none() -> None:
    """A dense suspect whose MLP lies in a mixture: the candidate's experts, and shares of the suspect's neurons."""
    rows = ((0, -1, 0, 5, 0.9, 0.8, 0.3), (0, -1, 0, -2, 0.2, 0.1, 0.4))
    found = experts.coverage((table(rows=rows),))
    assert found is not None
    assert (found.of, found.units, found.share) == ("candidate", (5, -2), ((0.3,), (0.4,)))
    assert "shared: agreement 0.20" in experts.expert_map(found, None).alt


def test_the_map_is_told_with_its_numbers_and_its_population() -> None:
    """Caption and alternative text say units, layers, what was cut and the unrelated pairs beside it."""
    found = experts.coverage((table(),))
    counts = populations.bins(instruments.histogram(0.9))
    assert found is not None
    beside = populations.Beside(case=("1", 0.9), counts=counts, title="zoo")
    drawing = experts.expert_map(found, beside)
    assert "expert 1: agreement 0.90, 0.80 of the candidate's neurons, in 1 layers" in drawing.alt
    assert "3 units by 2 layers" in drawing.note
    assert "2 more comparisons were cut" in drawing.note
    assert "unrelated pairs lie" in drawing.alt
    experts.expert_map.cache_clear()
    assert experts.expert_map(found, beside) == drawing


def test_a_table_of_another_form_is_no_map() -> None:
    """Other columns, ragged rows or text: no picture, and no error."""
    for odd in (
        table(columns=("a",)),
        table(rows=()),
        table(rows=((0, 1),)),
        table(rows=((0, 1, 2, 3, "x", 5, 6),)),
    ):
        assert experts.coverage((odd,)) is None
    wild = experts.coverage((table(rows=((10**400, 1, 0, -1, 1e300, -5.0, 0.1),)),))
    assert wild is not None
    assert "nan" not in experts.expert_map(wild, None).svg.lower()


def test_a_finding_with_experts_has_its_map() -> None:
    """The gallery draws it beside the finding's other pictures."""
    told = Measurement(value=0.9, quantity="q", summary="s", tables=(table(),))
    one = replace(instruments.findings({"base": 1.2})[0], outcome=told)
    (shown,) = pictures(probe_sections(replace(dossier(), findings=(one,))), {"base": "1"})
    assert shown.curves[0][0].alt.startswith("Map. Experts of the suspect over 2 layers")
