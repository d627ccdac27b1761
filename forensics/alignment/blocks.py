"""Blocks: the same small corner of every big matrix, kept exactly, for tests of identity in place.

Sampled by index on purpose (first rows, first columns): what is asked is whether coordinates are the same, which a
permutation destroys anyway. Attention blocks hold whole heads, so that rotary pairs and what reads a value dimension
stay together; MLP blocks hold the same neurons in every leg. Columns are contiguous, as quantisation groups are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forensics.subjects import Architecture

SIDE = 128
"""Rows and columns of a block, unless a head is larger."""
HEAD_MOST = 256
"""Dimensions of a head that are kept."""
DENSE = -1
"""Stands for "the MLP itself" where an expert's number would be."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")

Floats32 = NDArray[np.float32]
Place = tuple[str, int, int]
"""Role, layer, expert (or `DENSE`)."""
Blocks = Mapping[Place, Floats32]
Picks = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns of a matrix that its block is made of."""


class Matrix(Protocol):
    """What is asked of a tensor's description (see `forensics.TensorSpec`)."""

    @property
    def role(self) -> str: ...  # noqa: D102
    @property
    def layer(self) -> int | None: ...  # noqa: D102
    @property
    def expert(self) -> int | None: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def columns(self) -> int: ...  # noqa: D102


def head_dims(shape: Architecture, heads: int) -> NDArray[np.intp]:
    """Indices, among `heads` heads' dimensions, of the first head of each sampled KV group; empty if none are known."""
    if min(shape.kv_heads, shape.head_dim, heads) < 1 or heads % shape.kv_heads:
        return np.zeros(0, np.intp)
    dims = min(shape.head_dim, HEAD_MOST)
    groups = min(shape.kv_heads, max(1, SIDE // shape.head_dim))
    first = np.arange(groups) * (heads // shape.kv_heads) * shape.head_dim
    return (first[:, None] + np.arange(dims)).ravel()


def picks(spec: Matrix, shape: Architecture) -> Picks:
    """Which rows and columns of this matrix are kept."""
    rows, columns = np.arange(min(spec.rows, SIDE)), np.arange(min(spec.columns, SIDE))
    if spec.role in ATTENTION:
        heads = shape.heads if spec.role in {"q_proj", "o_proj"} else shape.kv_heads
        of_heads, total = head_dims(shape, heads), heads * shape.head_dim
        if of_heads.size and spec.role == "o_proj" and spec.columns == total:
            columns = of_heads
        elif of_heads.size and spec.role != "o_proj" and spec.rows == total:
            rows = of_heads
    return rows, columns


@dataclass(slots=True, kw_only=True)
class BlockSampler:
    """Cuts blocks out of the matrices of `layers` as they go by; of experts the first few."""

    shape: Architecture
    roles: Collection[str]
    layers: Collection[int]
    experts: int
    open: dict[Place, tuple[Picks, Floats32]] = field(default_factory=dict)
    left: dict[Place, int] = field(default_factory=dict)
    """Rows of a block that have not been seen."""

    def wants(self, spec: Matrix) -> bool:
        """Matrices of those roles and layers."""
        wanted = spec.role in self.roles and spec.layer in self.layers and min(spec.rows, spec.columns) > 1
        return wanted and (spec.expert is None or spec.expert < self.experts)

    def see(self, spec: Matrix, rows: Floats32, start: int) -> None:
        """Copies what the block needs of these rows."""
        place = (spec.role, spec.layer or 0, DENSE if spec.expert is None else spec.expert)
        if place not in self.open:
            chosen = picks(spec, self.shape)
            self.open[place] = chosen, np.zeros((chosen[0].size, chosen[1].size), np.float32)
            self.left[place] = chosen[0].size
        if not self.left[place]:
            return
        (wanted, columns), block = self.open[place]
        low, high = np.searchsorted(wanted, (start, start + len(rows)))
        if low < high:
            block[low:high] = rows[wanted[low:high] - start][:, columns]
            self.left[place] -= int(high - low)

    def whole(self) -> dict[Place, Floats32]:
        """Finite blocks that were seen whole and hold anything but zeros, in order of place."""
        return {
            place: block
            for place, (_, block) in sorted(self.open.items())
            if not self.left[place] and np.isfinite(block).all() and block.any()
        }


def meeting(first: Iterable[int], second: Iterable[int]) -> list[tuple[int, int]]:
    """Experts of two layers that are compared: those of one number, or all with the MLP where one side has only it."""
    mine, theirs = set(first), set(second)
    if not mine & theirs and DENSE in mine | theirs:
        return [(a, b) for a in sorted(mine) for b in sorted(theirs)]
    return [(both, both) for both in sorted(mine & theirs)]


def packed(blocks: Blocks) -> dict[str, NDArray[np.generic]]:
    """Blocks as arrays of a sketch, exactly: bfloat16 as its 16 bits (uint16), float16, else float32."""
    return {".".join(map(str, place)): _narrowest(block) for place, block in blocks.items()}


def unpacked(arrays: Mapping[str, NDArray[np.generic]]) -> dict[Place, Floats32] | None:
    """`packed` undone; None where the arrays are no such blocks."""
    blocks: dict[Place, Floats32] = {}
    for name, array in arrays.items():
        parts = name.split(".")
        known = len(parts) == 3 and parts[0] in {*ATTENTION, *MLP}
        if not known or not all(part.removeprefix("-").isdecimal() and len(part) < 7 for part in parts[1:]):
            return None
        if array.ndim != 2 or not 0 < max(array.shape) <= HEAD_MOST or not array.size:
            return None
        if array.dtype not in {np.dtype(np.uint16), np.dtype(np.float16), np.dtype(np.float32)}:
            return None
        block = from_bf16(array) if array.dtype == np.uint16 else np.asarray(array, np.float32)
        if not np.isfinite(block).all():
            return None
        blocks[parts[0], int(parts[1]), int(parts[2])] = block
    return blocks or None


def from_bf16(bits: NDArray[np.generic]) -> Floats32:
    """The float32 numbers whose upper halves are `bits`."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _narrowest(block: Floats32) -> NDArray[np.generic]:
    """The same numbers in the least bytes that hold them exactly."""
    bits = np.ascontiguousarray(block, np.float32).view(np.uint32)
    if not (bits & np.uint32(0xFFFF)).any():
        return (bits >> np.uint32(16)).astype(np.uint16)
    with np.errstate(over="ignore"):
        half = block.astype(np.float16)
    return half if (half.astype(np.float32) == block).all() else np.asarray(block, np.float32)
