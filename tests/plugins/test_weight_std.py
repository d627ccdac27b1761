"""weight-std: the published number, its weakness shown, and the detrended form that cures it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from forensics import Abstain, Measurement, Reason
from forensics.readings import Abstention
from plugins.weight_std import MATRICES, WeightStd
from tests.standin import Key, StandIn, architecture_of, run_sketch

HEADS, KV_HEADS, WIDTH = 4, 2, 32
Tensors = dict[Key, np.ndarray]


def model(seed: int, layers: int = 24, trend: float = 0.0) -> Tensors:
    """Attention weights whose spread follows a depth trend (strength `trend`) and the seed's own wiggles."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    head_dim = WIDTH // HEADS
    for layer, depth in enumerate(np.linspace(-1.0, 1.0, layers)):
        tensors["input_norm", layer, None] = rng.uniform(0.2, 2.0, WIDTH)
        for matrix in MATRICES:
            heads = KV_HEADS if matrix in ("k_proj", "v_proj") else HEADS
            shape = (WIDTH, WIDTH) if matrix == "o_proj" else (heads * head_dim, WIDTH)
            scale = 0.02 * np.exp(trend * (depth**3 + depth) + 0.1 * rng.standard_normal())
            tensors[matrix, layer, None] = scale * rng.standard_normal(shape)
    return tensors


def standin(tensors: Tensors, layers: int = 24, **facts: Any) -> StandIn:
    """A checkpoint of these tensors."""
    shape = architecture_of(layers=layers, width=WIDTH, heads=HEADS, kv_heads=KV_HEADS, **facts)
    return StandIn(tensors, shape)


def measure(suspect: StandIn, candidate: StandIn, block_rows: int = 7) -> Measurement:
    """The probe's reading of two stand-ins."""
    probe = WeightStd()
    return probe.compare(run_sketch(probe, suspect, block_rows), run_sketch(probe, candidate, block_rows))


def changed(tensors: Tensors, change: Callable[[str, int, np.ndarray], np.ndarray]) -> Tensors:
    """A copy with `change(role, layer, array)` applied to every tensor."""
    return {(r, n, e): change(r, n or 0, a) for (r, n, e), a in tensors.items()}


def rescaled(tensors: Tensors, seed: int = 5) -> Tensors:
    """The same function: per head of a layer, Q times s and K by s, V times t and O by t, gains moved into weights."""
    rng = np.random.default_rng(seed)
    layers = {n for _, n, _ in tensors}
    s = {n: np.exp(rng.standard_normal((2, KV_HEADS))) for n in layers}
    head_dim = WIDTH // HEADS

    def change(role: str, layer: int, array: np.ndarray) -> np.ndarray:
        if role == "input_norm":
            return np.ones_like(array)
        qk, vo = s[layer]
        gain = 1.0 if role == "o_proj" else tensors["input_norm", layer, None]
        group = HEADS // KV_HEADS * head_dim
        match role:
            case "q_proj":
                return array * np.repeat(qk, group)[:, None] * gain
            case "k_proj":
                return array / np.repeat(qk, head_dim)[:, None] * gain
            case "v_proj":
                return array * np.repeat(vo, head_dim)[:, None] * gain
            case _:
                return array / np.repeat(vo, group)[None, :]

    return changed(tensors, change)


def test_the_value_is_the_published_number() -> None:
    """Mean over Q, K, V, O of the Pearson correlation of per-layer torch.std, computed here the plain way."""
    torch = pytest.importorskip("torch")
    a, b = model(1), model(2)
    rs = []
    for matrix in MATRICES:
        curves = [[torch.tensor(m[matrix, n, None]).std().item() for n in range(24)] for m in (a, b)]
        rs.append(np.corrcoef(curves[0], curves[1])[0, 1])
    found = measure(standin(a), standin(b))
    assert found.value == pytest.approx(np.mean(rs), abs=1e-5)
    assert [found.facts[f"r_{m}"] for m in MATRICES] == pytest.approx(rs, abs=1e-5)
    assert found.group is None
    assert found.exact is None


def test_unequal_depths_are_interpolated_as_published_and_not_detrended() -> None:
    """With 24 and 12 layers the shorter curve is interpolated linearly; the detrended form says why it is absent."""
    a, b = model(1), model(2, layers=12)
    rs = []
    for matrix in MATRICES:
        long, short = (
            np.array([m[matrix, n, None].std(ddof=1) for n in range(d)]) for m, d in ((a, 24), (b, 12))
        )
        stretched = np.interp(np.linspace(0, 1, 24), np.linspace(0, 1, 12), short)
        rs.append(np.corrcoef(long, stretched)[0, 1])
    found = measure(standin(a), standin(b, layers=12))
    assert found.value == pytest.approx(np.mean(rs), abs=1e-5)
    assert found.facts["interpolated"] is True
    assert found.facts["detrended_r"] is None
    assert "depths differ" in str(found.facts["detrended_note"])


def test_a_fine_tuned_copy_is_near_one_in_both_forms() -> None:
    """Noise of a twentieth of the spread leaves both correlations above 0.99."""
    a = model(3)
    rng = np.random.default_rng(9)
    copy = changed(a, lambda _r, _n, w: w + 0.05 * w.std() * rng.standard_normal(w.shape))
    found = measure(standin(copy), standin(a))
    assert found.value > 0.99
    assert float(found.facts["detrended_r"] or 0) > 0.99


