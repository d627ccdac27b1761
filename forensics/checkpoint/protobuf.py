"""Protocol buffers' wire format, a field at a time and within bounds; no schema, nothing is built from it.

Source: "Encoding", the published description of the wire format (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator

from forensics.errors import CheckpointError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) have been deprecated for long and are refused."""
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES = 10
LARGEST_NUMBER = (1 << 29) - 1
"""The highest field number there is."""


def broken(name: str, what: str) -> CheckpointError:
    """The error for a file that is not what it should be."""
    return CheckpointError(f"{name} is no sound protobuf: {what}", code="TOKENIZER_PROTOBUF")


def varint(raw: bytes, at: int, name: str) -> tuple[int, int]:
    """The unsigned integer at `at` and where it ends; CheckpointError where it is cut off or over 64 bits."""
    value = 0
    for place, byte in enumerate(raw[at : at + VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + place + 1
    raise broken(name, "an integer is cut off or has more than 64 bits")


def fields(raw: bytes, name: str, limit: int) -> Iterator[tuple[int, int, int | bytes]]:
    """(field number, wire type, value) of one message; the value is an int for VARINT and bytes for everything else.

    A length is compared with what is left before anything is cut out. CheckpointError (TOKENIZER_PROTOBUF) at the
    first thing that is not right and behind `limit` fields.
    """
    at, end, count = 0, len(raw), 0
    while at < end:
        count += 1
        if count > limit:
            raise broken(name, f"more than {limit} fields")
        tag, at = (raw[at], at + 1) if raw[at] < 0x80 else varint(raw, at, name)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= LARGEST_NUMBER:
            raise broken(name, "a field without a number")
        if wire == VARINT:
            value, at = (raw[at], at + 1) if at < end and raw[at] < 0x80 else varint(raw, at, name)
            yield number, wire, value
            continue
        if wire == LENGTH:
            length, at = (raw[at], at + 1) if at < end and raw[at] < 0x80 else varint(raw, at, name)
        elif wire in FIXED_BYTES:
            length = FIXED_BYTES[wire]
        else:
            raise broken(name, f"wire type {wire}")
        if length > end - at:
            raise broken(name, f"a field of {length} bytes where {end - at} are left")
        yield number, wire, raw[at : at + length]
        at += length
