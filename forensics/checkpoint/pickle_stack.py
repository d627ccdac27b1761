"""What a pickle's simple values do to the machine's stack and memo."""

from __future__ import annotations

from typing import Any, Final

from forensics.checkpoint.pickle_tape import Tape
from forensics.errors import CheckpointError

MARK_LIMIT = 1_000
"""Containers begun inside each other."""
MEMO_LIMIT = 1_000_000
TEXT_LIMIT = 4_096
"""Bytes of a text that is kept; longer ones are no names."""
TEXTS_LIMIT = 32 << 20
"""Bytes of all texts that are kept."""


class Opaque:
    """A value that is of no interest: a float, long text, bytes, a set."""


OPAQUE: Final = Opaque()
MISSING: Final = Opaque()


class Stack:
    """Stack, marks and memo of one pickle; the public methods are instructions."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: list[Any] = []
        self._texts = 0

    def _fault(self, code: str, message: str) -> CheckpointError:
        return CheckpointError(f"a pickle of {self._tape.shown} {message}", code=code)

    def _pop(self) -> Any:
        if not self._stack:
            raise self._fault("PICKLE_STACK", "takes a value where there is none")
        return self._stack.pop()

    def _marked(self) -> list[Any]:
        """Everything above the last mark, which goes."""
        if not self._outer:
            raise self._fault("PICKLE_STACK", "has no mark where one is needed")
        items, self._stack = self._stack, self._outer.pop()
        return items

    def push(self, value: Any) -> None:
        """A constant."""
        self._stack.append(value)

    def small(self) -> None:
        """A number of one byte."""
        self._stack.append(self._tape.byte())

    def unsigned(self, width: int) -> None:
        """A number of `width` bytes."""
        self._stack.append(self._tape.number(width))

    def signed(self) -> None:
        """A number of four bytes."""
        self._stack.append(int.from_bytes(self._tape.take(4), "little", signed=True))

    def long(self) -> None:
        """A signed number of up to 255 bytes; one of more than 16 is of no interest."""
        raw = self._tape.take(self._tape.byte())
        self._stack.append(int.from_bytes(raw, "little", signed=True) if len(raw) <= 16 else OPAQUE)

    def real(self) -> None:
        """A float."""
        self._tape.skip(8)
        self._stack.append(OPAQUE)

    def text(self, width: int, encoding: str) -> None:
        """Text behind its length, which takes `width` bytes; what cannot be a name is of no interest."""
        length = self._tape.number(width)
        if length > TEXT_LIMIT:
            self._tape.skip(length)
            self._stack.append(OPAQUE)
            return
        self._texts += length
        if self._texts > TEXTS_LIMIT:
            raise self._fault("PICKLE_BUDGET", f"has more than {TEXTS_LIMIT} bytes of text")
        try:
            self._stack.append(self._tape.take(length).decode(encoding))
        except UnicodeDecodeError:
            self._stack.append(OPAQUE)

    def blob(self, width: int) -> None:
        """Bytes behind their length, which takes `width` bytes."""
        self._tape.skip(self._tape.number(width))
        self._stack.append(OPAQUE)

    def mark(self) -> None:
        """Begins a container."""
        if len(self._outer) >= MARK_LIMIT:
            raise self._fault("PICKLE_BUDGET", f"nests more than {MARK_LIMIT} containers")
        self._outer.append(self._stack)
        self._stack = []

    def _put(self, index: int) -> None:
        memo = self._memo
        if not self._stack:
            raise self._fault("PICKLE_STACK", "remembers a value where there is none")
        if index >= MEMO_LIMIT:
            raise self._fault("PICKLE_BUDGET", f"remembers a value as number {index}")
        if index == len(memo):  # as real picklers do
            memo.append(self._stack[-1])
            return
        if index > len(memo):
            memo.extend([MISSING] * (index + 1 - len(memo)))
        memo[index] = self._stack[-1]

    def put1(self) -> None:
        """Remembers the value on top under a number of one byte."""
        self._put(self._tape.byte())

    def put4(self) -> None:
        """Remembers the value on top under a number of four bytes."""
        self._put(self._tape.number(4))

    def memoize(self) -> None:
        """Remembers the value on top under the next number."""
        self._put(len(self._memo))

    def _get(self, index: int) -> None:
        if index >= len(self._memo) or self._memo[index] is MISSING:
            raise self._fault("PICKLE_STACK", f"recalls number {index}, which it did not remember")
        self._stack.append(self._memo[index])

    def get1(self) -> None:
        """A remembered value by a number of one byte."""
        self._get(self._tape.byte())

    def get4(self) -> None:
        """A remembered value by a number of four bytes."""
        self._get(self._tape.number(4))
