"""Agreement of two models' blocks in place: cosines of the same head dimensions and of the same neurons.

A head dimension is a row of Q, K or V and a column of O; a neuron, less the mean of its layer's, is a row of gate and
up and a column of down. Invariant to the scale of each; any permutation, rotation or sign flip of neurons, head
dimensions or channels defeats it, by design. Expected cosine of independent models: 0, by the symmetries that
`in_place_tests` turns into exact tests. Source: methods §4.3 P0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import MLP, Blocks, Floats32, meeting
from forensics.alignment.depths import match_repeated

COPIED = 0.5
"""Above this agreement with an earlier layer of its own model a layer is its copy."""
CLEARLY = 0.2
"""A layer that agrees by this much better with one already taken repeats it."""
Floats = NDArray[np.float64]


def layers_of(blocks: Blocks, roles: tuple[str, ...]) -> list[int]:
    """Layers that hold a block of these roles, ascending."""
    return sorted({layer for role, layer, _ in blocks if role in roles})


def directions_in(role: str, block: Floats32) -> Floats:
    """A block's units as rows of unit length: head dimensions, or neurons less their mean direction; zero stays zero.

    Neurons are scaled before their mean is taken, so that a single huge one cannot decide it.
    """
    units = _unit(np.asarray(block.T if role in {"o_proj", "down_proj"} else block, np.float64))
    return _unit(units - units.mean(axis=0)) if role in MLP else units


def _unit(rows: Floats) -> Floats:
    """Rows of unit length; a row without direction stays zero."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0.0, largest, 1.0)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0.0, lengths, 1.0), np.float64)


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
    pairs = [(a, b) for a, b in meeting(first, second) if first[a].shape[1:] == second[b].shape[1:]]
    if not pairs:
        return None
    # one matrix product per unit: (units, layers, features) @ (units, features, layers)
    found = [first[a].transpose(1, 0, 2) @ second[b].transpose(1, 2, 0) for a, b in pairs]
    return np.asarray(np.mean(found, axis=0).transpose(1, 2, 0), np.float64)


def copies(blocks: Blocks, roles: tuple[str, ...]) -> dict[int, int]:
    """Layers that are near copies of an earlier layer of the same model, and of which (repeated layers)."""
    own = place(blocks, blocks, roles)
    found: dict[int, int] = {}
    for i, layer in enumerate(own.mine):
        earlier = [j for j in range(i) if own.mine[j] not in found and own.similarity[i, j] > COPIED]
        if earlier:
            found[layer] = own.mine[max(earlier, key=lambda j: float(own.similarity[i, j]))]
    return found
