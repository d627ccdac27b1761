"""depth-curves: one voice for all curves over depth, in a gauge of their own, and never more than context."""

from __future__ import annotations

import numpy as np
import pytest

from forensics import Abstain, Measurement, Reason
from forensics.readings import Abstention
from forensics.testing import check_probe
from plugins.depth_curves import DepthCurves
from tests.standin import Key, StandIn, architecture_of, run_sketch

PROBE = DepthCurves()
WIDTH, HEADS, KV_HEADS, LAYERS = 64, 4, 2, 12
Tensors = dict[Key, np.ndarray]


def model(seed: int, layers: int = LAYERS) -> Tensors:
    """A common trend over depth, and sizes, gains and tails of the model's own."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    for n in range(layers):
        trend = np.exp(np.sin(3.0 * n / layers))
        for norm in ("input_norm", "mlp_norm"):
            tensors[norm, n, None] = trend * np.exp(
                0.1 * rng.standard_normal() + 0.1 * rng.standard_normal(WIDTH)
            )
        for role, rows in (
            ("q_proj", WIDTH),
            ("k_proj", WIDTH // 2),
            ("v_proj", WIDTH // 2),
            ("o_proj", WIDTH),
        ):
            level = trend * np.exp(0.2 * rng.standard_normal())
            tensors[role, n, None] = level * rng.standard_t(rng.uniform(4, 12), (rows, WIDTH))
    return tensors


def measure(suspect: Tensors, candidate: Tensors, layers: tuple[int, int] = (LAYERS, LAYERS)) -> Measurement:
    """The probe's reading of two sets of tensors."""
    sides = []
    for tensors, depth in zip((suspect, candidate), layers, strict=True):
        shape = architecture_of(layers=depth, width=WIDTH, heads=HEADS, kv_heads=KV_HEADS)
        sides.append(run_sketch(PROBE, StandIn(tensors, shape)))
    return PROBE.compare(*sides)


def test_contract() -> None:
    """The probe keeps the contract of the house."""
    check_probe(PROBE)


def test_a_descendant_agrees_and_carries_no_group_and_no_p() -> None:
    """A copy with noise reads above 0.8, within [−1, 1], and says that this alone decides nothing."""
    base, rng = model(1), np.random.default_rng(0)
    child = {k: w * (1 + 0.02 * rng.standard_normal(w.shape)) for k, w in base.items()}
    found = measure(child, base)
    assert 0.8 < found.value <= 1.0
    assert found.exact is None
    assert found.group is None
    assert "decides nothing" in found.summary
    assert measure(base, base).value == pytest.approx(1.0)


def test_unrelated_models_of_one_trend_agree_little() -> None:
    """Thirty unrelated pairs that share their trend average within 0.15 of zero, and none reads above 0.6."""
    values = [measure(model(2 * n), model(2 * n + 1)).value for n in range(30)]
    assert abs(np.mean(values)) < 0.15
    assert max(values) < 0.6


def test_sizes_do_not_change_when_heads_are_rescaled_or_gains_folded() -> None:
    """Keys up and queries down, values up and outputs down, gains folded: the curves of size stay as they were."""
    base = model(3)
    hidden, rng = dict(base), np.random.default_rng(1)
    for n in range(LAYERS):
        by, of = np.exp(rng.standard_normal(2))
        for role, factor in (("q_proj", by), ("k_proj", 1 / by), ("v_proj", of), ("o_proj", 1 / of)):
            hidden[role, n, None] = base[role, n, None] * factor
            if role != "o_proj":
                hidden[role, n, None] = hidden[role, n, None] * base["input_norm", n, None]
        hidden["input_norm", n, None] = np.ones(WIDTH)
    table = dict(row[:2] for row in measure(hidden, base).tables[0].rows)
    for name in ("size-qk", "size-vo", "heads-qk", "heads-vo", "tails-q", "tails-o", "rank-k", "rank-v"):
        assert table[name] == pytest.approx(1.0, abs=1e-3)
    assert "gain-attention" not in table


def test_other_depths_and_few_layers_abstain() -> None:
    """Curves are not interpolated, and four layers are no curve."""
    with pytest.raises(Abstain) as answer:
        measure(model(4, 10), model(4), (10, LAYERS))
    assert answer.value.reason is Reason.NOT_COMPARABLE
    shape = architecture_of(layers=4, width=WIDTH, heads=HEADS, kv_heads=KV_HEADS)
    absent = run_sketch(PROBE, StandIn(model(5, 4), shape)).absent
    assert isinstance(absent, Abstention)
    assert absent.reason is Reason.TOO_SMALL


def test_one_spoilt_layer_costs_its_curves_alone() -> None:
    """NaN in one layer's values leaves the curves that do not read them."""
    base = model(6)
    spoilt = {k: w.copy() for k, w in base.items()}
    spoilt["v_proj", 3, None][0, 0] = np.nan
    names = [row[0] for row in measure(spoilt, base).tables[0].rows]
    assert "size-qk" in names
    assert not {"size-vo", "rank-v"} & set(names)
