"""Twins tensor by tensor: gauges change nothing the model computes, and nothing large is held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.errors import ForensicsError
from forensics.testing import tiny_checkpoint
from forensics.twins import view as views
from forensics.twins.kinds import KINDS, Kind
from forensics.twins.rotation import BLOCK, Rotation
from forensics.twins.view import TwinView

Array = NDArray[np.float64]
ARCHITECTURES = ("llama", "qwen2", "mixtral", "gpt2", "gemma2", "phi3")
BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkpoint]:
    """A tiny checkpoint of each architecture."""
    folder = tmp_path_factory.mktemp("twins") / request.param
    opened = open_checkpoint(
        str(tiny_checkpoint(folder, architecture=request.param, layers=2, dtype="f32")), label="base"
    )
    yield opened
    opened.close()


def twin_of(checkpoint: Checkpoint, kind: Kind) -> Checkpoint:
    """A twin as sketchers see it."""
    return cast("Checkpoint", TwinView(checkpoint, kind.change(checkpoint, 7)))


def held(model: Checkpoint, role: str, layer: int | None = 0, expert: int | None = None) -> Array | None:
    """A tensor as the model has it, or None."""
    spec = model.find(role, layer, expert)
    if spec is None:
        return None
    whole = model.matrix(spec).astype(np.float64)
    return whole[:, 0] if spec.columns == 1 else whole


def normed(model: Checkpoint, x: Array, norm: str) -> Array:
    """What a layer's norm makes of the rows of x."""
    if model.architecture.norm == "layer":
        x = x - x.mean(axis=1, keepdims=True)
    gain = held(model, norm)
    assert gain is not None
    shift = held(model, f"{norm}_bias")
    scaled = x / np.sqrt((x * x).mean(axis=1, keepdims=True)) * gain
    return scaled if shift is None else scaled + shift


def biased(model: Checkpoint, x: Array, role: str, expert: int | None = None) -> Array:
    """Rows of x through a matrix and its bias."""
    matrix, bias = held(model, role, 0, expert), held(model, role.removesuffix("_proj") + "_bias", 0, expert)
    assert matrix is not None
    return x @ matrix.T + (0.0 if bias is None else bias)


def computed(model: Checkpoint) -> tuple[Array, Array, Array]:
    """Of the first layer, on embeddings: MLP and value path seen from the embeddings, scores of heads in order."""
    embeddings = held(model, "embed_tokens", None)
    assert embeddings is not None
    x, shape = embeddings[:20], model.architecture
    inside = normed(model, x, "mlp_norm")
    total = np.zeros((20, 20))
    for expert in range(shape.experts) if shape.experts else [None]:
        up = biased(model, inside, "up_proj", expert)
        active = np.tanh(biased(model, inside, "gate_proj", expert)) * up if shape.glu else np.tanh(up)
        share = 1.0
        if expert is not None:
            share = np.tanh(biased(model, inside, "router")[:, expert])[:, None]
        total += share * biased(model, active, "down_proj", expert) @ x.T
    before = normed(model, x, "input_norm")
    queries, keys, values = (biased(model, before, f"{m}_proj") for m in "qkv")
    repeat = shape.heads // shape.kv_heads
    split = [
        np.repeat(part.reshape(20, n, -1), r, axis=1)
        for part, n, r in (
            (queries, shape.heads, 1),
            (keys, shape.kv_heads, repeat),
            (values, shape.kv_heads, repeat),
        )
    ]
    out = held(model, "o_proj")
    assert out is not None
    path = split[2].reshape(20, -1) @ out.T @ x.T
    scores = np.sort(np.einsum("ihd,jhd->hij", split[0], split[1]), axis=0)
    return total, path, scores


@pytest.mark.parametrize("name", ["permuted", "flipped", "rotated", "rescaled"])
def test_gauged_twin_computes_what_the_checkpoint_does(checkpoint: Checkpoint, name: str) -> None:
    """MLP, value path and attention scores stay, while the matrices do not; or the architecture has no such twin."""
    try:
        twin = twin_of(checkpoint, BY_NAME[name])
    except ForensicsError:
        assert (name, checkpoint.architecture.declared) in {("flipped", "gpt2"), ("rotated", "gemma2")}
        return
    for mine, theirs in zip(computed(twin), computed(checkpoint), strict=True):
        assert np.allclose(mine, theirs, atol=2e-4 * np.abs(theirs).max())
    expert = 0 if checkpoint.architecture.experts else None
    changed, before = (held(model, "up_proj", 0, expert) for model in (twin, checkpoint))
    assert changed is not None
    assert before is not None
    assert np.abs(changed - before).max() > 0.1 * np.abs(before).max()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_twin_is_the_same_every_time(checkpoint: Checkpoint, kind: Kind) -> None:
    """The same seed gives the same tensors, in whatever order they are asked for."""
    try:
        one, other = twin_of(checkpoint, kind), twin_of(checkpoint, kind)
    except ForensicsError:
        return
    for spec in checkpoint.specs:
        other_spec = next(s for s in reversed(checkpoint.specs) if s == spec)
        assert np.array_equal(one.matrix(spec), other.matrix(other_spec))


