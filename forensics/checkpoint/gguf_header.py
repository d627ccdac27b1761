"""The values in a GGUF header, read in growing chunks; every count is held against the file's size beforehand.

Format: docs/gguf.md of the ggml project. Little-endian; strings are a 64-bit length and UTF-8 bytes, arrays a 32-bit
type, a 64-bit count and the items.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from forensics.checkpoint.source import ByteSource
from forensics.checkpoint.tokenizer import TEMPLATE_LIMIT
from forensics.errors import CheckpointError

HEADER_LIMIT = 64 << 20
"""Bytes of a header. The largest vocabularies (a quarter million tokens, half a million merges) take 20 MB."""
ITEMS_LIMIT = 2_000_000
"""Strings and inner arrays of a whole header, each of which costs time."""
INNER_COST = 64
"""Strings that one inner array counts for: no vocabulary has them, and they are slow to pass over."""
KEPT_LIMIT = 512
"""Items kept of an array that is not the vocabulary's."""
TEXT_LIMIT = 4_096
DEPTH_LIMIT = 4
VOCABULARY = (
    "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
)  # fmt: skip
"""Arrays that are kept whole."""
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""struct's letters for the types of single values."""
SIZES = {kind: struct.calcsize(f"<{letter}") for kind, letter in SCALARS.items()} | {STRING: 8, ARRAY: 12}
"""Least bytes of a value of each type."""
LENGTH = struct.Struct("<Q")


class Header:
    """A cursor over a file's beginning. Everything it returns was there; what is not is a CheckpointError."""

    def __init__(self, source: ByteSource, chunk: int = 1 << 16) -> None:
        self.source = source
        self.at = 0
        """Position of the next byte to be read."""
        self._start, self._buffer, self._chunk = 0, b"", chunk
        self._items = 0

    def _room(self, length: int, what: str) -> None:
        """Refuses what would reach beyond the file or the budget."""
        if length > self.source.size - self.at:
            message = f"{self.source.name} ends inside its header ({what})"
            raise CheckpointError(message, "fetch the file again", code="GGUF_TRUNCATED")
        if self.at + length > HEADER_LIMIT:
            raise CheckpointError(
                f"header of {self.source.name} is larger than {HEADER_LIMIT} bytes",
                code="GGUF_HEADER_TOO_LARGE",
            )

    def take(self, length: int, what: str) -> bytes:
        """The next `length` bytes."""
        offset = self.at - self._start
        if offset + length > len(self._buffer):
            self._room(length, what)
            self._buffer = self.source.read(
                self.at, min(max(length, self._chunk), self.source.size - self.at)
            )
            self._start, offset = self.at, 0
            self._chunk = min(2 * self._chunk, 4 << 20)
        self.at += length
        return self._buffer[offset : offset + length]

    def number(self, kind: int, what: str) -> Any:
        """One value of a scalar type; a float that is not finite is None."""
        (value,) = struct.unpack(f"<{SCALARS[kind]}", self.take(SIZES[kind], what))
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def string(self, what: str, limit: int = HEADER_LIMIT) -> bytes:
        """A string's bytes; `limit` is the longest that makes sense."""
        length = self.number(10, what)
        if length > min(limit, self.source.size - self.at):
            raise CheckpointError(f"{what} of {self.source.name} claims {length} bytes", code="GGUF_STRING")
        return self.take(length, what)

    def name(self, what: str, limit: int) -> str:
        """A string that names something and so has to be UTF-8."""
        raw = self.string(what, limit)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise CheckpointError(f"{what} of {self.source.name} is not UTF-8", code="GGUF_STRING") from None

    def count(self, smallest: int, limit: int, what: str) -> int:
        """A 64-bit count of things that take at least `smallest` bytes each."""
        count: int = self.number(10, what)
        if count > limit or count * smallest > self.source.size - self.at:
            raise CheckpointError(f"{self.source.name} claims {count} {what}", code="GGUF_COUNT")
        return count

    def value(self, kind: int, key: str, depth: int = 0) -> Any:
        """A metadata value, cut: long text, and arrays that are not the vocabulary's."""
        if kind in SCALARS:
            return self.number(kind, key[:80])
        if kind == STRING:
            limit = TEMPLATE_LIMIT if key.startswith("tokenizer.chat_template") else TEXT_LIMIT
            return self.string("a value")[: 4 * limit].decode("utf-8", "replace")[:limit]
        if kind != ARRAY:
            raise CheckpointError(f"{self.source.name} holds a value of type {kind}", code="GGUF_TYPE")
        return self._array(key, depth)

    def _array(self, key: str, depth: int) -> list[Any]:
        kind = self.number(4, "an array")
        if kind not in SIZES:
            raise CheckpointError(f"{self.source.name} holds an array of type {kind}", code="GGUF_TYPE")
        if depth >= DEPTH_LIMIT:
            raise CheckpointError(f"{self.source.name} nests arrays too deep", code="GGUF_NESTED")
        count = self.count(SIZES[kind], self.source.size, "items of an array")
        kept = count if key in VOCABULARY else min(count, KEPT_LIMIT)
        if kind in SCALARS:
            return self._numbers(kind, count, kept)
        self._items += count if kind == STRING else count * INNER_COST
        if self._items > ITEMS_LIMIT:
            raise CheckpointError(
                f"{self.source.name} lists more than {ITEMS_LIMIT} strings", code="GGUF_COUNT"
            )
        if kind == STRING:
            return self._strings(count, kept)
        found = []
        for index in range(count):
            inner = self.value(ARRAY, key, depth + 1)
            if index < kept:
                found.append(inner)
        return found

    def _numbers(self, kind: int, count: int, kept: int) -> list[Any]:
        """The first `kept` of `count` numbers; the rest is passed over unread."""
        size = SIZES[kind]
        self._room(count * size, "an array")
        if kept > ITEMS_LIMIT:
            raise CheckpointError(f"{self.source.name} lists {kept} numbers for tokens", code="GGUF_COUNT")
        values = struct.unpack(f"<{kept}{SCALARS[kind]}", self.take(kept * size, "an array"))
        self.at += (count - kept) * size
        return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]

    def _strings(self, count: int, kept: int) -> list[str]:
        """The first `kept` of `count` strings. Written for speed: a vocabulary has some 300,000 of them."""
        texts: list[str] = []
        buffer, offset = self._buffer, self.at - self._start
        for _ in range(count):
            begin = offset + 8
            end = begin + LENGTH.unpack_from(buffer, offset)[0] if begin <= len(buffer) else len(buffer) + 1
            if end <= len(buffer):
                raw, offset = buffer[begin:end], end
            else:  # the string reaches behind what was read so far
                self.at = self._start + offset
                raw = self.string("a string of an array")
                buffer, offset = self._buffer, self.at - self._start
            if len(texts) < kept:
                texts.append(raw.decode("utf-8", "replace"))
        self.at = self._start + offset
        return texts
