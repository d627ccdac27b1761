"""Archives that can be read in two ways, files of another format, and spoilt ones of the format before 1.6."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.checkpoint.hostile_pickles import pickled, state, storage, tensor, text

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
LEGACY_HEAD = LEGACY_MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}X\r\x00\x00\x00little_endian\x88s."


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of an archive, and what its local header says instead of the truth."""

    name: str
    raw: bytes
    crc: int | None = None
    flags: int = 0
    method: int = 0
    size: int | None = None
    local: Mapping[str, object] | None = None
    header: int | None = None
    extra: bytes = b""

    def fields(self) -> tuple[int, int, int, int, int]:
        """(flags, method, checksum, packed size, size)."""
        crc = zlib.crc32(self.raw) if self.crc is None else self.crc
        size = len(self.raw) if self.size is None else self.size
        return self.flags, self.method, crc, len(self.raw) if self.method else size, size


def zipped(
    members: Sequence[Member], *, between: bytes = b"", comment: bytes = b"", count: int | None = None
) -> bytes:
    """An archive as it is told to be."""
    body, directory = b"", b""
    for member in members:
        at = len(body) if member.header is None else member.header
        told = replace(member, **(member.local or {}))
        flags, method, crc, packed, size = told.fields()
        name = told.name.encode()
        body += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, flags, method, 0, 0, crc, packed, size, len(name), 0
        )
        body += name + member.raw + between
        flags, method, crc, packed, size = member.fields()
        name = member.name.encode()
        sizes = (crc, packed, size, len(name), len(member.extra), 0, 0, 0, 0, at)
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, flags, method, 0, 0, *sizes)
        directory += name + member.extra
    number_of = len(members) if count is None else count
    end = (number_of, number_of, len(directory), len(body), len(comment))
    return body + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *end) + comment


def parts(pickle: bytes, storages: Mapping[str, bytes] | None = None) -> list[Member]:
    """The members of an archive that torch.save could have written."""
    held = {"0": bytes(16)} if storages is None else storages
    return [
        Member(name="model/data.pkl", raw=pickle),
        Member(name="model/byteorder", raw=b"little"),
        *(Member(name=f"model/data/{key}", raw=raw) for key, raw in held.items()),
        Member(name="model/version", raw=b"3\n"),
    ]


def archived(pickle: bytes, storages: Mapping[str, bytes] | None = None) -> bytes:
    """An archive around a pickle."""
    return zipped(parts(pickle, storages))