def test_noise_keeps_moments_and_nothing_else(checkpoint: Checkpoint) -> None:
    """Every matrix of the noise twin has the checkpoint's mean and spread, and is uncorrelated with it."""
    twin = twin_of(checkpoint, BY_NAME["noise"])
    for spec in checkpoint.specs:
        if spec.columns > 1 and spec.rows * spec.columns > 500:
            mine, theirs = twin.matrix(spec).ravel(), checkpoint.matrix(spec).ravel()
            assert abs(mine.std() / theirs.std() - 1) < 0.15
            assert abs(np.corrcoef(mine, theirs)[0, 1]) < 6 / np.sqrt(len(mine))


def test_rounding_leaves_fifteen_levels(checkpoint: Checkpoint) -> None:
    """A group of 32 numbers of the rounded twin has at most 15 values, each within half a step."""
    twin, spec = twin_of(checkpoint, BY_NAME["quantised"]), checkpoint.find("q_proj", 0)
    assert spec is not None
    mine, theirs = twin.matrix(spec)[:, :32], checkpoint.matrix(spec)[:, :32]
    assert max(len(np.unique(row)) for row in mine) <= 15
    step = np.abs(theirs).max(axis=1, keepdims=True) / 7
    assert (np.abs(mine - theirs) <= step / 2 * 1.001).all()


def test_embeddings_come_in_blocks_and_no_tensor_beyond_the_limit(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings are never held whole, and a tensor above the limit is refused with its name, before it is read."""
    twin, spec = twin_of(checkpoint, BY_NAME["permuted"]), checkpoint.find("embed_tokens")
    assert spec is not None
    monkeypatch.setattr(checkpoint, "matrix", lambda spec: pytest.fail(f"{spec.role} was held whole"))
    assert sum(len(block) for _, block in twin.rows(spec)) == spec.rows
    monkeypatch.setattr(views, "TENSOR_LIMIT", 10)
    matrix = checkpoint.find("q_proj", 0)
    assert matrix is not None
    with pytest.raises(ForensicsError, match="q_proj of layer 0 is too large"):
        next(iter(twin.rows(matrix)))


@pytest.mark.parametrize("width", [1, 5, BLOCK, BLOCK + 2, 3 * BLOCK])
@pytest.mark.parametrize("fix_mean", [False, True])
def test_rotation_is_orthogonal(width: int, *, fix_mean: bool) -> None:
    """The map keeps lengths, mixes channels, is the same along either axis, and can leave the mean alone."""
    rng = np.random.default_rng(3)
    rotation = Rotation.drawn(width, rng, fix_mean=fix_mean)
    whole = rotation.turn(np.eye(width, dtype=np.float32), 0)
    assert np.allclose(whole @ whole.T, np.eye(width), atol=1e-4)
    rows = rng.standard_normal((3, width)).astype(np.float32)
    assert np.allclose(rotation.turn(rows, 1), rows @ whole.T, atol=1e-4)
    if fix_mean:
        assert np.allclose(whole.sum(axis=1), 1, atol=1e-4)
    if width >= BLOCK:
        assert np.abs(whole).max() < 0.7


def test_nothing_is_gauged_that_is_not_known(tmp_path: Path) -> None:
    """A shape that does not fit the rest of the model is an error that can be told, not a crash."""
    folder = tiny_checkpoint(tmp_path / "a", layers=2, dtype="f32")
    opened = open_checkpoint(str(folder), label="base")
    twin = twin_of(opened, BY_NAME["permuted"])
    spec = opened.find("q_proj", 0)
    assert spec is not None
    change = BY_NAME["permuted"].change(opened, 1)
    with pytest.raises(ForensicsError, match="does not fit"):
        change.changed(("q_proj", 0, None), np.zeros((3, 3), np.float32), 0, (0.0, 0.0))
    assert twin.matrix(spec).shape == (spec.rows, spec.columns)
    opened.close()
