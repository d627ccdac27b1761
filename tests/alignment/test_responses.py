"""Token responses: latent attention's factors in any order, hostile shapes, and keys that heads share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics import alignment
from tests.standin import Key, StandIn, architecture_of

TOKENS, WIDTH, HEADS, OWN, ROTARY, VALUE, RANK = 30, 16, 3, 4, 2, 5, 8
ANCHORS = np.random.default_rng(0).standard_normal((TOKENS, WIDTH)).astype(np.float32)
Tensors = dict[Key, Any]


def tensors(seed: int = 0) -> Tensors:
    """One layer of latent attention without a query latent."""
    rng = np.random.default_rng(seed)
    return {
        ("q_proj", 0, None): rng.standard_normal((HEADS * (OWN + ROTARY), WIDTH)),
        ("kv_a_proj", 0, None): rng.standard_normal((RANK + ROTARY, WIDTH)),
        ("kv_a_norm", 0, None): rng.uniform(0.5, 1.5, RANK),
        ("kv_b_proj", 0, None): rng.standard_normal((HEADS * (OWN + VALUE), RANK)),
        ("o_proj", 0, None): rng.standard_normal((WIDTH, HEADS * VALUE)),
    }


def gathered(
    model: Tensors, order: tuple[str, ...], heads: int = HEADS
) -> tuple[dict[str, Any], alignment.Responses]:
    """Parts of each circuit when matrices come in this order, in blocks of five rows."""
    shape = architecture_of(layers=1, width=WIDTH, heads=heads, head_dim=OWN + ROTARY)
    standin = StandIn(model, shape)
    gatherer = alignment.Responses(checkpoint=standin, whitened=ANCHORS, layers=(0,))
    found: dict[str, Any] = {}
    for role in order:
        spec = standin.find(role, 0)
        assert spec is not None
        if gatherer.wants(spec):
            for start, rows in standin.rows(spec, 5):
                found |= dict(gatherer.see(spec, rows, start))
    return found, gatherer


@pytest.mark.parametrize("order", [("kv_a_proj", "kv_b_proj"), ("kv_b_proj", "kv_a_proj")])
def test_factors_come_in_any_order_and_leave_nothing_behind(order: tuple[str, ...]) -> None:
    """Keys and values are those of the multiplied matrices, whichever factor the file has first."""
    model = tensors()
    found, gatherer = gathered(model, order)
    latent = ANCHORS @ model["kv_a_proj", 0, None].T
    whole = (latent[:, :RANK] * model["kv_a_norm", 0, None]) @ model["kv_b_proj", 0, None].T
    heads = whole.reshape(TOKENS, HEADS, OWN + VALUE)
    (keys, own), (shared, rotary) = found["k_proj"]
    ((values, value),) = found["v_proj"]
    assert (own, rotary, value) == (OWN, ROTARY, VALUE)
    assert keys == pytest.approx(heads[:, :, :OWN].reshape(TOKENS, -1), rel=1e-3, abs=1e-3)
    assert shared == pytest.approx(latent[:, RANK:], rel=1e-3, abs=1e-3)
    assert values == pytest.approx(heads[:, :, OWN:].reshape(TOKENS, -1), rel=1e-3, abs=1e-3)
    assert not gatherer.growing
    assert all(not latent.size for latent in gatherer.latents.values())


def test_outputs_are_cut_by_the_size_of_a_value() -> None:
    """Where values are not as wide as keys, output columns are heads of values."""
    found, _ = gathered(tensors(), ("o_proj",))
    assert found["o_proj"][0][1] == VALUE


@pytest.mark.parametrize(
    ("role", "shape"),
    [
        ("kv_b_proj", (HEADS * (OWN + VALUE), RANK + ROTARY + 1)),
        ("kv_b_proj", (HEADS * (OWN + VALUE) + 1, RANK)),
        ("kv_b_proj", (HEADS, RANK)),
        ("kv_a_proj", (RANK - 1, WIDTH)),
        ("kv_a_proj", (RANK + ROTARY, WIDTH - 1)),
        ("kv_a_proj", (RANK + OWN + ROTARY, WIDTH)),
        ("kv_a_proj", (1 << 17, 1)),
    ],
)
def test_factors_that_do_not_fit_are_not_wanted(role: str, shape: tuple[int, int]) -> None:
    """Second factors without a first one that fits, or heads that cannot be told apart, give no keys and no values."""
    model = {**tensors(), (role, 0, None): np.ones(shape)}
    found, _ = gathered(model, ("kv_a_proj", "kv_b_proj"))
    assert not {"k_proj", "v_proj"} & set(found)
    assert "kv_b_proj" not in gathered(tensors(), ("kv_b_proj",), heads=0)[0]


def test_numbers_that_are_not_finite_stay_in_their_circuit() -> None:
    """A NaN in the latent reaches keys and values, which their kernels then refuse, without a warning."""
    model = tensors()
    model["kv_a_proj", 0, None][0, 0] = np.nan
    found, _ = gathered(model, ("kv_a_proj", "kv_b_proj", "o_proj"))
    assert alignment.head_subspaces(*found["v_proj"][0], WIDTH) is None
    assert alignment.head_subspaces(*found["o_proj"][0], WIDTH) is not None


def test_a_key_repeated_in_all_heads_counts_once() -> None:
    """Key dimensions alike in all heads become one head; ordinary keys, and heads all alike, stay as they are."""
    rng = np.random.default_rng(3)
    own, shared = rng.standard_normal((TOKENS, HEADS, OWN)), rng.standard_normal((TOKENS, 1, ROTARY))
    keys = np.concatenate([own, shared.repeat(HEADS, 1)], 2).reshape(TOKENS, -1).astype(np.float32)
    (first, dims), (second, more) = alignment.keys_told_apart(keys, OWN + ROTARY)
    assert (dims, more) == (OWN, ROTARY)
    assert first == pytest.approx(own.reshape(TOKENS, -1), abs=1e-6)
    assert second == pytest.approx(shared[:, 0], abs=1e-6)
    ordinary = rng.standard_normal((TOKENS, 12)).astype(np.float32)
    for same in (ordinary, np.tile(ordinary, 3)):
        ((kept, dim),) = alignment.keys_told_apart(same, 12 if same is not ordinary else 4)
        assert kept is same
        assert dim == (12 if same is not ordinary else 4)
    assert len(alignment.keys_told_apart(ordinary, 0)) == len(alignment.keys_told_apart(ordinary, 5)) == 1
