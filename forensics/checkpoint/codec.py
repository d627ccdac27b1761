"""Stored bytes to float32 rows, a few rows at a time.

A codec sees a tensor as rows of `columns` numbers, grouped into units that are stored together: one row of a plain
matrix, a whole matrix that is stored transposed, one expert of a stack. The reading pass reads whole units, as many
as fit a block, and never asks for less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from forensics.checkpoint.convert import ITEM_BYTES, to_float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIP = 1 << 20
"""Numbers decoded at a time: 4 MB of float32, which whoever looks at them still finds in the processor's cache."""
TILE = 128
"""Stored rows of a strip that are turned at a time, for the same reason."""


class Codec(Protocol):
    """Decodes units of one tensor. Codecs fetch small companions (scales, zeros) themselves and keep nothing large."""

    @property
    def columns(self) -> int:
        """Numbers in a decoded row."""
        ...

    @property
    def unit_rows(self) -> int:
        """Decoded rows of a unit."""
        ...

    @property
    def unit_bytes(self) -> int:
        """Stored bytes of a unit."""
        ...

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first row, block) of the whole units in `raw`, the first of which starts at `row`; in ascending order."""
        ...


class Patch(Protocol):
    """A change to decoded rows, e.g. a low-rank update."""

    @property
    def extent(self) -> tuple[int, int]:
        """(rows, columns) of the matrix it fits."""
        ...

    def apply(self, row: int, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The changed block of shape (n, columns) whose first row is `row`."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """F64, F32, F16 or BF16, row by row."""

    dtype: str
    columns: int
    unit_rows: int = 1

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return self.unit_rows * self.columns * ITEM_BYTES[self.dtype]

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        strip = max(1, STRIP // self.columns)
        step, stored = strip * self.columns * ITEM_BYTES[self.dtype], memoryview(raw)
        for start in range(0, len(stored), step):
            yield row, to_float32(stored[start : start + step], self.dtype).reshape(-1, self.columns)
            row += strip


@dataclass(frozen=True, slots=True)
class Turned:
    """Plain numbers stored (in, out): a unit is one matrix, handed out in strips of its columns."""

    dtype: str
    columns: int
    """Of the canonical matrix: rows as stored."""
    unit_rows: int
    """Rows of the canonical matrix: columns as stored."""

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return self.unit_rows * self.columns * ITEM_BYTES[self.dtype]

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        item = ITEM_BYTES[self.dtype]
        words = np.frombuffer(raw, dtype=f"<u{item}").reshape(-1, self.columns, self.unit_rows)
        strip = max(1, STRIP // self.columns)
        for unit in words:
            for start in range(0, self.unit_rows, strip):
                standing = unit[:, start : start + strip]
                turned = np.empty(standing.shape[::-1], words.dtype)
                for at in range(0, self.columns, TILE):
                    turned[:, at : at + TILE] = standing[at : at + TILE].T
                yield row + start, to_float32(turned.data, self.dtype).reshape(-1, self.columns)
            row += self.unit_rows


@dataclass(frozen=True, slots=True)
class Unpaired:
    """Rows of rotary pairs beside each other (Meta, GGUF) put back into two halves (Hugging Face), head by head.

    Stored row 2i + j of a head is its canonical row j·head_dim/2 + i.
    """

    inner: Codec
    head_dim: int

    @property
    def columns(self) -> int:
        """See Codec."""
        return self.inner.columns

    @property
    def unit_rows(self) -> int:
        """Whole heads, and whole units of the inner codec."""
        return int(np.lcm(self.inner.unit_rows, self.head_dim))

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return self.inner.unit_bytes * (self.unit_rows // self.inner.unit_rows)

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        blocks = [block for _, block in self.inner.decode(raw, row)]
        whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        heads = whole.reshape(-1, self.head_dim // 2, 2, self.columns)
        yield row, np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(-1, self.columns)


@dataclass(frozen=True, slots=True)
class Patched:
    """Canonical rows of another codec with a patch applied."""

    inner: Codec
    patch: Patch

    @property
    def columns(self) -> int:
        """See Codec."""
        return self.inner.columns

    @property
    def unit_rows(self) -> int:
        """See Codec."""
        return self.inner.unit_rows

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return self.inner.unit_bytes

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        for first, block in self.inner.decode(raw, row):
            yield first, self.patch.apply(first, block)
