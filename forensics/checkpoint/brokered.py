"""A checkpoint whose bytes another process hands out over a descriptor: the one that parses has no network.

The protocol is a request (index of the file, offset, length) and a reply (status, length, that many bytes): the
bytes themselves, or a JSON object with message, hint and code.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from forensics.checkpoint.place import DEPTH_LIMIT, budgeted, proper
from forensics.checkpoint.source import ByteSource
from forensics.errors import CheckpointError
from forensics.records import Problem

REQUEST = struct.Struct("<IQI")
REPLY = struct.Struct("<BI")
GIVEN, REFUSED = 0, 1
FRAME_LIMIT = 8 << 20
"""Bytes of one reply."""


def receive(fd: int, count: int) -> bytes | None:
    """Exactly `count` bytes from a descriptor; None where the other side is gone."""
    parts = []
    while count:
        try:
            part = os.read(fd, min(count, 1 << 20))
        except OSError:
            return None
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def transmit(fd: int, raw: bytes) -> bool:
    """Writes everything; False where the other side is gone."""
    view = memoryview(raw)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            return False
    return True


@dataclass(slots=True)
class Channel:
    """The worker's end of the descriptor; requests of several threads follow one another."""

    fd: int
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask(self, index: int, offset: int, length: int) -> bytes:
        """Up to FRAME_LIMIT bytes of a file; CheckpointError as the broker words it, or where it is gone."""
        with self._lock:
            head = None
            if self.fd >= 0 and transmit(self.fd, REQUEST.pack(index, offset, length)):
                head = receive(self.fd, REPLY.size)
            status, count = REPLY.unpack(head) if head else (REFUSED, 0)
            raw = receive(self.fd, count) if head and count <= FRAME_LIMIT else None
        if raw is None or (status == GIVEN and count != length):
            raise CheckpointError("the process that reads from the hub is gone", code="HUB_CLOSED")
        if status == GIVEN:
            return raw
        said = json.loads(raw)
        raise CheckpointError(str(said["message"]), str(said["hint"]), code=str(said["code"]))

    def close(self) -> None:
        """Lets go of the descriptor; safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class BrokeredBytes:
    """One file, read through a broker."""

    name: str
    size: int
    index: int
    channel: Channel = field(repr=False)

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise CheckpointError(
                f"{self.name[:200]} ends before the bytes that were asked for", code="SHRANK"
            )
        parts = [
            self.channel.ask(self.index, at, min(FRAME_LIMIT, offset + length - at))
            for at in range(offset, offset + length, FRAME_LIMIT)
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """See ByteSource: the channel is shared and stays open."""


@dataclass(frozen=True, slots=True)
class BrokeredPlace:
    """A repository's files as a manifest names them; see place.Place."""

    channel: Channel
    files: Mapping[str, tuple[int, int, str]]
    """Index, size and claimed SHA-256 by name."""
    problems: tuple[Problem, ...] = ()

    @classmethod
    def attached(cls, fd: int, manifest: Mapping[str, Any]) -> BrokeredPlace:
        """From the descriptor and the manifest that a job brings (`hub.repository.HubRepository.manifest`)."""
        files = {
            str(name): (index, int(size), str(sha256))
            for index, (name, size, sha256) in enumerate(manifest["files"])
        }
        problems = tuple(
            Problem(where="", code=str(code), message=str(message)) for code, message in manifest["problems"]
        )
        return cls(Channel(fd), files, problems)

    def names(self) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        """See Place. Hidden folders are left out, as in a local folder."""
        shown = [
            name
            for name in self.files
            if name.count("/") <= DEPTH_LIMIT
            and not any(part.startswith(".") for part in PurePosixPath(name).parts[:-1])
        ]
        return budgeted(shown), self.problems

    def holds(self, name: str) -> bool:
        """See Place."""
        return PurePosixPath(proper(name)).as_posix() in self.files

    def open(self, name: str) -> ByteSource:
        """See Place."""
        if not self.holds(name):
            raise CheckpointError(f"cannot open {name[:200]}: no such file", code="UNREADABLE")
        index, size, _ = self.files[PurePosixPath(name).as_posix()]
        return BrokeredBytes(name, size, index, self.channel)

    def known_sha256(self, name: str) -> str:
        """See Place: the hub's claim for files in LFS."""
        return self.files[PurePosixPath(name).as_posix()][2] if self.holds(name) else ""

    def close(self) -> None:
        """Lets go of the descriptor; no file of the place can be read afterwards."""
        self.channel.close()
