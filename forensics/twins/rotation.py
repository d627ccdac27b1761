"""A random orthogonal map of the residual stream that a wide model can afford."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.gauge_draws import random_orthogonal
from forensics.alignment.gauges import Floats

BLOCK = 128
"""Up to this width the map is Haar-random; beyond it two rounds of such blocks with a permutation between them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rotation:
    """R = B₂ P B₁ with B block-diagonal, blocks Haar-random, and P a permutation; B₁ alone up to `BLOCK` channels.

    It mixes every channel with about `BLOCK`² others at a cost of 4 · `BLOCK` operations an element, where a dense map
    takes twice the width. With `fix_mean` each block leaves the constant vector alone, and so does R.
    """

    rounds: tuple[tuple[Floats, ...], ...]
    order: NDArray[np.intp]

    @classmethod
    def drawn(cls, width: int, rng: np.random.Generator, *, fix_mean: bool) -> Rotation:
        """A random map of this many channels."""
        count = -(-width // BLOCK)
        sizes = [len(part) for part in np.array_split(np.arange(width), count)]
        rounds = tuple(
            tuple(random_orthogonal(size, rng, fix_mean=fix_mean).astype(np.float32) for size in sizes)
            for _ in range(1 if count == 1 else 2)
        )
        return cls(rounds=rounds, order=rng.permutation(width))

    def turn(self, tensor: Floats, axis: int) -> Floats:
        """`tensor` with R applied along an axis: R x for every column (axis 0) or every row (axis 1) x."""
        columns = tensor if axis == 0 else tensor.T
        for number, blocks in enumerate(self.rounds):
            columns = _blockwise(blocks, columns if number == 0 else columns[self.order])
        return columns if axis == 0 else np.ascontiguousarray(columns.T)


def _blockwise(blocks: Sequence[Floats], columns: Floats) -> Floats:
    """A block-diagonal matrix times `columns`."""
    turned, at = np.empty(columns.shape, np.float32), 0
    for block in blocks:
        turned[at : at + len(block)] = block @ columns[at : at + len(block)]
        at += len(block)
    return turned
