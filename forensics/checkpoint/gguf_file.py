"""A bounded reader of GGUF headers, versions 2 and 3: which tensors lie where, and what the file says of itself.

The published Python reader builds an object per array element and trusts counts and offsets (a file of 57 bytes makes
it take all memory, an offset of 2^64 - 1 wraps round to the header); here nothing is allocated for a number before that
number was held against the file's size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any

from forensics.checkpoint.gguf_header import Header
from forensics.checkpoint.gguf_types import Stock, stock
from forensics.checkpoint.source import ByteSource
from forensics.checkpoint.stored import Entry, WeightFile
from forensics.errors import CheckpointError

VERSIONS = (2, 3)
KEYS_LIMIT = 65_536
KEY_LIMIT = 65_535
"""Bytes of a key, by the specification."""
TENSOR_LIMIT = 65_536
NAME_LIMIT = 4_096
DIMENSIONS = 4
ABSURD = 2**62
ALIGNMENT = "general.alignment"
ALIGNMENTS = range(8, (1 << 20) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One item of the tensor table, before it is known what lies behind it."""

    name: str
    shape: tuple[int, ...]
    """Rows before columns; the file lists them the other way round."""
    stock: Stock
    offset: int
    """From where the tensors begin."""


def open_gguf(source: ByteSource) -> WeightFile:
    """Checks one file's header; every fault is a CheckpointError with a code. The caller closes the source."""
    header = Header(source)
    tensor_count, key_count = _preamble(header)
    metadata = _metadata(header, key_count)
    alignment = metadata.get(ALIGNMENT, 32)
    table = [_declared(header, alignment) for _ in range(tensor_count)]
    _no_duplicates([d.name for d in table])
    origin = _aligned(header.at, alignment)
    return _placed(source, table, origin, alignment, metadata)


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _preamble(header: Header) -> tuple[int, int]:
    """(tensors, keys) as the first 24 bytes count them."""
    name = header.source.name
    if header.take(min(4, header.source.size), "magic") != b"GGUF":
        raise CheckpointError(f"{name} does not begin as a GGUF file", code="GGUF_MAGIC")
    version = header.number(4, "version")
    if version not in VERSIONS:
        turned = int.from_bytes(version.to_bytes(4, "little"), "big")
        fault = f"is GGUF version {version}; {VERSIONS[0]} and {VERSIONS[1]} are read"
        if turned in (1, *VERSIONS):
            fault = "is a big-endian GGUF file; only little-endian ones are read"
        raise CheckpointError(f"{name} {fault}", "convert the model again", code="GGUF_VERSION")
    tensors = header.number(10, "tensor count")
    keys = header.number(10, "key count")
    room = header.source.size - header.at
    for count, smallest, limit, what in (
        (tensors, 24, TENSOR_LIMIT, "tensors"),
        (keys, 13, KEYS_LIMIT, "keys"),
    ):
        if count > limit or count * smallest > room:
            raise CheckpointError(f"{name} claims {count} {what}", code="GGUF_COUNT")
    return tensors, keys


def _metadata(header: Header, count: int) -> dict[str, Any]:
    """Every key with its value, cut; the alignment is checked."""
    found: dict[str, Any] = {}
    for _ in range(count):
        key = header.name("a key", KEY_LIMIT)
        if key in found:
            raise CheckpointError(
                f"{header.source.name} names the key {key[:80]!r} twice", code="GGUF_DUP_KEY"
            )
        kind = header.number(4, "type of a value")
        value = header.value(kind, key)
        if key == ALIGNMENT and (kind != 4 or value not in ALIGNMENTS or value & (value - 1)):
            raise CheckpointError(
                f"{header.source.name} aligns its tensors to {str(value)[:40]}, which is no power of two from 8 on",
                code="GGUF_ALIGNMENT",
            )
        found[key] = value
    return found


def _declared(header: Header, alignment: int) -> Declared:
    """The next item of the tensor table."""
    name = header.name("a tensor's name", NAME_LIMIT)
    shown = name[:80]
    dimensions = header.number(4, "number of dimensions")
    if not 1 <= dimensions <= DIMENSIONS:
        raise CheckpointError(f"tensor {shown!r} has {dimensions} dimensions", code="GGUF_DIMS")
    rest = header.take(8 * dimensions + 12, "tensor table")
    *extents, number, offset = struct.unpack(f"<{dimensions}QIQ", rest)
    if any(product >= ABSURD for product in accumulate(extents, mul)) or max(extents) >= ABSURD:
        raise CheckpointError(f"shape of {shown!r} is absurdly large", code="GGUF_DIMS")
    if offset >= ABSURD or offset % alignment:
        raise CheckpointError(f"offset {offset} of {shown!r} is no place for a tensor", code="GGUF_OFFSET")
    elements = list(accumulate(extents, mul))[-1]
    return Declared(
        name=name, shape=tuple(reversed(extents)), stock=stock(number, extents[0], elements), offset=offset
    )


def _no_duplicates(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise CheckpointError(f"two tensors are named {name[:80]!r}", code="GGUF_DUP_TENSOR")
        seen.add(name)


def _placed(
    source: ByteSource, table: list[Declared], origin: int, alignment: int, metadata: dict[str, Any]
) -> WeightFile:
    """The table laid over the file. What a short file lost is missing; what never could have been there is refused."""
    size = source.size
    file = WeightFile(
        format="gguf", source=source, entries=[], header_end=min(origin, size), metadata=metadata
    )
    ordered = sorted(table, key=lambda d: (d.offset, d.stock.size or 0))
    reach, certain, hole = origin, True, 0
    for index, item in enumerate(ordered):
        begin = origin + item.offset
        behind = origin + ordered[index + 1].offset if index + 1 < len(ordered) else max(begin, size)
        expected = _aligned(reach, alignment)
        if begin < reach:
            raise CheckpointError(f"tensor {item.name[:80]!r} overlaps another", code="GGUF_OVERLAP")
        if begin > size and begin != expected and certain:
            raise CheckpointError(
                f"offset {item.offset} of {item.name[:80]!r} is behind the end of {source.name}",
                code="GGUF_OFFSET",
            )
        if certain and begin > expected:
            hole += begin - expected
        certain = item.stock.size is not None
        end = begin + item.stock.size if item.stock.size is not None else behind
        reach = max(reach, end if certain else begin + 1)
        _file_away(file, item, begin, end)
    if hole:
        file.problems.append(("GGUF_HOLE", f"{source.name} has {hole} bytes between its tensors"))
    last = reach if certain else size
    file.trailing = max(0, size - _aligned(last, alignment)) if table else 0
    return file


def _file_away(file: WeightFile, item: Declared, begin: int, end: int) -> None:
    """Puts a tensor among those that are there, cut off, or of no use."""
    entry = Entry(name=item.name, dtype=item.stock.name, shape=item.shape, begin=begin, end=end)
    if item.stock.fault:
        file.refused.append((entry, item.stock.fault))
    elif end > file.size:
        file.missing.append(entry)
    else:
        file.entries.append(entry)
