"""The making of a fused weight: votes add up to what is stated, over reference pairs that were weighed alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from forensics.opinions import Contribution
from forensics.readings import Table
from forensics.report.gallery import WEIGHED, weighed
from forensics.report.view import answers
from forensics.report.waterfalls import VOTES, steps, waterfall
from tests.report import example, instruments


def opinion(**changes: object):  # type: ignore[no-untyped-def]
    """An opinion at its bound, with two votes and an intercept."""
    plain = replace(
        example.opinion("base", 1.146),
        contributions=(
            Contribution(probe="depth-curves", log10_lr=-0.3),
            Contribution(probe="neuron-match", log10_lr=1.5, instead_of=("other",)),
            Contribution(probe="(intercept)", log10_lr=0.4),
        ),
        background=instruments.histogram(0.95),
    )
    return replace(plain, **changes)


def test_steps_lead_from_zero_to_what_is_stated() -> None:
    """The intercept first, then votes from the largest, each from the end of the one before, the bound last."""
    found = steps(opinion())
    assert [name.partition(" ")[0] for name, *_ in found] == [
        "start",
        "neuron-match,",
        "depth-curves",
        "held",
    ]
    assert found[0][1] == 0.0
    assert all(a[2] == b[1] for a, b in pairwise(found))
    assert found[-1][2] == pytest.approx(1.146)
    assert sum(end - start for _, start, end in found) == pytest.approx(1.146)


def test_the_words_hold_every_number_and_the_unrelated_pairs() -> None:
    """The alternative text says each share, what is stated, and how many unrelated pairs were weighed as high."""
    drawing = waterfall("1", opinion())
    assert drawing is not None
    for said in (
        "intercept) +0.40",
        "+1.5",
        "\u22120.30",
        "held back by the bound \u22120.45",
        "stated +1.1",
    ):
        assert said in drawing.alt
    unrelated = sum(row[2] for row in instruments.histogram(0.95).rows)  # type: ignore[misc]
    for told in (drawing.alt, drawing.note):
        assert f"{unrelated} unrelated and" in told
        assert f"none of the {unrelated} unrelated pairs" in told
    assert "neuron-match, sharing one vote with other" in drawing.svg


def test_without_reference_pairs_the_picture_says_so() -> None:
    """Records of earlier versions hold none; nothing is drawn without a likelihood ratio."""
    drawing = waterfall("1", opinion(background=None))
    assert drawing is not None
    assert "holds no reference pairs weighed in the same way" in drawing.note
    assert waterfall("1", example.opinion("base", None)) is None
    odd = Table(title="", columns=("a",), rows=((1,),))
    assert waterfall("1", opinion(background=odd)) == drawing


def test_it_is_drawn_without_colour_and_the_same_twice() -> None:
    """Directions differ by fill and hatch; drawing again gives the same bytes."""
    first = waterfall("1", opinion())
    waterfall.cache_clear()
    assert waterfall("1", opinion()) == first
    assert first is not None
    assert "<pattern" in first.svg


def test_many_votes_and_absurd_ones_are_drawn() -> None:
    """Votes beyond the cap share one bar; a huge share is cut at the edge and its number stands."""
    many = tuple(Contribution(probe=f"_p{i}<b>", log10_lr=0.01 * i) for i in range(VOTES + 3))
    found = steps(opinion(contributions=many))
    assert any(name == "3 more votes" for name, *_ in found)
    huge = waterfall("1", opinion(contributions=(Contribution(probe="p", log10_lr=1e300),)))
    assert huge is not None
    assert "nan" not in huge.svg.lower()
    assert "<b>" not in (waterfall("1", opinion(contributions=many)) or huge).svg


def test_the_strongest_opinions_are_drawn() -> None:
    """Of many candidates those with the strongest weight have a picture, controls after them."""
    found = weighed(answers(example.many()))
    assert len(found) == WEIGHED
    assert "C1" not in found
    assert set(weighed(answers(example.dossier()))) == {"1", "2", "3", "C1"}
    assert weighed(answers(example.sparse())) == {}
