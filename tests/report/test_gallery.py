"""Which pictures a report has: candidates with the controls laid over them, and never hundreds."""

from __future__ import annotations

from dataclasses import replace

from forensics.readings import Measurement
from forensics.report.gallery import MARKED, PICTURES, pictures
from forensics.report.selection import OVERLAID, Exhibited, drawn
from forensics.report.view import probe_sections, tags
from tests.report import example, instruments


def exhibited(dossier: example.Dossier) -> Exhibited:
    """The first instrument, depth curves, of a dossier."""
    return Exhibited.of(probe_sections(dossier)[0].findings, tags(dossier))


def test_controls_are_laid_over_a_candidates_curves() -> None:
    """One picture holds suspect, candidate and control; the suspect is drawn once, the control has no own picture."""
    shown = exhibited(example.dossier())
    (drawing,) = drawn(shown, shown.order[0])
    for name in (">suspect</text>", "meridian-8b</text>", ">C1 stranger-7b (control)</text>"):
        assert name in drawing.svg
    assert drawing.svg.count(">suspect</text>") == 1
    assert not set(shown.controls) & set(shown.order)
    assert "1 meridian-8b with C1 stranger-7b (control)." in drawing.note


def test_the_highest_readings_come_first() -> None:
    """Candidates are drawn from the highest reading down, whatever their place in the record."""
    shown = exhibited(example.many())
    values = [shown.findings[k].outcome.value for k in shown.order]  # type: ignore[union-attr]
    assert values == sorted(values, reverse=True)


def test_a_case_of_controls_alone_shows_them() -> None:
    """Without a candidate that gave a reading, controls have pictures of their own."""
    whole = example.dossier({}, {"stranger-7b": -1.0})
    assert exhibited(whole).order == (0,)


def test_more_controls_than_fit_are_counted() -> None:
    """Two are laid over; the caption counts the rest, and the report says that they have no picture."""
    whole = example.dossier(controls={f"c{k}": -1.0 - k / 100 for k in range(OVERLAID + 3)})
    shown = exhibited(whole)
    (drawing,) = drawn(shown, shown.order[0])
    assert "curves of 3 more controls are in the record" in drawing.note
    assert shown.beyond == 3


def test_a_large_case_does_not_bring_hundreds_of_pictures() -> None:
    """Every instrument has its share of the pictures, and what was left out is counted."""
    whole = example.dossier({f"candidate-{k}": 1.0 - k / 100 for k in range(PICTURES)})
    sections = probe_sections(whole)
    made = pictures(sections, tags(whole))
    assert sum(len(found) for shown in made for found in shown.curves.values()) == PICTURES
    told = [bool(Exhibited.of(s.findings, tags(whole)).order) for s in sections]
    assert all(shown.curves for shown, has in zip(made, told, strict=True) if has)
    assert sum(shown.undrawn for shown in made) > 0
    (histogram,) = made[0].histograms
    assert len(histogram.marked) == MARKED
    assert f"{PICTURES + 1 - MARKED} lower readings are in the record" in histogram.population


def test_a_histogram_names_its_population_with_numbers() -> None:
    """The caption's population says how many pairs of either kind it holds."""
    whole = example.dossier()
    (histogram, *_) = pictures(probe_sections(whole), tags(whole))[0].histograms
    counts = instruments.histogram(0.0).rows
    unrelated, derived = (sum(int(row[k] or 0) for row in counts) for k in (2, 3))
    assert histogram.population.endswith(f"{unrelated} unrelated and {derived} derived")


def test_findings_without_a_reading_have_no_picture() -> None:
    """Abstentions and failures are told in words."""
    silent = example.sparse()
    assert not any(isinstance(finding.outcome, Measurement) for finding in silent.findings)
    assert all(not shown.curves and not shown.histograms for shown in pictures(probe_sections(silent), {}))
    assert pictures((), {}) == ()
    unnamed = replace(example.dossier(), opinions=(), controls=())
    assert pictures(probe_sections(unnamed), {})[0].curves
