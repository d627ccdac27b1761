"""Packed rows of quantised numbers with scales beside them: decoded row by row, nothing but these rows read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Part
from forensics.checkpoint.quantised.scaling import PerRow, apply

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_NUMBERS = 1 << 21
"""Numbers handed out at a time: 8 MiB as float32."""
STRIP_NUMBERS = 1 << 17
"""Numbers decoded at a time, so that they stay in the cache."""
COLUMNS_LIMIT = 1 << 22
"""More columns than any matrix has: one row of them would take 16 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRows:
    """Codec of rows that are whole numbers of bytes, each group of columns with a scale."""

    columns: int
    row_bytes: int
    packing: Packing
    scales: tuple[PerRow, ...] = ()
    """Multiplied with each other."""
    zeros: PerRow | None = None
    width: int = 1
    """Columns to a group."""
    order: Part | None = None
    """Group of each column, as int32, where they are not in order."""

    @property
    def unit_rows(self) -> int:
        """See Codec."""
        return 1

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return self.row_bytes

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        stored = np.frombuffer(raw, dtype=np.uint8).reshape(-1, self.row_bytes)
        step = max(1, BLOCK_NUMBERS // self.columns)
        strip = max(1, STRIP_NUMBERS // self.columns)
        order: NDArray[np.intp] | None = None
        for start in range(0, len(stored), step):
            count = min(step, len(stored) - start)
            scales, zeros = self._beside(row + start, count)
            if self.order is not None and scales is not None and order is None:
                order = column_groups(self.order, scales.shape[1])
            if order is not None:
                scales, zeros = _guarded(scales), _guarded(zeros)
            block = np.empty((count, self.columns), dtype=np.float32)
            for at in range(0, count, strip):
                part = slice(at, min(count, at + strip))
                numbers = self.packing.unpack(stored[start + part.start : start + part.stop])
                block[part] = numbers[:, : self.columns]
                if scales is not None:
                    own = None if zeros is None else zeros[part]
                    apply(block[part], scales[part], own, self.width, order)
            yield row + start, block

    def _beside(
        self, first: int, count: int
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Scales and zeros of these rows, each (count, groups); None where there are none."""
        scales = None
        with np.errstate(all="ignore"):
            for grid in self.scales:
                own = grid.rows(first, count)
                scales = own if scales is None else scales * own
        return scales, None if self.zeros is None else self.zeros.rows(first, count)


def column_groups(part: Part, groups: int) -> NDArray[np.intp] | None:
    """Group of each column; those out of range are given the group behind the last. None for "not in use" (-1)."""
    order = np.frombuffer(part.read(), dtype=f"<i{part.size // max(1, part.shape[0])}").astype(np.intp)
    if (order == -1).all():
        return None
    return np.where((order < 0) | (order >= groups), groups, order)


def _guarded(numbers: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """With one more group of NaN, for columns whose group does not exist."""
    if numbers is None:
        return None
    return np.pad(numbers, ((0, 0), (0, 1)), constant_values=np.nan)
