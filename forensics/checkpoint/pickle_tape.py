"""The bytes of a pickle, one after the other; lengths are held against what is left before anything is read."""

from __future__ import annotations

from forensics.checkpoint.place import display_name
from forensics.checkpoint.source import ByteSource
from forensics.errors import CheckpointError

TAPE_LIMIT = 64 << 20
"""Bytes that are read of all pickles of a file. A hundred thousand tensors take 25 MB."""
LINE_LIMIT = 512
"""Bytes of a line: the name of a module, or of something in it."""
CHUNK = 1 << 20


class Tape:
    """A cursor over bytes `begin` to `end` of a file, read in growing chunks."""

    def __init__(self, source: ByteSource, begin: int, end: int) -> None:
        self.source = source
        self.end = end
        self.shown = display_name(source.name)
        """Name of the file as a message may show it."""
        self._origin, self._start = begin, begin
        self._buffer, self._at, self._chunk = b"", 0, 1 << 14

    @property
    def position(self) -> int:
        """Of the next byte, in the file."""
        return self._start + self._at

    def _fill(self, length: int) -> None:
        """Makes the next `length` bytes available."""
        position = self.position
        if length > self.end - position:
            raise CheckpointError(f"a pickle of {self.shown} ends early", code="PICKLE_TRUNCATED")
        if position + length - self._origin > TAPE_LIMIT:
            message = f"the pickles of {self.shown} are larger than {TAPE_LIMIT} bytes"
            raise CheckpointError(message, code="PICKLE_BUDGET")
        room = min(self.end - position, TAPE_LIMIT - (position - self._origin))
        self._buffer = self.source.read(position, min(max(length, self._chunk), room))
        self._start, self._at = position, 0
        self._chunk = min(2 * self._chunk, CHUNK)

    def byte(self) -> int:
        """The next byte."""
        if self._at >= len(self._buffer):
            self._fill(1)
        self._at += 1
        return self._buffer[self._at - 1]

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        if self._at + length > len(self._buffer):
            self._fill(length)
        self._at += length
        return self._buffer[self._at - length : self._at]

    def number(self, width: int) -> int:
        """An unsigned little-endian number of `width` bytes."""
        return int.from_bytes(self.take(width), "little")

    def skip(self, length: int) -> None:
        """Passes over bytes without reading them."""
        if length > self.end - self.position:
            raise CheckpointError(f"a pickle of {self.shown} ends early", code="PICKLE_TRUNCATED")
        self._at += length
        if self._at > len(self._buffer):
            self._origin += self._at - len(self._buffer)  # what is not read costs nothing
            self._start, self._at, self._buffer = self.position, 0, b""

    def line(self) -> str:
        """The text before the next line feed, each byte a letter, so that whatever stands there can be shown."""
        letters = bytearray()
        while (letter := self.byte()) != 10:
            letters.append(letter)
            if len(letters) > LINE_LIMIT:
                message = f"a pickle of {self.shown} has a line of more than {LINE_LIMIT} bytes"
                raise CheckpointError(message, code="PICKLE_BUDGET")
        return letters.decode("latin-1")
