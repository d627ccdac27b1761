"""GGUF's blocks of quantised numbers as float32 rows, decoded in strips by the `gguf` package's own formulas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.codec import Plain
from forensics.checkpoint.convert import SHORT_NAMES
from forensics.checkpoint.gguf_types import BLOCKS, PLAIN
from forensics.checkpoint.stored import Entry, Stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_NUMBERS = 1 << 21
"""Numbers handed out at a time: 8 MiB as float32."""
STRIP_NUMBERS = 1 << 18
"""Numbers dequantised at a time, so that the library's intermediate arrays stay in the cache: twice as fast."""
SHARED_ROUTER = "ffn_gate_inp_shexp.weight"


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of quantised blocks; a unit is one row, or of a vector one block."""

    dtype: str
    """As ggml spells it."""
    columns: int
    unit_rows: int = 1

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        _, block, size = BLOCKS[self.dtype]
        return self.unit_rows * self.columns // block * size

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec. Scales that are not finite give numbers that are not."""
        _, block, size = BLOCKS[self.dtype]
        stored = np.frombuffer(raw, dtype=np.uint8).reshape(-1, size)
        unit = self.unit_rows * self.columns // block
        step = max(1, BLOCK_NUMBERS // (unit * block)) * unit
        for start in range(0, len(stored), step):
            rows = _numbers(self.dtype, stored[start : start + step]).reshape(-1, self.columns)
            yield row, rows
            row += len(rows)


def _numbers(dtype: str, stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blocks, shape (n, bytes of a block), as float32 of shape (n, numbers of a block)."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    number, block, _ = BLOCKS[dtype]
    kind = GGMLQuantizationType(number)
    numbers = np.empty((len(stored), block), dtype=np.float32)
    step = STRIP_NUMBERS // block
    with np.errstate(all="ignore"):
        for start in range(0, len(stored), step):
            strip = stored[start : start + step]
            numbers[start : start + step] = dequantize(strip.reshape(1, -1), kind).reshape(-1, block)
    return numbers


def gguf_stored(file: int, entry: Entry) -> Stored:
    """A tensor of a GGUF file; `entry` is one that its reader did not refuse."""
    columns = entry.shape[-1] if len(entry.shape) > 1 else 1
    stored = Stored(
        name=entry.name,
        shape=entry.shape,
        precision=SHORT_NAMES.get(entry.dtype, entry.dtype.lower()),
        file=file,
        entry=entry,
        codec=_codec(entry, columns),
    )
    if len(entry.shape) == 1 and entry.name.endswith(SHARED_ROUTER):  # llama.cpp keeps (1, width) as a vector
        row = replace(entry, shape=(1, *entry.shape))
        return replace(stored, shape=row.shape, codec=_codec(row, entry.shape[0]))
    return stored


def _codec(entry: Entry, columns: int) -> Plain | Blocks:
    if entry.dtype in PLAIN:
        return Plain(entry.dtype, columns)
    return Blocks(entry.dtype, columns, 1 if len(entry.shape) > 1 else BLOCKS[entry.dtype][1])
