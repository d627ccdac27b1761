"""A strict reader of the safetensors format over `pread`: nothing is mapped, nothing is trusted.

The library's own reader maps whole files (a file that shrinks kills the process) and accepts headers that the
specification forbids; here every range is checked before a byte of a tensor is read, and a short file gives a
short list of tensors, not a crash.
"""

from __future__ import annotations

import json
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

from forensics.checkpoint.source import ByteSource, LocalBytes
from forensics.checkpoint.stored import Entry, WeightFile
from forensics.checkpoint.torch_foreign import foreign
from forensics.errors import CheckpointError

BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "C64": 64,
}  # fmt: skip
HEADER_LIMIT = 25_000_000
TENSOR_LIMIT = 200_000
NAME_LIMIT = 4_096


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise CheckpointError(f"safetensors header names {key[:80]!r} twice", code="ST_DUP_KEY")
        found[key] = value
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _entry(name: str, raw: object, origin: int) -> Entry:
    """Checks one header item; `origin` is where the byte buffer starts."""
    shown = name[:80]
    if len(name) > NAME_LIMIT:
        raise CheckpointError(f"tensor name of {len(name)} characters", code="ST_NAME")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise CheckpointError(f"tensor name {shown!r} is not Unicode text", code="ST_NAME")
    if not isinstance(raw, dict) or set(raw) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"malformed header item for {shown!r}", code="ST_HEADER")
    dtype, shape, offsets = raw["dtype"], raw["shape"], raw["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise CheckpointError(f"unknown dtype {str(dtype)[:40]!r} for {shown!r}", code="ST_DTYPE")
    if not isinstance(shape, list) or len(shape) > 8 or not all(_is_count(n) for n in shape):
        raise CheckpointError(f"shape of {shown!r} is not a list of sizes", code="ST_SHAPE")
    if any(product >= 2**62 for product in accumulate(shape, mul)):  # even where a later 0 would hide it
        raise CheckpointError(f"shape of {shown!r} is absurdly large", code="ST_SHAPE")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(n) for n in offsets):
        raise CheckpointError(f"offsets of {shown!r} are not two positions", code="ST_OFFSETS")
    entry = Entry(
        name=name, dtype=dtype, shape=tuple(shape), begin=origin + offsets[0], end=origin + offsets[1]
    )
    bits = entry.elements * BITS[dtype]
    if bits % 8 or entry.end - entry.begin != bits // 8:
        raise CheckpointError(f"shape and byte range of {shown!r} disagree", code="ST_SHAPE")
    return entry


def _parse(raw: bytes, origin: int) -> tuple[list[Entry], dict[str, str]]:
    if not raw.startswith(b"{"):
        raise CheckpointError("safetensors header does not begin with '{'", code="ST_HEADER")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_reject_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"safetensors header is not JSON ({type(error).__name__})", code="ST_HEADER"
        ) from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError("safetensors metadata is not text", code="ST_HEADER")
    if len(header) > TENSOR_LIMIT:
        raise CheckpointError(f"{len(header)} tensors in one file", code="ST_TOO_MANY")
    entries = sorted(
        (_entry(name, item, origin) for name, item in header.items()), key=lambda e: (e.begin, e.end)
    )
    position = origin
    for entry in entries:
        if entry.begin != position:
            fault = "overlaps another tensor" if entry.begin < position else "leaves a hole before it"
            code = "ST_OVERLAP" if entry.begin < position else "ST_HOLE"
            raise CheckpointError(f"byte range of {entry.name[:80]!r} {fault}", code=code)
        position = entry.end
    return entries, metadata


def open_safetensors(source: ByteSource) -> WeightFile:
    """Checks one file's header; every fault is a CheckpointError with a code. The caller closes the source."""
    name, size = source.name, source.size
    prefix = source.read(0, min(8, size))
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8:
        raise CheckpointError(f"{name} is too short to be a safetensors file", code="ST_TRUNCATED")
    if length > HEADER_LIMIT:
        known = foreign(source.read(0, min(512, size)))
        if known and known[0] != "SAFETENSORS":
            raise CheckpointError(f"{name} is {known[1]}", known[2], code=f"FOREIGN_{known[0]}")
        hint = "is it a file of weights? then fetch it again"
        raise CheckpointError(f"header of {name} claims {length} bytes", hint, code="ST_HEADER_TOO_LARGE")
    if length > size - 8:
        raise CheckpointError(f"{name} ends inside its header", "fetch the file again", code="ST_TRUNCATED")
    entries, metadata = _parse(source.read(8, length), 8 + length)
    declared = max((e.end for e in entries), default=8 + length)
    return WeightFile(
        format="safetensors",
        source=source,
        entries=[e for e in entries if e.end <= size],
        missing=[e for e in entries if e.end > size],
        trailing=max(0, size - declared),
        header_end=8 + length,
        metadata=metadata,
    )


def open_safetensors_file(path: Path, name: str) -> WeightFile:
    """Opens and checks a local file."""
    source = LocalBytes.open(path, name)
    try:
        return open_safetensors(source)
    except BaseException:
        source.close()
        raise
