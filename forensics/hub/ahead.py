"""Reads of a worker turned into few requests: small files and heads are kept, reading in order becomes a stream.

One request per block would cost a round trip each. A file that is read in order is asked for in growing windows,
whose answers are read only as fast as the worker reads; what is in flight waits in the kernel. Reads elsewhere
(scales, a sampled block) are requests of their own and leave the window open. Nothing here holds more than
`KEPT` and one block, whatever the size of the checkpoint.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from forensics.hub.repository import HubFile
from forensics.hub.traffic import Traffic
from forensics.hub.transfer import WINDOW, Body, InterruptedTransferError, Transfer

HEAD = 256 << 10
"""Bytes from a file's beginning that its first read brings: formats begin with a length and then a header."""
KEPT = 32 << 20
OPEN_WINDOWS = 4
ENDS_KNOWN = 16

Spot = tuple[str, int]
"""A file's name and an offset in it."""


@dataclass(slots=True)
class Ahead:
    """Reads through one Transfer, for one thread."""

    transfer: Transfer
    traffic: Traffic
    _kept: OrderedDict[str, bytes] = field(default_factory=OrderedDict, init=False, repr=False)
    """Heads and small files."""
    _bodies: OrderedDict[Spot, Body] = field(default_factory=OrderedDict, init=False, repr=False)
    """Open windows by where they stand."""
    _ends: OrderedDict[Spot, int] = field(default_factory=OrderedDict, init=False, repr=False)
    """Where reading in order ended lately, and how many bytes it had brought."""

    def read(self, file: HubFile, offset: int, length: int) -> bytes:
        """Exactly these bytes, which the file must have; CheckpointError where they cannot be had."""
        if not length:
            return b""
        head = file.size if file.whole else min(HEAD, file.size)
        affordable = file.whole or head <= max(length, self.traffic.left)
        if offset + length > head or not (file.name in self._kept or affordable):
            return self._fetched(file, offset, length)
        if file.name not in self._kept:
            self._keep(file.name, self._fetched(file, 0, head))
        self._kept.move_to_end(file.name)
        return self._kept[file.name][offset : offset + length]

    def _keep(self, name: str, raw: bytes) -> None:
        self._kept[name] = raw
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT:
            self._kept.popitem(last=False)

    def _fetched(self, file: HubFile, offset: int, length: int) -> bytes:
        """Bytes from an open window, or from a new one; a broken connection is tried again where it broke."""
        parts = []
        tries = 0
        while length:
            try:
                raw = self._next(file, offset, length)
            except InterruptedTransferError as error:
                if tries >= self.transfer.patience.attempts:
                    raise self.transfer.broken(error) from None
                if tries:  # an idle connection that was closed needs no pause
                    self.transfer.pauses.pause(tries - 1, 0.0, self.transfer.repository.endpoint.host)
                tries += 1
                continue
            parts.append(raw)
            offset += len(raw)
            length -= len(raw)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self, file: HubFile, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset` from one answer."""
        body = self._bodies.pop((file.name, offset), None)
        if body is None:
            ordered = self._ends.pop((file.name, offset), 0)
            self.traffic.admit(length)
            wanted = min(max(length, min(2 * ordered, WINDOW, self.traffic.left)), file.size - offset)
            body = self.transfer.open(file, offset, wanted)
            body.ordered = ordered
        count = min(length, body.left)
        self.traffic.admit(count)
        raw = body.take(count)
        self.traffic.received(self.transfer.repository.location.name, file.name, count)
        if body.left:
            self._bodies[file.name, offset + count] = body
            if len(self._bodies) > OPEN_WINDOWS:
                self._bodies.popitem(last=False)[1].close()
        else:
            self._ends[file.name, offset + count] = body.ordered + body.total
            if len(self._ends) > ENDS_KNOWN:
                self._ends.popitem(last=False)
        return raw

    def close(self) -> None:
        """Drops every open window."""
        while self._bodies:
            self._bodies.popitem()[1].close()
