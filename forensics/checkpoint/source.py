"""Where the bytes of one file come from: a local descriptor here, a hub through a broker elsewhere."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forensics.errors import CheckpointError


class ByteSource(Protocol):
    """Random access to one file's bytes; nothing is mapped."""

    @property
    def name(self) -> str:
        """Relative name with forward slashes; hostile text."""
        ...

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`; CheckpointError where they cannot be had."""
        ...

    def close(self) -> None:
        """Lets go of the file; safe to call twice."""
        ...


@dataclass(slots=True)
class LocalBytes:
    """An open regular file. The same descriptor is parsed, hashed and read."""

    name: str
    size: int
    fd: int

    @classmethod
    def open(cls, path: Path, name: str) -> LocalBytes:
        """Opens without following a last link and without blocking on a pipe."""
        fd, size = open_regular(path, name)
        return cls(name=name, size=size, fd=fd)

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        return read_exactly(self.fd, offset, length)

    def close(self) -> None:
        """See ByteSource."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_regular(path: Path, name: str) -> tuple[int, int]:
    """Descriptor and size of a regular file; a pipe, device or folder is refused without blocking."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise CheckpointError(f"cannot open {name}: {error.strerror}", code="UNREADABLE") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise CheckpointError(f"{name} is not a regular file", code="NOT_A_FILE")
    return fd, status.st_size


def read_exactly(fd: int, offset: int, length: int) -> bytes:
    """`length` bytes at `offset`; a file that shrank meanwhile is an error, not a crash."""
    parts = []
    while length:
        try:
            part = os.pread(fd, min(length, 1 << 30), offset)
        except OSError as error:
            raise CheckpointError(f"cannot read: {error.strerror}", code="UNREADABLE") from None
        if not part:
            raise CheckpointError("file became shorter while being read", code="SHRANK")
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