def test_a_shared_recipe_fakes_the_published_number_only() -> None:
    """Unrelated models with one depth trend exceed 0.9 as published, and average near zero detrended."""
    raw, rest = [], []
    for seed in range(8):
        found = measure(standin(model(100 + seed, trend=0.4)), standin(model(200 + seed, trend=0.4)), 64)
        raw.append(found.value)
        rest.append(float(found.facts["detrended_r"] or 0))
    assert min(raw) > 0.9
    assert abs(np.mean(rest)) < 0.25


def test_free_rescaling_rewrites_the_published_number_and_not_the_balanced_one() -> None:
    """A function-preserving rescaling of heads and folding of gains drops r below 0.7; the balanced r stays at one."""
    a = model(4)
    found = measure(standin(rescaled(a)), standin(a))
    assert found.value < 0.7
    assert found.facts["detrended_r"] == pytest.approx(1.0, abs=1e-4)


def test_permuting_channels_and_heads_changes_nothing() -> None:
    """Residual channels in another order, with their gains, and KV groups exchanged: both forms stay at one."""
    a = model(5)
    order = np.random.default_rng(1).permutation(WIDTH)
    groups = np.roll(np.arange(WIDTH), WIDTH // 2)

    def change(role: str, _layer: int, w: np.ndarray) -> np.ndarray:
        if role == "input_norm":
            return w[order]
        if role == "o_proj":
            return w[order][:, groups]
        return w[np.roll(np.arange(len(w)), len(w) // 2)][:, order]

    found = measure(standin(changed(a, change)), standin(a))
    assert found.value == pytest.approx(1.0, abs=1e-5)
    assert found.facts["detrended_r"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("block_rows", [1, 5, 1000])
def test_the_size_of_blocks_does_not_matter(block_rows: int) -> None:
    """Streaming by one row, by five and whole gives the same reading, also for weights far from zero."""
    a = changed(model(6), lambda r, _n, w: w if r == "input_norm" else w + 50.0)
    plain = [np.std(np.float32(a["q_proj", n, None]).astype(np.float64), ddof=1) for n in range(24)]
    sketch = run_sketch(WeightStd(), standin(a), block_rows)
    assert np.asarray(sketch.arrays["std"])[:, 0] == pytest.approx(plain, rel=1e-5)


def test_both_curves_are_in_the_record() -> None:
    """Every panel overlays suspect and candidate: four as published and two detrended, one point per layer."""
    found = measure(standin(model(7)), standin(model(8)))
    panels = {line.panel for line in found.series}
    assert len(panels) == 6
    assert {(line.name, len(line.x)) for line in found.series} == {("suspect", 24), ("candidate", 24)}


def abstention(tensors: Tensors, layers: int = 24) -> Reason:
    """Why there is no sketch of these tensors."""
    answer = run_sketch(WeightStd(), standin(tensors, layers)).absent
    assert isinstance(answer, Abstention)
    return answer.reason


def test_it_abstains_with_a_reason_where_there_is_no_curve() -> None:
    """Three layers, a missing matrix, NaN and infinity each give an abstention that names the cause."""
    assert abstention(model(1, layers=3), 3) is Reason.TOO_SMALL
    assert abstention({k: w for k, w in model(1).items() if k[0] != "v_proj"}) is Reason.MISSING_TENSORS
    for wrong in (np.nan, np.inf, -np.inf):
        hostile = model(1)
        hostile["k_proj", 7, None][3, 5] = wrong
        assert abstention(hostile) is Reason.NOT_FINITE


def test_values_that_overflow_a_square_do_not_break_it() -> None:
    """An entry near the largest float32 ends in an abstention, not in an error or a wrong number."""
    hostile = model(1)
    hostile["o_proj", 2, None][0, 0] = 3e38
    assert abstention(hostile) is Reason.NOT_FINITE


def test_constant_curves_abstain_rather_than_divide_by_zero() -> None:
    """All-zero weights, and every layer alike, have no curve to correlate."""
    a = model(1)
    for flat in (
        changed(a, lambda r, _n, w: w if r == "input_norm" else np.zeros_like(w)),
        changed(a, lambda r, _n, _w: a[r, 0, None]),
    ):
        with pytest.raises(Abstain) as answer:
            measure(standin(flat), standin(a))
        assert answer.value.reason is Reason.NOT_INFORMATIVE


def test_unknown_heads_and_hostile_gains_cost_only_the_detrended_form() -> None:
    """Without usable heads or with NaN gains the published form still speaks, and a note says what is missing."""
    a, b = model(1), model(2)
    for suspect in (
        StandIn(a, architecture_of(layers=24, width=WIDTH, heads=0, kv_heads=0, head_dim=0)),
        StandIn(a, architecture_of(layers=24, width=WIDTH, heads=3, kv_heads=2)),
        standin(changed(a, lambda r, _n, w: w * np.nan if r == "input_norm" else w)),
    ):
        found = measure(suspect, standin(b))
        assert found.value == pytest.approx(measure(standin(a), standin(b)).value)
        if suspect.architecture.heads != 0:
            assert found.facts["detrended_r"] is None
            assert "gauge" in str(found.facts["detrended_note"])
