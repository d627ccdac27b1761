"""bitsandbytes: 4-bit codes of a 16-value map in blocks over the flattened matrix, and 8-bit rows (LLM.int8).

4 bits: two codes to a byte, the first in the high half; value = quant_map[code] * absmax[block]. Doubly quantised,
absmax = nested_quant_map[code] * nested_absmax[block of blocks] + nested_offset (QLoRA, Dettmers et al., 2023,
section 3). Shape and block sizes stand in a JSON text of their own. 8 bits: value = code * SCB[row] / 127.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.quantised.numbers import eight_bits, floats, typed
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.quantised.rows import BLOCK_NUMBERS, COLUMNS_LIMIT, STRIP_NUMBERS, PackedRows
from forensics.checkpoint.quantised.scaling import Grid
from forensics.checkpoint.stored import Stored
from forensics.errors import CheckpointError

STATE = ".quant_state.bitsandbytes__"
KINDS = ("nf4", "fp4")
FOUR_BITS = (
    ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", *(STATE + kind for kind in KINDS),
)  # fmt: skip
BLOCK_LIMIT = 1 << 16


def gather_four(part: Part, inventory: Inventory) -> Group | None:
    """The group of a tensor beside which an `absmax` or a quantisation state lies."""
    if part.name + ".absmax" not in inventory.named and not any(
        part.name + STATE + kind in inventory.named for kind in KINDS
    ):
        return None
    return inventory.group(part, "", "", FOUR_BITS, packed=2)


def build_four(group: Group, inventory: Inventory) -> Stored:
    """The tensor, (out, in); Refusal where its parts do not fit each other or its state is absurd."""
    typed(group.main, "U8")
    kind = next((k for k in KINDS if STATE + k in group.parts), "")
    if not kind:
        raise Refusal("quantised, without its quant_state")
    state = _state(inventory.small(group.parts[STATE + kind]))
    if state.get("quant_type") != kind:
        raise Refusal(f"its quant_state is called {kind} and says otherwise")
    rows, columns = _shape(state)
    total = rows * columns
    if group.main.size != -(-total // 2):
        raise Refusal(f"a shape of {(rows, columns)} in {group.main.size} bytes of 4-bit codes")
    block = _count(state, "blocksize")
    quant_map = floats(inventory.small(typed(_sized(group, ".quant_map", 16), "F32")), "F32")
    codec = FlatBlocks(
        columns=columns,
        unit_rows=1 if columns % 2 == 0 else 2 if rows % 2 == 0 else rows,
        packing=Packing(4, tuple(quant_map.tolist()), high_first=True),
        block=block,
        largest=_largest(group, state, -(-total // block)),
    )
    return group.stored(shape=(rows, columns), precision=f"bnb-{kind}", codec=codec, oriented=True)


def _largest(group: Group, state: Mapping[str, Any], blocks: int) -> Largest:
    absmax = typed(_sized(group, ".absmax", blocks), "F32", "U8")
    if absmax.dtype == "F32":
        return Largest(absmax=absmax)
    nested, offset = _count(state, "nested_blocksize"), state.get("nested_offset", 0.0)
    if isinstance(offset, bool) or not isinstance(offset, int | float) or not -3e38 <= offset <= 3e38:
        raise Refusal("its nested_offset is no number")
    return Largest(
        absmax=absmax,
        nested=typed(_sized(group, ".nested_absmax", -(-blocks // nested)), "F32"),
        nested_map=typed(_sized(group, ".nested_quant_map", 256), "F32"),
        nested_block=nested,
        offset=float(offset),
    )


def _sized(group: Group, key: str, count: int) -> Part:
    """A companion that must hold `count` numbers."""
    part = group.need(key)
    if part.entry.elements != count:
        raise Refusal(f"its {key.strip('.')} holds {part.entry.elements} numbers where {count} are needed")
    return part


def _state(raw: bytes) -> Mapping[str, Any]:
    try:
        state = parse_json(raw, "quant_state")
    except CheckpointError as error:
        raise Refusal(error.message) from None
    if not isinstance(state, dict):
        raise Refusal("its quant_state is no object")
    return state


def _count(state: Mapping[str, Any], key: str, limit: int = BLOCK_LIMIT) -> int:
    value = state.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= limit:
        raise Refusal(f"its {key} is no sane number")
    return value


def _shape(state: Mapping[str, Any]) -> tuple[int, int]:
    shape = state.get("shape")
    if not isinstance(shape, list) or len(shape) != 2:
        raise Refusal("its quant_state gives no shape of a matrix")
    sizes = {str(place): extent for place, extent in enumerate(shape)}
    return _count(sizes, "0", 1 << 40), _count(sizes, "1", COLUMNS_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Largest:
    """The largest magnitude of each block, plain or quantised in its turn."""

    absmax: Part
    nested: Part | None = None
    nested_map: Part | None = None
    nested_block: int = 1
    offset: float = 0.0

    def of(self, first: int, count: int) -> NDArray[np.float32]:
        """Those of `count` blocks, from block `first` on."""
        if self.nested is None or self.nested_map is None:
            return floats(self.absmax.read(4 * first, 4 * count), "F32")
        codes = np.frombuffer(self.absmax.read(first, count), dtype=np.uint8)
        low, high = first // self.nested_block, (first + count - 1) // self.nested_block
        outer = floats(self.nested.read(4 * low, 4 * (high + 1 - low)), "F32")
        own = np.arange(first, first + count) // self.nested_block - low
        with np.errstate(all="ignore"):
            inner = floats(self.nested_map.read(), "F32").take(codes)
            return inner * outer.take(own) + np.float32(self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatBlocks:
    """Codec of 4-bit codes in blocks that run on over the ends of rows."""

    columns: int
    unit_rows: int
    packing: Packing
    block: int
    largest: Largest

    @property
    def unit_bytes(self) -> int:
        """See Codec."""
        return -(-self.unit_rows * self.columns // 2)

    def decode(self, raw: bytes, row: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """See Codec."""
        stored = np.frombuffer(raw, dtype=np.uint8)
        rows = len(raw) // self.unit_bytes * self.unit_rows
        step = max(1, BLOCK_NUMBERS // (self.unit_rows * self.columns)) * self.unit_rows
        for start in range(0, rows, step):
            count = min(step, rows - start)
            begin, total = start * self.columns // 2, count * self.columns
            numbers = np.empty(total, dtype=np.float32)
            for at in range(0, total, STRIP_NUMBERS):
                strip = numbers[at : at + STRIP_NUMBERS]
                codes = stored[begin + at // 2 : begin + -(-(at + len(strip)) // 2)]
                strip[:] = self.packing.unpack(codes[None])[0, : len(strip)]
                self._scale(strip, (row + start) * self.columns + at)
            yield row + start, numbers.reshape(count, self.columns)

    def _scale(self, numbers: NDArray[np.float32], at: int) -> None:
        """Multiplies in place; `at` is the place of the first number in the flattened matrix."""
        first, last = at // self.block, (at + len(numbers) - 1) // self.block
        factors = self.largest.of(first, last + 1 - first)
        head = min(len(numbers), -at % self.block)
        whole = (len(numbers) - head) // self.block
        skipped = 1 if head else 0
        with np.errstate(all="ignore"):
            if head:
                numbers[:head] *= factors[0]
            body = numbers[head : head + whole * self.block].reshape(whole, self.block)
            body *= factors[skipped : skipped + whole, None]
            if len(numbers) > head + whole * self.block:
                numbers[head + whole * self.block :] *= factors[-1]


@cache
def _shares() -> tuple[float, ...]:
    """What a code stands for, of the largest magnitude of its row."""
    return tuple(value / 127 for value in eight_bits("I8"))


def gather_eight(part: Part, inventory: Inventory) -> Group | None:
    """The group of a weight beside which `SCB` lies."""
    found = part.name.endswith(".weight") and f"{part.name.removesuffix('.weight')}.SCB" in inventory.named
    return inventory.group(part, ".weight", ".weight", (".SCB",)) if found else None


def build_eight(group: Group, inventory: Inventory) -> Stored:
    """The tensor, (out, in); Refusal where its parts do not fit each other."""
    typed(group.main, "I8")
    if len(group.main.shape) != 2 or not all(group.main.shape) or group.main.shape[1] > COLUMNS_LIMIT:
        raise Refusal(f"an 8-bit matrix of shape {group.main.shape}")
    rows, columns = group.main.shape
    largest = typed(_sized(group, ".SCB", rows), "F32")
    order = group.parts.get(".weight_format")
    if order is not None and any(inventory.small(order)):
        raise Refusal("stored in an order made for one kind of processor")
    codec = PackedRows(
        columns=columns,
        row_bytes=columns,
        packing=Packing(8, _shares()),
        scales=(Grid(part=largest, matrix_rows=rows, height=1, groups=1),),
    )
    return group.stored(shape=(rows, columns), precision="bnb-int8", codec=codec, oriented=True)
