"""Whether two models' coordinates are the same: agreement of blocks in place, and exact tests of it.

Attention: turning a rotary pair of a KV group's queries and keys by 180°, or negating a value dimension with the
columns that read it, changes nothing a model computes, so under the null each such unit's inner product with the
other model's is as likely as its negative. MLP: swapping two neurons of a layer changes nothing. Both symmetries act
inside one layer and leave embeddings, norms and channels alone: shared (pasted) ones cannot make these p-values small.
Invariant to nothing else: any permutation, rotation or rescaling by row signs defeats the tests. Source: methods §4.3
P0 and §4.2 fact 4, with sign flips and swaps in place of a normal tail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import match_repeated, spearman
from forensics.alignment.blocks import ATTENTION, DENSE, MLP, Blocks, Floats32
from forensics.alignment.heads import free_flips
from forensics.alignment.permutation import SymmetryTest, chernoff, sign_flip_test

COPIED = 0.5
"""Above this agreement with an earlier layer (or head) of its own model a layer (or head) is its copy."""
CLEARLY = 0.2
"""A layer that agrees by this much better with one already taken repeats it."""
SORTED = 1e-6
"""Neurons whose sizes follow their order with a smaller p stand sorted."""

Floats = NDArray[np.float64]
Stacks = dict[str, tuple[NDArray[np.intp], Floats]]
"""Per role: positions of the layers that have it, and its units' directions (layers, units, features)."""


def layers_of(blocks: Blocks, roles: tuple[str, ...]) -> list[int]:
    """Layers that hold a block of these roles, ascending."""
    return sorted({layer for role, layer, _ in blocks if role in roles})


def directions_in(role: str, block: Floats32) -> Floats:
    """A block's units as rows of unit length: head dimensions, or neurons less their mean; zero rows stay zero."""
    units = np.asarray(block.T if role in {"o_proj", "down_proj"} else block, np.float64)
    if role in MLP:
        units = units - units.mean(axis=0)
    largest = np.abs(units).max(axis=1, keepdims=True)
    units = units / np.where(largest > 0.0, largest, 1.0)
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    return np.asarray(units / np.where(lengths > 0.0, lengths, 1.0), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Two sets of blocks compared coordinate by coordinate."""

    mine: tuple[int, ...]
    """Layers of the first model."""
    theirs: tuple[int, ...]
    products: Mapping[str, Floats]
    """Per role: cosines of units (layers, other layers, units); NaN where a side has no such block."""
    similarity: Floats
    """Mean over roles of the mean cosine over units (layers, other layers); NaN where nothing can be compared."""

    def pairs(self, *, in_place: bool) -> list[tuple[int, int]]:
        """Positions of layers compared: those of one number, or each with its best partner where depths differ."""
        known = np.isfinite(self.similarity)
        if in_place:
            found = [(i, self.theirs.index(n)) for i, n in enumerate(self.mine) if n in self.theirs]
        elif known.any():
            partner = match_repeated(self.similarity, CLEARLY)
            found = [(i, int(j)) for i, j in enumerate(partner) if j >= 0]
        else:
            found = []
        return [(i, j) for i, j in found if known[i, j]]


def place(first: Blocks, second: Blocks, roles: tuple[str, ...]) -> Placed:
    """Compares every layer of one model with every layer of the other, role by role, in place.

    Where one side has experts and the other one MLP, every expert meets the MLP, and cosines are averaged.
    """
    mine, theirs = layers_of(first, roles), layers_of(second, roles)
    products: dict[str, Floats] = {}
    total = np.zeros((len(mine), len(theirs)))
    count = np.zeros_like(total)
    for role in roles:
        cosines = _cosines(_stacked(first, role, mine), _stacked(second, role, theirs))
        if cosines is None:
            continue
        products[role] = cosines
        there = np.isfinite(cosines).all(axis=2)
        total += np.where(there, np.nan_to_num(cosines).mean(axis=2), 0.0)
        count += there
    similarity = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Placed(mine=tuple(mine), theirs=tuple(theirs), products=products, similarity=similarity)


def _stacked(blocks: Blocks, role: str, layers: list[int]) -> dict[int, Floats]:
    """Per expert: directions (layers, units, features) of the commonest shape, NaN for a layer without."""
    stacks: dict[int, Floats] = {}
    of_role = {(layer, expert): block for (kind, layer, expert), block in blocks.items() if kind == role}
    for expert in sorted({expert for _, expert in of_role}):
        found = {layer: directions_in(role, b) for (layer, e), b in of_role.items() if e == expert}
        shapes = [units.shape for units in found.values()]
        shape = max(set(shapes), key=lambda one: (shapes.count(one), one))
        stack = np.full((len(layers), *shape), np.nan)
        for layer, units in found.items():
            if units.shape == shape:
                stack[layers.index(layer)] = units
        stacks[expert] = stack
    return stacks


def _cosines(first: dict[int, Floats], second: dict[int, Floats]) -> Floats | None:
    """Cosines of units (layers, other layers, units), mean over experts that meet; None where shapes differ."""
    common = first.keys() & second.keys()
    meeting = [(e, e) for e in sorted(common)]
    if not common and DENSE in {*first, *second}:
        meeting = [(a, b) for a in sorted(first) for b in sorted(second)]
    meeting = [(a, b) for a, b in meeting if first[a].shape[1:] == second[b].shape[1:]]
    if not meeting:
        return None
    # one matrix product per unit: (units, layers, features) @ (units, features, layers)
    found = [first[a].transpose(1, 0, 2) @ second[b].transpose(1, 2, 0) for a, b in meeting]
    return np.asarray(np.mean(found, axis=0).transpose(1, 2, 0), np.float64)


def originals(blocks: Blocks, roles: tuple[str, ...]) -> set[int]:
    """Layers that are no near copy of an earlier layer of the same model (repeated layers are not independent)."""
    own = place(blocks, blocks, roles)
    kept: list[int] = []
    for i in range(len(own.mine)):
        likeness = [own.similarity[i, j] for j in kept]
        if not any(np.isfinite(one) and one > COPIED for one in likeness):
            kept.append(i)
    return {own.mine[i] for i in kept}


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
        meeting = [(e, e) for e in sorted(mine.keys() & theirs.keys())]
        if not meeting and DENSE in {*mine, *theirs}:
            meeting = [(a, b) for a in sorted(mine) for b in sorted(theirs)]
        for a, b in meeting:
            if mine[a].shape == theirs[b].shape:
                u, v = directions_in(role, mine[a]), directions_in(role, theirs[b])
                half = len(u) // 2
                swaps.append(
                    np.vecdot(u[:half] - u[half : 2 * half], v[:half] - v[half : 2 * half])
                )
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
            if min(spearman(sign * size, np.arange(size.size))[1] for sign in (1.0, -1.0)) < SORTED:
                return True
    return False


def tested(contributions: list[Floats], *, draws: int, rng: np.random.Generator) -> SymmetryTest | None:
    """The sign-flip test over layers compared in place; layers have symmetries of their own. None without units."""
    units = np.concatenate([np.zeros(0), *contributions])
    return sign_flip_test(units, draws=draws, rng=rng) if np.count_nonzero(units) else None


def bonferroni(contributions: list[Floats]) -> float:
    """Least Chernoff bound over tried pairs of layers times their number, at most 1; searched, so no more precise."""
    bounds = [chernoff(one) for one in contributions if np.count_nonzero(one)]
    return min(1.0, min(bounds) * len(contributions)) if bounds else 1.0
