"""Matrices packed along or across their inputs, (in, out), as GPTQ and AWQ keep them: a unit is one matrix.

The matrix is held packed and decoded in strips of output rows, so that no more than a strip is float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.quantised.numbers import WIDTHS, floats
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Part
from forensics.checkpoint.quantised.rows import column_groups
from forensics.checkpoint.quantised.scaling import apply

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIP_NUMBERS = 1 << 19
"""Numbers decoded and handed out at a time: 2 MiB as float32, which stay in the cache."""
INPUTS_LIMIT = 1 << 18
"""More inputs than any matrix has: a strip of 32 rows of them would take 32 MiB."""
BESIDE_LIMIT = 1 << 26
"""Bytes of scales of one matrix; eight times as many as the finest groups in use need."""
INTERLEAVED = (0, 4, 1, 5, 2, 6, 3, 7)
"""At which of a word's eight places AWQ keeps output row 0, 1, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedColumns:
    """Codec of 32-bit words, shape (inputs * bits / 32, out), or with `interleaved` (inputs, out / 8)."""

    columns: int
    """Inputs."""
    unit_rows: int
    """Output rows."""
    bits: int
    scales: Part
    """(groups, out)"""
    zeros: Part
    """(groups, out * bits / 32) words."""
    zero_offset: int
    """Added to stored zeros: 1 in GPTQ's first format."""
    width: int
    """Inputs to a group where `order` is not given."""
    order: Part | None = None
    """Group of each input."""
    interleaved: bool = False

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return self.columns * self.unit_rows * self.bits // 8

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        groups = self.scales.shape[0]
        order = None if self.order is None else column_groups(self.order, groups)
        if order is not None and np.array_equal(order, np.arange(self.columns) // self.width):
            order = None
        scales = np.frombuffer(self.scales.read(), dtype=f"<u{WIDTHS[self.scales.dtype]}").reshape(groups, -1)
        zeros = np.frombuffer(self.zeros.read(), dtype="<u4").reshape(groups, -1)
        across = self.unit_rows * self.bits // 32
        words = np.frombuffer(raw, dtype="<u4").reshape(-1, self.columns * self.unit_rows * self.bits // 32)
        strip = max(32, STRIP_NUMBERS // self.columns // 32 * 32)
        for matrix in words:
            unit = matrix.reshape((self.columns, across) if self.interleaved else (-1, self.unit_rows))
            for start in range(0, self.unit_rows, strip):
                stop = min(self.unit_rows, start + strip)
                own = slice(start * self.bits // 32, -(-stop * self.bits // 32))
                block = self._codes(unit[:, own] if self.interleaved else unit[:, start:stop])
                factors = floats(np.ascontiguousarray(scales[:, start:stop].T).tobytes(), self.scales.dtype)
                points = self._zeros(zeros[:, own])[: stop - start]
                self._finish(block, factors.reshape(-1, groups), points, order)
                yield row + start, block
            row += self.unit_rows

    def _codes(self, words: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Codes of a strip as float32, shape (output rows, inputs)."""
        turned = np.ascontiguousarray(words.T)
        if not self.interleaved:
            return Packing.counting(self.bits).unpack(turned.view(np.uint8))
        return _spread(turned).reshape(-1, self.columns)

    def _zeros(self, words: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Zero points of a strip, shape (output rows, groups)."""
        if self.interleaved:
            return _spread(np.ascontiguousarray(words.T)).reshape(-1, len(words))
        packing = Packing.counting(self.bits, self.zero_offset)
        return np.ascontiguousarray(packing.unpack(np.ascontiguousarray(words).view(np.uint8)).T)

    def _finish(
        self,
        block: NDArray[np.float32],
        scales: NDArray[np.float32],
        zeros: NDArray[np.float32],
        order: NDArray[np.intp] | None,
    ) -> None:
        """Applies zeros and scales in place; inputs whose group does not exist become NaN."""
        if order is not None:
            beyond = ((0, 0), (0, 1))
            scales = np.pad(scales, beyond, constant_values=np.nan)
            zeros = np.pad(zeros, beyond, constant_values=np.nan)
        apply(block, scales, zeros, self.width, order)


def _spread(words: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Eight interleaved 4-bit numbers of each word as rows: (n, m) words to (n, 8, m)."""
    signed = words.view(np.int32)  # which converts to float faster
    numbers = np.empty((len(words), 8, words.shape[1]), dtype=np.float32)
    code = np.empty_like(signed)
    for row, place in enumerate(INTERLEAVED):
        np.right_shift(signed, 4 * place, out=code)
        np.bitwise_and(code, 15, out=code)
        numbers[:, row] = code
    return numbers
