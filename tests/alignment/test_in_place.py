"""Agreement in place and its exact tests: what they see, what they must not see, and copies that count once."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment.blocks import ATTENTION, DENSE, MLP
from forensics.alignment.in_place import copies, place
from forensics.alignment.in_place_tests import Heads, attention_flips, exact_in_place, neuron_flips

SIZE, DIM = 32, 8
HEADS = Heads(heads=4, kv_heads=4, head_dim=DIM, rotary=DIM)
Blocks = dict[tuple[str, int, int], np.ndarray]


def model(seed: int, *, layers: int = 3, common: float = 0.0) -> Blocks:
    """Blocks of random matrices; `common` adds a row that all neurons share, as shared channels would make."""
    rng = np.random.default_rng(seed)
    shared = common * np.random.default_rng(99).standard_normal(SIZE)
    blocks: Blocks = {}
    for layer in range(layers):
        for role in (*ATTENTION, *MLP):
            block = rng.standard_normal((SIZE, SIZE))
            if role in MLP:
                block = block + (shared[:, None] if role == "down_proj" else shared)
            blocks[role, layer, DENSE] = block.astype(np.float32)
    return blocks


def p_values(
    first: Blocks, second: Blocks, *, in_place: bool = True, draws: int = 199
) -> tuple[float, float]:
    """Exact p of attention and of MLP."""
    found = []
    for roles in (ATTENTION, MLP):
        placed = place(first, second, roles)
        sides = (first, second)
        flips = (
            attention_flips(placed, sides, HEADS)
            if roles is ATTENTION
            else neuron_flips(placed, sides, roles)
        )
        test = exact_in_place(placed, sides, flips, in_place=in_place, draws=draws, seed=0)
        assert test is not None
        found.append(test[0])
    return found[0], found[1]


def test_a_noisy_copy_is_seen_and_a_stranger_is_not() -> None:
    """A copy under noise as large as the weights has a tiny p in both groups; an independent model has none."""
    one, other = model(0), model(1)
    noisy = {key: block + np.std(block) * other[key] for key, block in one.items()}
    assert max(p_values(noisy, one)) < 1e-9
    assert min(p_values(other, one)) > 0.01


def test_free_signs_and_orders_defeat_it_by_design() -> None:
    """Flipping value dimensions with what reads them and rotary pairs, or permuting neurons, brings cosines to zero."""
    one = model(2)
    rng = np.random.default_rng(3)
    value = rng.choice([-1.0, 1.0], SIZE)
    pair = np.tile(rng.choice([-1.0, 1.0], DIM // 2), 2 * SIZE // DIM)
    order = rng.permutation(SIZE)
    moved = dict(one)
    for (role, layer, expert), block in one.items():
        by = {
            "v_proj": block * value[:, None], "o_proj": block * value, "q_proj": block * pair[:, None],
            "k_proj": block * pair[:, None], "down_proj": block[:, order],
        }.get(role, block[order])  # fmt: skip
        moved[role, layer, expert] = by
    assert abs(np.nanmean(np.diag(place(moved, one, MLP).similarity))) < 0.1
    assert min(p_values(moved, one)) > 1e-3


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_the_null_is_uniform_or_conservative(common: float) -> None:
    """Of unrelated pairs no more than the stated share falls below 0.05, 0.2, 0.5, shared channels or not."""
    found = np.array(
        [
            p_values(model(2 * s, layers=2, common=common), model(2 * s + 1, layers=2, common=common))
            for s in range(60)
        ]
    )
    for level in (0.05, 0.2, 0.5):
        share = (found <= level).mean(axis=0)
        assert (share <= level + 2.6 * np.sqrt(level * (1 - level) / len(found))).all()


@pytest.mark.slow
@pytest.mark.parametrize("in_place", [True, False])
def test_the_null_at_length(in_place: bool) -> None:
    """Over 500 unrelated pairs no level from 0.01 to 0.5 is exceeded, in place or over all pairs of layers."""
    found = np.array(
        [p_values(model(2 * s, layers=2), model(2 * s + 1, layers=2), in_place=in_place) for s in range(500)]
    )
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert (
            (found <= level).mean(axis=0) <= level + 2.6 * np.sqrt(level * (1 - level) / len(found))
        ).all()


def test_repeated_layers_count_once() -> None:
    """Two unrelated models that both repeat one layer six times are no more often rejected than with one layer."""
    found = []
    for seed in range(60):
        sides = []
        for side in (0, 1):
            one = model(1000 + 2 * seed + side, layers=1)
            repeated = {(role, n, e): block for (role, _, e), block in one.items() for n in range(6)}
            assert copies(repeated, ATTENTION) == dict.fromkeys(range(1, 6), 0)
            sides.append(repeated)
        found.append(p_values(*sides))
    share = (np.array(found) <= 0.05).mean(axis=0)
    assert (share <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 60)).all()


def test_copied_heads_flip_together() -> None:
    """Two unrelated models whose KV heads are copies of one are not rejected for agreeing four times over."""
    found = []
    for seed in range(60):
        sides = []
        for side in (0, 1):
            one = model(3000 + 2 * seed + side, layers=1)
            for role in ATTENTION:
                block = one[role, 0, DENSE]
                first = block[:, :DIM] if role == "o_proj" else block[:DIM]
                one[role, 0, DENSE] = np.tile(first, (1, 4) if role == "o_proj" else (4, 1))
            sides.append(one)
        found.append(p_values(*sides)[0])
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 60)


def test_moved_layers_are_found_where_depths_differ() -> None:
    """A model without its second layer, and one with a layer twice, meet the original's layers."""
    one = model(4, layers=4)
    kept = [0, 2, 3]
    pruned = {(r, kept.index(n), e): block for (r, n, e), block in one.items() if n in kept}
    placed = place(pruned, one, MLP)
    assert [(placed.mine[i], placed.theirs[j]) for i, j in placed.pairs(in_place=False)] == [
        (0, 0),
        (1, 2),
        (2, 3),
    ]
    assert max(p_values(pruned, one, in_place=False)) < 1e-3
    doubled = {(r, n, e): one[r, min(n, 3), e] for r, _, e in one for n in range(5)}
    placed = place(doubled, one, MLP)
    assert [placed.theirs[j] for _, j in placed.pairs(in_place=False)] == [0, 1, 2, 3, 3]
    assert copies(doubled, MLP) == {4: 3}


