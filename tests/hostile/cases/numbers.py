"""Weights that are no honest numbers, and shapes that fit no architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hostile.case import Collection, Traps
from tests.hostile.files import with_tensors
from tests.tiny import Tensors, llama_tensors, write

CASES = Collection("numbers and shapes")
Change = Callable[[Tensors], None]
Q1 = "model.layers.1.self_attn.q_proj.weight"


def numbers(number: str, title: str, change: Change, *codes: str, **expected: Any) -> None:
    """A tiny Llama with its tensors changed."""

    def build(path: Path, _: Traps) -> None:
        tensors = llama_tensors()
        change(tensors)
        write(path, {k: np.ascontiguousarray(v) for k, v in tensors.items()})

    CASES.case(number, title, codes=codes, **expected)(build)


def every(value: float) -> Change:
    """All weights are that."""

    def change(tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            tensors[name] = np.full_like(tensor, value)

    return change


def one(value: float, name: str = Q1) -> Change:
    """One number is that."""

    def change(tensors: Tensors) -> None:
        tensors[name].flat[3] = value

    return change


def lowered(subject: Mapping[str, Any]) -> None:
    """The tensor does not count as examined."""
    assert subject["recognised"] < subject["parameters"]
    assert "NaN" in " ".join(u["reason"] for u in subject["unexamined"])


def nothing(subject: Mapping[str, Any]) -> None:
    """Nothing counts as examined."""
    assert subject["recognised"] == 0


def whole(subject: Mapping[str, Any]) -> None:
    """Everything counts as examined."""
    assert subject["recognised"] == subject["parameters"] > 0


def partly(subject: Mapping[str, Any]) -> None:
    """What fits is examined, the rest listed."""
    assert 0 < subject["recognised"] < subject["parameters"]
    assert subject["unexamined"]


numbers("67", "one weight is NaN", one(np.nan), "NOT_FINITE", check=lowered, whole=True)
numbers("67a", "all weights are NaN", every(np.nan), "NOT_FINITE", check=nothing, whole=True)
numbers("67b", "one weight is infinite", one(np.inf), "NOT_FINITE", check=lowered)
numbers("67c", "all weights are minus infinity", every(-np.inf), "NOT_FINITE", check=nothing)
numbers("67d", "all weights are zero", every(0.0), check=whole, whole=True)
numbers("67e", "all weights are one constant", every(0.5), check=whole)
numbers("67f", "all weights are denormal", every(1e-42), check=whole)
numbers("67g", "all weights are as large as float32 goes", every(3.4e38), check=whole, whole=True)
numbers("67h", "a norm gain is NaN", one(np.nan, "model.norm.weight"), "NOT_FINITE", check=lowered)
numbers(
    "67i", "an embedding row is NaN", one(np.nan, "model.embed_tokens.weight"), "NOT_FINITE", check=lowered
)
numbers(
    "67j",
    "negative zero and signs only",
    lambda t: t.update({k: np.copysign(0.0, v).astype("f4") for k, v in t.items()}),
    check=whole,
)


def added(**shapes: Any) -> Change:
    """Tensors more, by name (`__` for a dot) and values."""
    return lambda tensors: tensors.update({k.replace("__", "."): v for k, v in shapes.items()})


def zeros(*shape: int) -> NDArray[np.float32]:
    """An array of that shape."""
    return np.zeros(shape, np.float32)


numbers("68", "a tensor has no rows", added(model__layers__1__mlp__gate_proj__weight=zeros(0, 8)))
numbers("68a", "a matrix is a single number", added(model__layers__1__mlp__gate_proj__weight=zeros()))
numbers(
    "68b",
    "a matrix has five dimensions",
    added(model__layers__1__mlp__gate_proj__weight=zeros(2, 2, 3, 2, 4)),
    check=partly,
)
numbers("68c", "a norm is a matrix", added(model__norm__weight=zeros(8, 8)))
numbers(
    "68d", "an embedding has one column", added(model__embed_tokens__weight=zeros(80, 1)), "CONFIG_MISMATCH"
)
numbers("68e", "a matrix has no columns", added(model__layers__0__self_attn__q_proj__weight=zeros(8, 0)))
numbers("68f", "every tensor is empty", lambda t: t.update({k: zeros(0) for k in t}), "CONFIG_MISMATCH")
numbers(
    "68g", "heads do not divide the queries", added(model__layers__0__self_attn__q_proj__weight=zeros(7, 8))
)


@CASES.case("68h", "a tensor of 2^62 by no columns", codes=(), more=True, refused="")
def endless_rows(path: Path, _: Traps) -> None:
    """Legal in the header, absurd as a loop over rows."""
    from tests.hostile.files import item, raw_file

    write(path)
    (path / "model.safetensors").rename(path / "a.safetensors")
    raw_file(path / "b.safetensors", {"model.layers.5.mlp.up_proj.weight": item([1 << 61, 0], [0, 0])})


@CASES.case("69", "layer 1 of two is missing", codes=("CONFIG_MISMATCH",))
def missing_layer(path: Path, _: Traps) -> None:
    """The config promises it."""
    tensors = {k: v for k, v in llama_tensors().items() if "layers.1." not in k}
    write(path, tensors)


@CASES.case("69a", "layers 0 and 900 000 000", codes=(), more=True)
def far_layers(path: Path, _: Traps) -> None:
    """A number of layers that nobody may loop over or allocate."""
    write(path, {k.replace("layers.1.", "layers.900000000."): v for k, v in llama_tensors().items()})


@CASES.case("69b", "a layer's number has 5 000 digits", codes=(), more=True)
def numbered(path: Path, _: Traps) -> None:
    """More than Python turns into an integer."""
    write(path, {k.replace("layers.1.", f"layers.{'9' * 4000}."): v for k, v in llama_tensors().items()})


@CASES.case("69c", "a layer's number is not ASCII", codes=(), more=True)
def arabic(path: Path, _: Traps) -> None:
    """Digits of another script are no number here."""
    write(path, {k.replace("layers.1.", "layers.\u0661."): v for k, v in llama_tensors().items()})


@CASES.case("69d", "layer 1 and layer 01", codes=(), more=True)
def same_layer(path: Path, _: Traps) -> None:
    """Two names for one place."""
    twin = {
        k.replace("layers.1.", "layers.01."): v * 2 for k, v in llama_tensors().items() if "layers.1." in k
    }
    write(path, {**llama_tensors(), **twin})


@CASES.case("69e", "layers of different widths", codes=(), more=True)
def uneven(path: Path, _: Traps) -> None:
    """Nothing fits together."""
    wide = {k: v for k, v in llama_tensors(1, width=12).items() if "layers.1." in k}
    write(path, {**llama_tensors(), **wide})


@CASES.case("69f", "a padded vocabulary and a tied head", codes=("CONFIG_MISMATCH",), check=whole)
def padded(path: Path, _: Traps) -> None:
    """Six rows more than the config says, and no head."""
    tensors = llama_tensors()
    tensors["model.embed_tokens.weight"] = np.vstack([tensors["model.embed_tokens.weight"], zeros(6, 8)])
    del tensors["lm_head.weight"]
    write(path, tensors)


@CASES.case("69g", "an expert's number is absurd", codes=(), more=True)
def experts(path: Path, _: Traps) -> None:
    """Experts 0 and 10^9 of a mixture."""
    names = {f"model.layers.{i}.block_sparse_moe.experts.{e}.w{w}.weight": np.ones((8, 8), np.float32)
             for i in (0, 1) for e in (0, 10**9) for w in (1, 2, 3)}  # fmt: skip
    with_tensors(path, **names)


@CASES.case(
    "69h", "100 000 layers of one tensor each", codes=(), more=True, seconds=20.0, megabytes=700, slow=True
)
def tall(path: Path, _: Traps) -> None:
    """As many as the limit of tensors allows, nearly."""
    from tests.hostile.files import item, raw_file

    names = {
        f"model.layers.{i}.input_layernorm.weight": item([1], [4 * i, 4 * i + 4]) for i in range(100_000)
    }
    raw_file(path / "model.safetensors", names, bytes(400_000))
