"""Units of neurons: what each pair of legs says, in which half of the neurons, and who was found."""

from __future__ import annotations

import numpy as np
import pytest

from forensics import alignment
from forensics.alignment.neuron_codes import directions

ANCHORS, NEURONS = 80, 40


def legs(seed: int, count: int = 3) -> list[np.ndarray]:
    """Answers of `count` legs, (NEURONS, ANCHORS)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return [directions(rng.standard_normal((NEURONS, ANCHORS)).astype(np.float32)) for _ in range(count)]


def view(answers: list[np.ndarray]) -> alignment.UnitView:
    """A unit of these legs, neurons by falling importance."""
    return alignment.UnitView(
        legs=tuple(answers), importance=np.linspace(2.0, 1.0, len(answers[0])).astype(np.float32)
    )


@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_a_replaced_leg_spoils_its_own_pairs_only(replaced: int) -> None:
    """Of three pairs of legs the two with the replaced one fall to chance, the third and the majority stay at 1."""
    mine = legs(0)
    changed = [legs(1)[leg] if leg == replaced else answers for leg, answers in enumerate(mine)]
    told = alignment.leg_agreements(view(changed), view(mine), 16)
    names = ("gate", "up", "down")
    for name, agreed in told.items():
        assert (agreed > 0.99) == (names[replaced] not in name), name


def test_strangers_agree_by_chance_in_every_pair() -> None:
    """Over 30 pairs of strangers every agreement above chance is zero on average, that of the majority too."""
    found = [alignment.leg_agreements(view(legs(2 * s)), view(legs(2 * s + 1)), 16) for s in range(30)]
    for name in found[0]:
        assert abs(np.mean([told[name] for told in found])) < 0.015, name


def test_two_legs_or_too_few_neurons_have_no_third() -> None:
    """Without a down leg, or with fewer neurons in it than are asked for, nothing is told."""
    whole, two = view(legs(3)), view(legs(3, 2))
    assert alignment.leg_agreements(whole, two, 16) == {}
    short = legs(3)
    assert alignment.leg_agreements(view([*short[:2], short[2][:10]]), whole, 16) == {}
    assert alignment.match_units(whole, two, 16, (1, 2)) is None


def test_fewer_down_columns_than_neurons_are_matched_among_the_loudest() -> None:
    """Down columns of the first 20 of 40 neurons confirm these 20, in a unit of another order as well."""
    mine = legs(4)
    order = np.random.Generator(np.random.PCG64(4)).permutation(20)
    theirs = [
        np.concatenate([leg[:20][order], leg[20:]]) if n < 2 else leg[:20][order]
        for n, leg in enumerate(mine)
    ]
    told = alignment.leg_agreements(view([*mine[:2], mine[2][:20]]), view(theirs), 16)
    assert list(told.values()) == pytest.approx([1.0] * 4)


def test_both_halves_and_both_sides_are_told() -> None:
    """Noise on the smaller half shows there only; found neurons are named on either side, whichever is larger."""
    mine, noise = legs(5, 2), legs(6, 2)
    spoilt = [np.concatenate([a[:20], b[20:]]) for a, b in zip(mine, noise, strict=True)]
    found = alignment.match_units(view([leg[:30] for leg in spoilt]), view(mine), 16)
    other = alignment.match_units(view(mine), view([leg[:30] for leg in spoilt]), 16)
    assert found is not None
    assert other is not None
    assert (found.upper, found.lower < 0.7) == (pytest.approx(1.0), True)
    assert set(range(20)) <= found.found
    assert set(range(20)) <= found.placed <= set(range(30))
    assert (other.found, other.placed) == (found.placed, found.found)
