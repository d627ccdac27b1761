"""Exact tests of agreement in place, by symmetries inside a layer.

Attention: turning a rotary pair of a KV group's queries and keys by 180°, or negating a value dimension with the
columns that read it, changes nothing a model computes, so under the null each such unit's inner product with the
other model's is as likely as its negative. MLP: swapping two neurons of a layer changes nothing. Neither touches
embeddings, norms or channels: shared (pasted) ones cannot make these p-values small. Layers, heads and experts that
are copies of each other have no symmetry of their own and count once. Two trainings from one initialisation break the
null. Sources: methods §4.3 P0 and §4.2 fact 4, with sign flips and swaps in place of a normal tail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import ATTENTION, HEAD_MOST, Blocks, meeting
from forensics.alignment.heads import free_flips, sign_units
from forensics.alignment.in_place import COPIED, Placed, copies, directions_in
from forensics.alignment.ordered import stand_sorted
from forensics.alignment.permutation import chernoff, floored, sign_flip_test

Floats = NDArray[np.float64]
Flips = Callable[[tuple[int, int]], Floats]
"""What a pair of layers (positions) contributes per independent symmetry, (flips,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Geometry of attention heads, equal in both models."""

    heads: int
    kv_heads: int
    head_dim: int
    rotary: int | None
    """Rotated dimensions, None where unknown."""


def attention_flips(placed: Placed, sides: tuple[Blocks, Blocks], heads: Heads) -> Flips | None:
    """Sign flips of rotary pairs (Q with K, where whole heads were kept) and value dimensions (V with O).

    Where sampled heads of a side are copies, a dimension flips in all heads at once: a subgroup that stays valid.
    """
    if min(heads.head_dim, heads.heads, heads.kv_heads) < 1 or heads.heads % heads.kv_heads:
        return None
    rotary = heads.rotary if heads.rotary is not None and 0 <= heads.rotary <= heads.head_dim else None
    units = sign_units(heads.head_dim, rotary) if heads.head_dim <= HEAD_MOST else None
    dims = min(heads.head_dim, HEAD_MOST)
    joint = any(copied_heads(side, dims) for side in sides)
    return lambda pair: attention_units(placed, pair, dims, units, joint=joint)


def neuron_flips(placed: Placed, sides: tuple[Blocks, Blocks], roles: tuple[str, ...]) -> Flips | None:
    """Swaps of neurons; None where both sides' stand sorted by size, for then order tells of a tool."""
    if all(neurons_sorted(side, roles) for side in sides):
        return None
    return lambda pair: neuron_swaps(*sides, (placed.mine[pair[0]], placed.theirs[pair[1]]), roles)


def attention_units(
    placed: Placed, at: tuple[int, int], head_dim: int, units: NDArray[np.intp] | None, *, joint: bool
) -> Floats:
    """Inner products over every independent flip of one pair of layers, shape (flips,); empty without any.

    `units` are the signs that query and key dimensions share (`sign_units`), None where Q and K are not to be used;
    `joint` flips a dimension in all sampled heads at once, a subgroup that stays valid where heads are copies.
    """
    found = []
    for role in ATTENTION:
        cosines = placed.products.get(role)
        if cosines is None or (units is None and role in {"q_proj", "k_proj"}):
            continue
        product = np.nan_to_num(cosines[at])
        if head_dim < 1 or product.size % head_dim:
            continue
        if joint:
            product = product.reshape(-1, head_dim).sum(axis=0)
        found.append((0, role in {"v_proj", "o_proj"}, product))
    if not found or len({product.size for _, _, product in found}) > 1:
        return np.zeros(0)
    return free_flips(found, found[0][2].size // head_dim, np.arange(head_dim) if units is None else units)


def copied_heads(blocks: Blocks, head_dim: int) -> bool:
    """Whether values (or keys) of two sampled heads of a layer are near copies, as converted models have them."""
    for (role, _, _), block in blocks.items():
        if role not in {"k_proj", "v_proj"} or head_dim < 1 or len(block) % head_dim:
            continue
        heads = directions_in(role, block).reshape(-1, head_dim, block.shape[1])
        likeness = np.abs(np.einsum("hdf,gdf->hgd", heads, heads)).mean(axis=2)
        if (likeness[np.triu_indices(len(heads), 1)] > COPIED).any():
            return True
    return False


def neuron_swaps(first: Blocks, second: Blocks, layers: tuple[int, int], roles: tuple[str, ...]) -> Floats:
    """What each pair of neurons (k, k + n/2) gains by not being swapped, over all legs and experts, (n // 2,).

    A swap exchanges two neurons in every leg (and in every expert, for experts may be copies of one MLP) of the first
    model; (aᵢ − aⱼ)·(bᵢ − bⱼ) then changes its sign. Empty where the legs do not fit each other.
    """
    swaps = []
    for role in roles:
        mine, theirs = (
            {e: b for (kind, at, e), b in side.items() if (kind, at) == (role, layer)}
            for side, layer in zip((first, second), layers, strict=True)
        )
        for a, b in meeting(mine, theirs):
            if mine[a].shape == theirs[b].shape:
                u, v = directions_in(role, mine[a]), directions_in(role, theirs[b])
                half = len(u) // 2
                swaps.append(np.vecdot(u[:half] - u[half : 2 * half], v[:half] - v[half : 2 * half]))
    if not swaps or len({one.size for one in swaps}) > 1:
        return np.zeros(0)
    return np.asarray(np.sum(swaps, axis=0), np.float64)


def neurons_sorted(blocks: Blocks, roles: tuple[str, ...]) -> bool:
    """Whether neurons stand sorted by size in some layer, as tools that prune by importance leave them."""
    sizes: dict[tuple[int, int], list[Floats]] = {}
    for (role, layer, expert), block in blocks.items():
        if role in roles:
            axis = 0 if role == "down_proj" else 1
            sizes.setdefault((layer, expert), []).append(
                np.log(np.maximum((block.astype(np.float64) ** 2).sum(axis=axis), 1e-30))
            )
    for found in sizes.values():
        if len({one.size for one in found}) == 1:
            size = np.sum(found, axis=0)
            if stand_sorted(size):
                return True
    return False


def tested_in_place(
    placed: Placed, sides: tuple[Blocks, Blocks], flips: Flips, *, draws: int, seed: int
) -> tuple[float, str] | None:
    """p of layers of one number, over all flips of all layers that are no copies; and how it came about."""
    roles = tuple(placed.products)
    again = [copies(side, roles) for side in sides]
    kept = [
        (i, j)
        for i, j in placed.pairs(in_place=True)
        if placed.mine[i] not in again[0] and placed.theirs[j] not in again[1]
    ]
    units = np.concatenate([np.zeros(0), *(flips(pair) for pair in kept)])
    if not np.count_nonzero(units):
        return None
    test = sign_flip_test(units, draws=draws, rng=np.random.Generator(np.random.PCG64(seed)))
    return test.p, f"{test.method('joint flips', 'flips (or bundles of them)')}; {len(kept)} layers in place"


def tested_all_pairs(placed: Placed, flips: Flips) -> tuple[float, str] | None:
    """The least Chernoff bound over all pairs of sampled layers, times their number: for unequal depths."""
    tried = [flips((i, j)) for i in range(len(placed.mine)) for j in range(len(placed.theirs))]
    bounds = [chernoff(units) for units in tried if np.count_nonzero(units)]
    if not bounds:
        return None
    return floored(min(bounds) * len(tried)), (
        f"least Chernoff bound over {len(tried)} pairs of layers, times their number, for depths differ; no draws"
    )


def exact_in_place(
    placed: Placed,
    sides: tuple[Blocks, Blocks],
    flips: Flips | None,
    *,
    in_place: bool,
    draws: int,
    seed: int,
) -> tuple[float, str] | None:
    """The one that fits: layers by number where depths are equal, else all pairs; None without symmetries."""
    if flips is None:
        return None
    return (
        tested_in_place(placed, sides, flips, draws=draws, seed=seed)
        if in_place
        else tested_all_pairs(placed, flips)
    )