def test_experts_meet_a_dense_mlp() -> None:
    """Experts copied from one MLP agree with it in place, and their swaps are joint."""
    dense = model(5)
    experts = {(r, n, e): block for (r, n, _), block in dense.items() if r in MLP for e in (0, 1)}
    placed = place(experts, dense, MLP)
    assert np.diag(placed.similarity) == pytest.approx(np.ones(3))
    flips = neuron_flips(placed, (experts, dense), MLP)
    assert flips is not None
    assert flips((0, 0)).size == SIZE // 2


def test_sorted_neurons_give_no_exact_p() -> None:
    """Where neurons of both sides stand sorted by size there is no test; where one side's do, there is."""
    one, other = model(6), model(7)
    rising = np.exp(np.linspace(0, 3, SIZE))
    tidy = [
        {key: block * rising[:, None] for key, block in side.items() if key[0] != "down_proj"}
        for side in (one, other)
    ]
    placed = place(tidy[0], tidy[1], MLP)
    assert neuron_flips(placed, (tidy[0], tidy[1]), MLP) is None
    assert neuron_flips(place(tidy[0], other, MLP), (tidy[0], other), MLP) is not None


def test_extreme_and_dead_units_do_no_harm() -> None:
    """Rows of zeros and of 1e38 neither warn nor change what the other rows say."""
    one = model(8)
    for key, block in one.items():
        block = block.copy()  # noqa: PLW2901 - the changed one
        block[0], block[1] = 0.0, 1e38
        one[key] = block
    placed = place(one, one, ATTENTION)
    assert np.isfinite(placed.similarity).all()
    assert max(p_values(one, one)) < 1e-6
