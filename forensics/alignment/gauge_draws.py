"""Random gauges by name: what a launderer may do to a model without changing what it computes.

Each takes canonical weights, the architecture and a generator, and gives new weights; ForensicsError where the
architecture lacks that symmetry: a norm behind attention forbids rotation, a norm on queries forbids their scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.gauges import (
    Floats,
    Place,
    Space,
    Weights,
    fold_gains,
    mix,
    reorder,
    rescale,
    scale_gains,
    sizes,
)
from forensics.alignment.heads import rotary_dimensions
from forensics.errors import ForensicsError
from forensics.subjects import Architecture

Gauge = Callable[[Weights, Architecture, np.random.Generator], dict[Place, Floats]]
Matrix = NDArray[np.float64]

SPREAD = 0.7
"""Standard deviation of the logarithm of a random rescaling: factors mostly between a quarter and four."""


def random_orders(
    weights: Weights, spaces: Iterable[str], rng: np.random.Generator
) -> dict[Space, NDArray[np.intp]]:
    """A random order for every space of these names; heads need `head_orders`."""
    wanted = set(spaces)
    return {space: rng.permutation(size) for space, size in sizes(weights).items() if space[0] in wanted}


def head_orders(
    weights: Weights, heads: int, kv_heads: int, rng: np.random.Generator
) -> dict[Space, NDArray[np.intp]]:
    """Random orders of the four attention spaces of every layer: KV groups move, query heads within their groups."""
    orders: dict[Space, NDArray[np.intp]] = {}
    found = sizes(weights)
    for layer in _attention_layers(weights):
        groups, per_group = rng.permutation(kv_heads), heads // kv_heads
        inside = np.stack([rng.permutation(per_group) for _ in range(kv_heads)])
        order = (groups[:, None] * per_group + inside).ravel()
        for space, of in (("query", order), ("context", order), ("key", groups), ("value", groups)):
            size = found.get((space, layer, None))
            if size is not None:
                width = size // len(of)
                orders[space, layer, None] = (of[:, None] * width + np.arange(width)).ravel()
    return orders


def random_orthogonal(size: int, rng: np.random.Generator, *, fix_mean: bool = False) -> Matrix:
    """A Haar-random orthogonal matrix; with `fix_mean` one that leaves the constant vector alone, as LayerNorm needs.

    LayerNorm subtracts the mean 1ᵀx / d, which x → Rx keeps if R 1 = 1 (and so Rᵀ 1 = 1).
    """
    if not fix_mean:
        q, r = np.linalg.qr(rng.standard_normal((size, size)))
        return np.asarray(q * np.sign(np.diag(r)), np.float64)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(size), rng.standard_normal((size, size - 1))]))
    inner = np.eye(size)
    inner[1:, 1:] = random_orthogonal(size - 1, rng)
    return np.asarray(basis @ inner @ basis.T, np.float64)


def _attention_layers(weights: Weights) -> list[int]:
    return sorted({p[1] for p in weights if p[0] == "q_proj" and p[1] is not None})


def _without(weights: Weights, roles: Iterable[str], what: str) -> None:
    """ForensicsError where one of these roles is there."""
    there = sorted({place[0] for place in weights} & set(roles))
    if there:
        raise ForensicsError(f"{what} is no symmetry beside {', '.join(there)}")


def _lognormal(size: int, rng: np.random.Generator) -> Floats:
    return np.exp(SPREAD * rng.standard_normal(size)).astype(np.float32)


def permute_neurons(weights: Weights, _: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """MLP neurons of every layer and expert in another order."""
    return reorder(weights, random_orders(weights, ("neuron", "shared"), rng))


def permute_heads(weights: Weights, arch: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """KV groups of every layer in another order, and query heads within their groups."""
    return reorder(weights, head_orders(weights, arch.heads, arch.kv_heads, rng))


def permute_experts(weights: Weights, _: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Experts of every layer in another order; nothing for a dense model."""
    return reorder(weights, random_orders(weights, ("expert",), rng))


