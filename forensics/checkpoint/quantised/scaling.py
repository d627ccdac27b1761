"""Scales and zero points: numbers that each apply to a block of a matrix, read for the rows at hand only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from forensics.checkpoint.quantised.numbers import WIDTHS, floats
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Part, Refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

USUAL = (128, 64, 32, 256, 16, 512, 1024)
"""Block sizes that are tried where neither config nor division settles them."""


class PerRow(Protocol):
    """Hands out what applies to rows of an unrolled stack of matrices."""

    def rows(self, first: int, count: int) -> NDArray[np.float32]:
        """Shape (count, groups of columns)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One number for each block of `height` rows; a stack of matrices has a grid for each, or one for all."""

    part: Part
    matrix_rows: int
    """Rows of one matrix of the stack."""
    height: int
    groups: int
    """Numbers for a row."""
    shared: bool = False
    """The same grid for each matrix of the stack."""
    inverse: bool = False
    """Stored as what to divide by."""

    def rows(self, first: int, count: int) -> NDArray[np.float32]:
        """See PerRow; reads no more than these rows' numbers, or a grid's where it is shared."""
        places = np.arange(first, first + count)
        own = places % self.matrix_rows // self.height
        if not self.shared:
            own += places // self.matrix_rows * -(-self.matrix_rows // self.height)
        low, high = int(own.min()), int(own.max())
        size = self.groups * WIDTHS[self.part.dtype]
        numbers = floats(self.part.read(low * size, (high + 1 - low) * size), self.part.dtype)
        numbers = numbers.reshape(-1, self.groups).take(own - low, axis=0)
        with np.errstate(all="ignore"):
            return np.float32(1) / numbers if self.inverse else numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedZeros:
    """Zero points packed into 32-bit words down the rows, shape (words, groups), as compressed-tensors does."""

    part: Part
    packing: Packing
    groups: int

    def rows(self, first: int, count: int) -> NDArray[np.float32]:
        """See PerRow."""
        bits, size = self.packing.bits, 4 * self.groups
        low = first // 32 * bits  # 32 numbers take `bits` words
        high = min(self.part.shape[0], -(-(first + count) // 32) * bits)
        words = np.frombuffer(self.part.read(low * size, (high - low) * size), dtype="<u4")
        across = np.ascontiguousarray(words.reshape(-1, self.groups).T).view(np.uint8)
        return self.packing.unpack(across)[:, first % 32 : first % 32 + count].T


def block_width(extent: int, blocks: int, said: int, *, usual_first: bool) -> int:
    """Numbers to a block where `blocks` of them cover `extent`, the last one perhaps in part; Refusal if none does.

    `said` is the config's; where it does not fit, an even division or a usual size is taken.
    """
    if not 0 < blocks <= extent:
        raise Refusal(f"{blocks} groups of scales for {extent} numbers")
    if said and -(-extent // said) == blocks:
        return said
    if blocks in (1, extent):
        return extent // blocks
    usual = next((size for size in USUAL if -(-extent // size) == blocks), 0)
    even = 0 if extent % blocks else extent // blocks
    width = (usual or even) if usual_first else (even or usual)
    if not width:
        raise Refusal(f"{blocks} groups of scales do not cover {extent} numbers evenly")
    return width


def apply(
    block: NDArray[np.float32],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32] | None,
    width: int,
    order: NDArray[np.intp] | None = None,
) -> None:
    """Subtracts `zeros` and multiplies with `scales`, each (n, groups), in place.

    The group of column i is i // width, or order[i]. Numbers that are not finite are left for whoever reads the rows.
    """
    with np.errstate(all="ignore"):
        for what, change in ((zeros, np.subtract), (scales, np.multiply)):
            if what is None:
                continue
            if order is not None:
                change(block, what.take(order, axis=1), out=block)
            elif what.shape[1] == 1:
                change(block, what, out=block)
            else:
                whole = block.shape[1] // width
                front = block[:, : whole * width].reshape(len(block), whole, width)  # a view: one axis split
                change(front, what[:, :whole, None], out=front)
                if what.shape[1] > whole:
                    rest = block[:, whole * width :]
                    change(rest, what[:, whole : whole + 1], out=rest)
