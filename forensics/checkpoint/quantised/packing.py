"""Numbers of 1 to 8 bits out of rows of bytes, through tables: a byte at a time where whole numbers fit in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Packing:
    """A stream of numbers, first number in the lowest bits, each standing for one of `values`."""

    bits: int
    values: tuple[float, ...]
    """By code, 2 ** bits of them."""
    high_first: bool = False
    """Two to a byte with the first in the high half, as bitsandbytes packs."""

    @classmethod
    def counting(cls, bits: int, offset: int = 0) -> Packing:
        """Codes that mean themselves plus `offset`; one object for all tensors of a kind."""
        del cls
        return _counting(bits, offset)

    def unpack(self, stored: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rows of bytes, shape (n, bytes), as float32 of shape (n, whole numbers in these bytes)."""
        rows, size = stored.shape
        numbers = np.empty((rows, size * 8 // self.bits), dtype=np.float32)
        if self.bits in (2, 4, 8):
            table = _bytewise(self.bits, self.values, self.high_first)
            np.take(table, stored, out=numbers.view(table.dtype), mode="clip")
            return numbers
        values = np.array(self.values, dtype=np.float32)
        size += -size % self.bits  # eight numbers take `bits` bytes
        padded = np.zeros((rows, size), dtype=np.uint16)
        padded[:, : stored.shape[1]] = stored
        parts = padded.reshape(rows, -1, self.bits)
        for place in range(8):
            first, shift = divmod(place * self.bits, 8)
            code = parts[:, :, first] >> shift
            if shift + self.bits > 8:
                code |= parts[:, :, first + 1] << (8 - shift)
            code &= (1 << self.bits) - 1
            own = numbers[:, place::8]
            own[:] = values.take(code[:, : own.shape[1]])
        return numbers


@lru_cache(maxsize=64)
def _counting(bits: int, offset: int) -> Packing:
    return Packing(bits, tuple(float(code + offset) for code in range(1 << bits)))


@lru_cache(maxsize=64)
def _bytewise(bits: int, values: tuple[float, ...], high_first: bool) -> NDArray[np.generic]:
    """For each byte the float32 numbers in it, as one item of 4, 8 or 16 bytes."""
    each, mask = 8 // bits, (1 << bits) - 1
    shifts = [place * bits for place in range(each)]
    if high_first:
        shifts.reverse()
    table = np.array([[values[byte >> shift & mask] for shift in shifts] for byte in range(256)], np.float32)
    return table.view({1: "f4", 2: "c8", 4: "c16"}[each]).ravel()