def permute_residual(weights: Weights, _: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Residual channels in another order, one for the whole model; LayerNorm does not see the order either."""
    return reorder(weights, random_orders(weights, ("residual",), rng))


def flip_residual(weights: Weights, arch: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Signs of residual channels, one for the whole model; RMSNorm only, since LayerNorm subtracts a mean."""
    if arch.norm != "rms":
        raise ForensicsError("channels change sign under RMSNorm only")
    residual: Space = ("residual", None, None)
    signs = np.where(rng.integers(0, 2, sizes(weights)[residual]) == 1, 1.0, -1.0).astype(np.float32)
    return rescale(weights, {residual: signs})


def rescale_neurons(weights: Weights, arch: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Input rows of gated neurons times random factors of either sign, their output columns divided by them."""
    if not arch.glu:
        raise ForensicsError("a neuron without a gate has a nonlinearity between input and output")
    factors: dict[Space, Floats] = {
        space: _lognormal(size, rng) * np.where(rng.integers(0, 2, size) == 1, 1, -1).astype(np.float32)
        for space, size in sizes(weights).items()
        if space[0] in {"neuron", "shared"}
    }
    return rescale(weights, factors)


def mix_values(weights: Weights, arch: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Another basis, scaled and turned, for the values of every KV group; the attention output's columns undo it."""
    _without(weights, ("attn_gate_proj", "attn_inner_norm"), "a change of basis of values")
    maps: dict[Space, Matrix] = {}
    for layer in _attention_layers(weights):
        dims = sizes(weights)["value", layer, None] // arch.kv_heads
        parts = [random_orthogonal(dims, rng) * _lognormal(dims, rng)[:, None] for _ in range(arch.kv_heads)]
        maps["value", layer, None] = _diagonal(parts)
        maps["context", layer, None] = _diagonal(
            [p for p in parts for _ in range(arch.heads // arch.kv_heads)]
        )
    return mix(weights, maps)


def turn_queries(weights: Weights, arch: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Keys of every KV group scaled and turned within rotary pairs, the queries that meet them against it.

    Rotations of a pair commute with the rotary embedding, so any complex factor per pair is free: k → c k and
    q → q / c̄. Pairs are (i, i + dims / 2); where they lie otherwise or are not known, one real factor per group.
    """
    _without(weights, ("q_norm", "k_norm", "q_wide_norm", "k_wide_norm"), "a scale of queries against keys")
    paired = rotary_dimensions({}, declared=arch.declared, rope=arch.rope, head_dim=arch.head_dim) is not None
    maps: dict[Space, Matrix] = {}
    for layer in _attention_layers(weights):
        half = sizes(weights)["key", layer, None] // arch.kv_heads // 2
        turns = np.exp(2j * np.pi * rng.random((arch.kv_heads, half)))
        scales = np.stack([_lognormal(half, rng) for _ in range(arch.kv_heads)])
        drawn = scales * turns if paired else np.repeat(scales[:, :1], half, axis=1) + 0j
        maps["key", layer, None] = _diagonal([_complex(c) for c in drawn])
        maps["query", layer, None] = _diagonal(
            [_complex(1.0 / np.conj(c)) for c in drawn for _ in range(arch.heads // arch.kv_heads)]
        )
    return mix(weights, maps)


def _complex(factors: NDArray[np.complex128]) -> Matrix:
    """Multiplication by complex factors of the pairs (i, i + n), as a real matrix (2n, 2n)."""
    real, imaginary = np.diag(factors.real), np.diag(factors.imag)
    return np.block([[real, -imaginary], [imaginary, real]])


def _diagonal(parts: Iterable[Matrix]) -> Matrix:
    """A block-diagonal matrix."""
    listed = list(parts)
    size = sum(len(part) for part in listed)
    whole, at = np.zeros((size, size)), 0
    for part in listed:
        whole[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return whole


def scale_all_gains(weights: Weights, _: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Norm gains in front of attention and MLP times random factors of either sign, the columns behind divided."""
    factors = {}
    for role, layer, expert in weights:
        if role in {"input_norm", "mlp_norm"} and expert is None:
            size = len(weights[role, layer, None])
            signs = np.where(rng.integers(0, 2, size) == 1, 1, -1).astype(np.float32)
            factors[role, layer] = _lognormal(size, rng) * signs
    return scale_gains(weights, factors)


def fold(weights: Weights, _: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:  # noqa: ARG001
    """Gains folded into the matrices behind them."""
    return fold_gains(weights)


def rotate_residual(weights: Weights, arch: Architecture, rng: np.random.Generator) -> dict[Place, Floats]:
    """Gains folded away, then the residual stream in a random basis."""
    _without(weights, ("attn_post_norm", "mlp_post_norm", "embed_norm"), "a rotation of the residual stream")
    residual: Space = ("residual", None, None)
    turn = random_orthogonal(sizes(weights)[residual], rng, fix_mean=arch.norm != "rms")
    return mix(fold_gains(weights), {residual: turn})


GAUGES: Mapping[str, Gauge] = {
    "permute-neurons": permute_neurons,
    "permute-heads": permute_heads,
    "permute-experts": permute_experts,
    "permute-residual": permute_residual,
    "flip-residual": flip_residual,
    "rescale-neurons": rescale_neurons,
    "mix-values": mix_values,
    "turn-queries": turn_queries,
    "scale-gains": scale_all_gains,
    "fold-gains": fold,
    "rotate-residual": rotate_residual,
}
"""Every gauge by the name that the zoo and the robustness matrix use."""
