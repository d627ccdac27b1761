"""The directory of a zip archive as torch.save writes it, read strictly: stored members that lie side by side.

Nothing is ever inflated. What a zip reader could understand in two ways (two members of one name, headers that
disagree, members inside each other, bytes behind the end) is refused. Format: PKWARE's APPNOTE 6.3.10, sections 4.3
and 4.5.3; torch.save sets the flags for UTF-8 names and for a data descriptor behind each member.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from forensics.checkpoint.place import display_name
from forensics.checkpoint.source import ByteSource
from forensics.errors import CheckpointError

END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR, DESCRIPTOR64 = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")
FULL, FULL16 = 0xFFFFFFFF, 0xFFFF
"""Says that the number stands in a field of 64 bits elsewhere."""
DESCRIBED, UNICODE = 0x8, 0x800
MEMBER_LIMIT = 250_000
DIRECTORY_LIMIT = 64 << 20
NAME_LIMIT = 1_024
ZIP64, UNICODE_PATH = 1, 0x7075
"""Extra fields; the second would give a member another name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A stored member as the central directory has it; `begin` and `end` are where its bytes lie."""

    name: str
    flags: int
    crc: int
    size: int
    header: int
    begin: int = 0
    end: int = 0


class Ahead:
    """Reads a little more than was asked for, so that a member costs one request where bytes come from afar."""

    def __init__(self, source: ByteSource) -> None:
        self.name, self.size = source.name, source.size
        self._source, self._start, self._raw = source, 0, b""

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        at = offset - self._start
        if at < 0 or at + length > len(self._raw):
            self._raw = self._source.read(offset, min(max(length, 256), self.size - offset))
            self._start, at = offset, 0
        return self._raw[at : at + length]

    def close(self) -> None:
        """See ByteSource: the file stays open."""


def fault(source: ByteSource, code: str, message: str) -> CheckpointError:
    """An error about an archive; the code is prefixed."""
    hint = "fetch the file again" if code == "TRUNCATED" else ""
    return CheckpointError(f"{display_name(source.name)} {message}", hint, code=f"TORCH_ZIP_{code}")


def members(source: ByteSource) -> dict[str, Member]:
    """Every member by its name, both of its headers checked and its bytes found."""
    begin, end, count = _directory(source)
    found: dict[str, Member] = {}
    folded: set[str] = set()
    for member in _central(source, source.read(begin, end - begin), count):
        if member.name.lower() in folded:  # PyTorch looks members up without regard to case
            raise fault(source, "DUPLICATE", f"has two members named {ascii(member.name)[:80]}")
        folded.add(member.name.lower())
        found[member.name] = member
    position, ahead = 0, Ahead(source)
    for member in sorted(found.values(), key=lambda m: m.header):
        placed, position = _placed(ahead, member, position, begin)
        found[member.name] = placed
    if begin != position:
        raise fault(source, "HOLE", "has bytes between its members")
    return found


def _directory(source: ByteSource) -> tuple[int, int, int]:
    """(begin, end, members) of the central directory, by the records at the very end of the file."""
    size = source.size
    tail = source.read(max(0, size - 98), min(98, size))
    if len(tail) < END.size or tail[-END.size :][:4] != b"PK\x05\x06":
        raise fault(source, "TRUNCATED", "does not end as a zip archive ends")
    _, disk, start_disk, here, count, length, begin, comment = END.unpack(tail[-END.size :])
    end = size - END.size
    if tail[-42:-38] == b"PK\x06\x07":
        _, disk64, where, disks = LOCATOR.unpack(tail[-42:-22])
        end = size - 98
        if where != end or disk64 or disks > 1 or tail[:4] != b"PK\x06\x06" or len(tail) < 98:
            raise fault(source, "END", "has an unusual record of its end")
        _, rest, _, _, a, b, here64, count64, length64, begin64 = END64.unpack(tail[:56])
        if (rest, a, b) != (44, 0, 0):
            raise fault(source, "END", "has an unusual record of its end")
        for small, large, full in (
            (here, here64, FULL16), (count, count64, FULL16), (length, length64, FULL), (begin, begin64, FULL),
        ):  # fmt: skip
            if small not in (large, full):
                raise fault(source, "END", "has two records of its end that disagree")
        here, count, length, begin = here64, count64, length64, begin64
    if disk or start_disk or comment or here != count or begin + length != end:
        raise fault(source, "END", "has an unusual record of its end")
    if count > MEMBER_LIMIT or length > DIRECTORY_LIMIT or count * CENTRAL.size > length:
        raise fault(source, "COUNT", f"claims {count} members in a directory of {length} bytes")
    return begin, end, count


def _central(source: ByteSource, raw: bytes, count: int) -> Iterator[Member]:
    """The headers of the central directory, which fill it."""
    at = 0
    for _ in range(count):
        if len(raw) - at < CENTRAL.size:
            raise fault(source, "DIRECTORY", "has a directory that is too short")
        fields = CENTRAL.unpack_from(raw, at)
        magic, _, _, flags, method, _, _, crc, packed, size, names, extras, comments, disk, _, _, header = (
            fields
        )
        at += CENTRAL.size
        name, extra = raw[at : at + names], raw[at + names : at + names + extras]
        at += names + extras + comments
        if magic != b"PK\x01\x02" or at > len(raw) or disk or names > NAME_LIMIT or min(name, default=0) < 32:
            raise fault(source, "DIRECTORY", "has a malformed directory")
        _plain(source, flags, method)
        size, packed, header = _wide(source, extra, (size, packed, header))
        if size != packed:
            raise fault(source, "COMPRESSED", "has a member that is not stored as it is")
        try:
            yield Member(name.decode("utf-8"), flags, crc, size, header)
        except UnicodeDecodeError:
            raise fault(source, "DIRECTORY", "has a member whose name is not UTF-8") from None
    if at != len(raw):
        raise fault(source, "DIRECTORY", "has more in its directory than members")


def _plain(source: ByteSource, flags: int, method: int) -> None:
    if flags & 0x2041:
        raise fault(source, "ENCRYPTED", "has an encrypted member")
    if flags & ~(DESCRIBED | UNICODE):
        raise fault(source, "FLAGS", f"has a member with the flags 0x{flags:04x}")
    if method:
        raise fault(source, "COMPRESSED", f"has a member compressed by method {method}; nothing is inflated")


def _wide(source: ByteSource, extra: bytes, numbers: tuple[int, ...]) -> list[int]:
    """Numbers of 32 bits, those that are full taken from the zip64 field, in their order."""
    at, wide = 0, b""
    while at < len(extra):
        kind, length = (
            int.from_bytes(extra[at : at + 2], "little"),
            int.from_bytes(extra[at + 2 : at + 4], "little"),
        )
        at += 4 + length
        if at > len(extra) or kind == UNICODE_PATH or (kind == ZIP64 and wide):
            raise fault(source, "EXTRA", "has a member with unusual extra fields")
        if kind == ZIP64:
            wide = extra[at - length : at]
    found = []
    for number in numbers:
        if number == FULL:
            if len(wide) < 8:
                raise fault(source, "EXTRA", "has a member whose size is nowhere")
            number, wide = int.from_bytes(wide[:8], "little"), wide[8:]  # noqa: PLW2901 - replaced by what it stands for
        found.append(number)
    return found


def _placed(source: ByteSource, member: Member, position: int, limit: int) -> tuple[Member, int]:
    """The member with its bytes, and where they end; `position` is where the one before ends, with its descriptor."""
    shown = ascii(member.name)[:80]
    name = member.name.encode()
    gap = member.header - position
    if gap < 0 or member.header + LOCAL.size + len(name) + member.size > limit:
        raise fault(source, "OVERLAP", f"has a member {shown} that reaches into another")
    if gap:
        raise fault(source, "HOLE", f"has bytes between its members, before {shown}")
    raw = source.read(member.header, LOCAL.size + len(name))
    magic, _, flags, method, _, _, crc, packed, size, names, extras = LOCAL.unpack_from(raw)
    if (
        magic != b"PK\x03\x04"
        or names != len(name)
        or raw[LOCAL.size :] != name
        or flags != member.flags
        or method
    ):
        raise fault(source, "MISMATCH", f"has two headers of {shown} that disagree")
    begin = member.header + len(raw) + extras
    end = begin + member.size
    if end > limit:
        raise fault(source, "OVERLAP", f"has a member {shown} that reaches into another")
    if FULL in (size, packed):
        size, packed = _wide(source, source.read(begin - extras, extras), (size, packed))
    said = (crc, packed, size)
    if said != (member.crc, member.size, member.size) and not (flags & DESCRIBED and said == (0, 0, 0)):
        raise fault(source, "MISMATCH", f"has two headers of {shown} that disagree")
    placed = Member(member.name, flags, member.crc, member.size, member.header, begin, end)
    return placed, end + (_descriptor(source, placed, limit) if flags & DESCRIBED else 0)


def _descriptor(source: ByteSource, member: Member, limit: int) -> int:
    """Bytes of the descriptor behind a member, which repeats checksum and size."""
    raw = source.read(member.end, min(DESCRIPTOR64.size, limit - member.end))
    expected = (b"PK\x07\x08", member.crc, member.size, member.size)
    if len(raw) == DESCRIPTOR64.size and DESCRIPTOR64.unpack(raw) == expected:
        return DESCRIPTOR64.size
    if len(raw) >= DESCRIPTOR.size and DESCRIPTOR.unpack(raw[: DESCRIPTOR.size]) == expected:
        return DESCRIPTOR.size
    raise fault(
        source, "MISMATCH", f"has a descriptor of {ascii(member.name)[:80]} that disagrees with its header"
    )