def legacy(pickle: bytes, keys: Sequence[str] = ("0",), storages: Sequence[bytes] = (bytes(16),)) -> bytes:
    """The format before 1.6 around a pickle; storages of float32."""
    listed = pickled(b"](" + b"".join(map(text, keys)) + b"e")
    return LEGACY_HEAD + pickle + listed + b"".join(struct.pack("<Q", len(s) // 4) + s for s in storages)


GOOD = state(w=tensor())


def _changed(index: int, **changes: object) -> bytes:
    """A good archive with one member changed."""
    members = parts(GOOD)
    members[index] = replace(members[index], **changes)  # type: ignore[arg-type]
    return zipped(members)


def _deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(raw) + packer.flush()


def _bomb() -> bytes:
    """200 MB that would be inflated from 195 kB."""
    members = parts(state(w=tensor((50_000_000,), held=storage(elements=50_000_000))), {})
    raw = _deflated(bytes(200_000_000))
    return zipped([*members, Member(name="model/data/0", raw=raw, method=8, size=200_000_000)])


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "deflated pickle": (lambda: _changed(0, raw=_deflated(GOOD), method=8, size=len(GOOD)), "TORCH_ZIP_COMPRESSED"),
    "zip bomb": (_bomb, "TORCH_ZIP_COMPRESSED"),
    "stored, with two sizes": (
        lambda: zipped(parts(GOOD)).replace(struct.pack("<2L", 16, 16), struct.pack("<2L", 15, 16)),
        "TORCH_ZIP_COMPRESSED",
    ),
    "two data.pkl of one name": (
        lambda: zipped([*parts(GOOD), Member(name="model/data.pkl", raw=GOOD)]), "TORCH_ZIP_DUPLICATE",
    ),
    "two data.pkl but for case": (
        lambda: zipped([*parts(GOOD), Member(name="model/DATA.pkl", raw=GOOD)]), "TORCH_ZIP_DUPLICATE",
    ),
    "data.pkl in capitals": (lambda: _changed(0, name="model/DATA.PKL"), "TORCH_ZIP_PICKLE"),
    "name that ends early": (lambda: _changed(3, name="model/data.pkl\0x"), "TORCH_ZIP_DIRECTORY"),
    "no name": (lambda: zipped([*parts(GOOD), Member(name="", raw=b"")]), "TORCH_ZIP_DIRECTORY"),
    "data.pkl in another folder": (
        lambda: zipped([*parts(GOOD), Member(name="other/data.pkl", raw=GOOD)]), "TORCH_ZIP_PICKLE",
    ),
    "data.pkl within": (
        lambda: zipped([*parts(GOOD), Member(name="model/data/data.pkl", raw=GOOD)]), "TORCH_ZIP_PICKLE",
    ),
    "file outside the folder": (
        lambda: zipped([*parts(GOOD), Member(name="../../etc/passwd", raw=b"x")]), "TORCH_ZIP_PICKLE",
    ),
    "wrong checksum": (lambda: _changed(0, crc=7), "TORCH_ZIP_CRC"),
    "encrypted": (lambda: _changed(2, flags=1), "TORCH_ZIP_ENCRYPTED"),
    "strongly encrypted": (lambda: _changed(2, flags=0x41), "TORCH_ZIP_ENCRYPTED"),
    "masked headers": (lambda: _changed(0, flags=0x2000), "TORCH_ZIP_ENCRYPTED"),
    "odd flag": (lambda: _changed(0, flags=0x10), "TORCH_ZIP_FLAGS"),
    "flags of one header only": (lambda: _changed(0, local={"flags": 1}), "TORCH_ZIP_MISMATCH"),
    "another name in the local header": (
        lambda: _changed(0, local={"name": "model/data.pk_"}), "TORCH_ZIP_MISMATCH",
    ),
    "another method in the local header": (lambda: _changed(0, local={"method": 8}), "TORCH_ZIP_MISMATCH"),
    "another size in the local header": (lambda: _changed(2, local={"size": 4}), "TORCH_ZIP_MISMATCH"),
    "another checksum in the local header": (lambda: _changed(2, local={"crc": 4}), "TORCH_ZIP_MISMATCH"),
    "descriptor missing": (lambda: _changed(2, flags=8), "TORCH_ZIP_MISMATCH"),
    "another name as an extra field": (
        lambda: _changed(0, extra=struct.pack("<HHBL", 0x7075, 6, 1, 0) + b"x"), "TORCH_ZIP_EXTRA",
    ),
    "extra field longer than it is": (lambda: _changed(0, extra=struct.pack("<HH", 9, 6)), "TORCH_ZIP_EXTRA"),
    "size nowhere": (lambda: _changed(2, size=0xFFFFFFFF), "TORCH_ZIP_EXTRA"),
    "data.pkl of 1 GB": (lambda: _changed(0, size=1 << 30), "TORCH_ZIP_OVERLAP"),
    "two members at one place": (lambda: _changed(2, header=0), "TORCH_ZIP_OVERLAP"),
    "bytes between members": (lambda: zipped(parts(GOOD), between=b"hidden"), "TORCH_ZIP_HOLE"),
    "bytes before": (lambda: b"#!/bin/sh\n" + zipped(parts(GOOD)), "FOREIGN_UNKNOWN"),
    "bytes behind": (lambda: zipped(parts(GOOD)) + b"\x7fELF", "TORCH_ZIP_TRUNCATED"),
    "comment": (lambda: zipped(parts(GOOD), comment=b"PK\x05\x06" + bytes(18)), "TORCH_ZIP_END"),
    "a member less than counted": (lambda: zipped(parts(GOOD), count=5), "TORCH_ZIP_DIRECTORY"),
    "a member more than counted": (lambda: zipped(parts(GOOD), count=3), "TORCH_ZIP_DIRECTORY"),
    "65 534 members in a short directory": (lambda: zipped(parts(GOOD), count=65_534), "TORCH_ZIP_COUNT"),
    "truncated": (lambda: zipped(parts(GOOD))[:-30], "TORCH_ZIP_TRUNCATED"),
    "only its beginning": (lambda: zipped(parts(GOOD))[:40], "TORCH_ZIP_TRUNCATED"),
    "name that is no text": (
        lambda: zipped(parts(GOOD)).replace(b"model/version", b"model/\xff\xfersion"), "TORCH_ZIP_DIRECTORY",
    ),
    "big-endian": (lambda: _changed(1, raw=b"big"), "TORCH_BIG_ENDIAN"),
    "storage missing": (lambda: archived(GOOD, {}), "TORCH_STORAGE_ABSENT"),
    "key that is a path": (
        lambda: archived(state(w=tensor(held=storage("../byteorder")))), "TORCH_STORAGE_ABSENT",
    ),
    "TorchScript": (
        lambda: zipped([*parts(GOOD), Member(name="model/constants.pkl", raw=b"\x80\x02).")]), "TORCHSCRIPT",
    ),
    "TorchScript's code": (
        lambda: zipped([*parts(GOOD), Member(name="model/code/__torch__.py", raw=b"x")]), "TORCHSCRIPT",
    ),
    "another zip": (lambda: zipped([Member(name="word/document.xml", raw=b"<x/>")]), "FOREIGN_ZIP"),
    "empty zip": (lambda: zipped([]), "FOREIGN_ZIP"),
}  # fmt: skip
"""(file, code)."""


def _first(raw: bytes, at: int = 0) -> Callable[[], bytes]:
    return lambda: bytes(at) + raw + bytes(600)


FOREIGN: dict[str, tuple[Callable[[], bytes], str]] = {
    "numpy": (_first(b"\x93NUMPY\x01\x00"), "FOREIGN_NUMPY"),
    "7z": (_first(b"7z\xbc\xaf\x27\x1c"), "FOREIGN_7Z"),
    "gzip": (_first(b"\x1f\x8b\x08"), "FOREIGN_GZIP"),
    "tar": (_first(b"ustar\x0000", 257), "FOREIGN_TAR"),
    "HDF5": (_first(b"\x89HDF\r\n\x1a\n"), "FOREIGN_HDF5"),
    "GGUF": (_first(b"GGUF\x03\0\0\0"), "FOREIGN_GGUF"),
    "Git LFS": (_first(b"version https://git-lfs.github.com/spec/v1\n"), "FOREIGN_LFS"),
    "web page": (_first(b"\n<!DOCTYPE html><title>404</title>"), "FOREIGN_HTML"),
    "safetensors": (_first(b"\x02\0\0\0\0\0\0\0{}"), "FOREIGN_SAFETENSORS"),
    "safetensors whose length looks like a pickle": (
        _first(b"\x80\x02\0\0\0\0\0\0{}"),
        "FOREIGN_SAFETENSORS",
    ),
    "zeros": (_first(b""), "FOREIGN_UNKNOWN"),
}
"""(file, code)."""

LEGACY: dict[str, tuple[Callable[[], bytes], str]] = {
    "another pickle": (lambda: pickled(b"K\x01"), "TORCH_LEGACY_MAGIC"),
    "another version": (lambda: LEGACY_MAGIC + pickled(b"K\x01"), "TORCH_LEGACY_VERSION"),
    "big-endian": (
        lambda: legacy(GOOD).replace(b"little_endian\x88", b"little_endian\x89"), "TORCH_BIG_ENDIAN",
    ),
    "nothing about the machine": (
        lambda: LEGACY_MAGIC + b"\x80\x02M\xe9\x03." + pickled(b"N"), "TORCH_BIG_ENDIAN",
    ),
    "keys are no list": (lambda: LEGACY_HEAD + GOOD + pickled(b"N"), "TORCH_LEGACY_KEYS"),
    "keys are numbers": (lambda: LEGACY_HEAD + GOOD + pickled(b"]K\x00a"), "TORCH_LEGACY_KEYS"),
    "another key": (lambda: legacy(GOOD, keys=("1",)), "TORCH_LEGACY_KEYS"),
    "key twice": (lambda: legacy(GOOD, keys=("0", "0"), storages=(bytes(16),) * 2), "TORCH_LEGACY_KEYS"),
    "no keys": (lambda: legacy(GOOD, keys=(), storages=()), "TORCH_LEGACY_KEYS"),
    "another size": (lambda: legacy(GOOD, storages=(bytes(12),)), "TORCH_STORAGE_SIZE"),
    "ends after its third pickle": (lambda: LEGACY_HEAD, "PICKLE_TRUNCATED"),
    "ends in its fourth": (lambda: LEGACY_HEAD + GOOD[:-9], "PICKLE_TRUNCATED"),
}  # fmt: skip
"""(file, code)."""
