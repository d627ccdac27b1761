"""A pickle read as a list of instructions for a small stack machine that can build dictionaries and nothing else.

The machine knows the opcodes that picklers of protocol 2 to 5 use for containers, numbers, text and the call of a
named function. What a name stands for, and what calling it gives, is the business of a `Meaning`, which hands out
inert records: no module is imported, no function of a file's choice is ever called, and Python's own unpickler is
not used. Opcodes as in CPython's Lib/pickletools.py, where each is described.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from forensics.checkpoint.pickle_opcodes import FOLLOWED, FORBIDDEN, STOP
from forensics.checkpoint.pickle_stack import OPAQUE, Opaque, Stack
from forensics.checkpoint.pickle_tape import Tape
from forensics.errors import CheckpointError

OPCODE_LIMIT = 3_300_000
"""Instructions of one pickle: 32 for a tensor, so a hundred thousand tensors; one or two seconds."""
STACK_LIMIT = 1 << 16
"""Values waiting to be put into a container; picklers put them there a thousand at a time."""
CONTAINER_LIMIT = 500_000
"""Lists and dictionaries, which cost far more memory than the byte that makes one."""


class Meaning(Protocol):
    """What names stand for, and what the instructions that would run code give instead."""

    def named(self, module: str, name: str) -> object:
        """The inert record for a global; CheckpointError where it is not on the list."""
        ...

    def called(self, function: object, arguments: object) -> object:
        """What a call would have made, as an inert record."""
        ...

    def persistent(self, key: object) -> object:
        """What stands outside the pickle under this key."""
        ...


def fill(target: dict[str, Any], pairs: Iterable[tuple[Any, Any]]) -> None:
    """Puts pairs into a dictionary whose keys are text; keys that are neither text nor a number are dropped.

    No pickler sets a key twice: loaders would see one value, and which one is a matter of order. Numbers become text,
    because Python's hashes of text cannot be foreseen by who writes a file, and those of numbers can.
    """
    for key, value in pairs:
        if isinstance(key, int):
            key = str(key)  # noqa: PLW2901 - see above
        elif not isinstance(key, str):
            key = f"\0{len(target)}"  # noqa: PLW2901 - no name of a tensor, yet counted
        if key in target:
            raise CheckpointError(f"a pickle sets {ascii(key)[:80]} twice", code="PICKLE_DUP_KEY")
        target[key] = value


class Program(Stack):
    """One pickle on a tape; `run` gives what it builds. The public methods besides are its instructions."""

    def __init__(self, tape: Tape, meaning: Meaning) -> None:
        super().__init__(tape)
        self._meaning = meaning
        self._containers = 0

    def run(self) -> Any:
        """The value the pickle builds; every fault is a CheckpointError whose code begins with PICKLE_."""
        table = {
            code: partial(getattr(self, name), *given) if given else getattr(self, name)
            for code, (name, given) in FOLLOWED.items()
        }
        next_byte, handler_of = self._tape.byte, table.get
        for _ in range(OPCODE_LIMIT):
            code = next_byte()
            handler = handler_of(code)
            if handler is not None:
                handler()
            elif code == STOP:
                return self._pop()
            else:
                known = FORBIDDEN.get(code, "unknown")
                raise self._fault(
                    "PICKLE_OPCODE", f"uses the opcode 0x{code:02x} ({known}), which is not run"
                )
            if len(self._stack) > STACK_LIMIT:
                raise self._fault("PICKLE_BUDGET", f"piles up more than {STACK_LIMIT} values")
        raise self._fault("PICKLE_BUDGET", f"has more than {OPCODE_LIMIT} instructions")

    def _top(self, kind: type[Any], what: str) -> Any:
        """The value on top, which has to be a container of `kind`, or one that is of no interest."""
        if not self._stack or not isinstance(self._stack[-1], (kind, Opaque)):
            raise self._fault("PICKLE_STACK", f"{what} what is no {kind.__name__}")
        return self._stack[-1]

    def _counted(self) -> None:
        self._containers += 1
        if self._containers > CONTAINER_LIMIT:
            raise self._fault("PICKLE_BUDGET", f"makes more than {CONTAINER_LIMIT} containers")

    def tuple_of(self, count: int) -> None:
        """A tuple of the last `count` values."""
        if len(self._stack) < count:
            raise self._fault("PICKLE_STACK", "takes a value where there is none")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._stack.append(items)

    def tuple_marked(self) -> None:
        """A tuple of everything above the mark."""
        items = tuple(self._marked())
        self._stack.append(items)

    def new_list(self) -> None:
        """An empty list."""
        self._counted()
        self._stack.append([])

    def new_dict(self) -> None:
        """An empty dictionary."""
        self._counted()
        self._stack.append({})

    def new_set(self) -> None:
        """An empty set."""
        self._stack.append(OPAQUE)

    def append(self) -> None:
        """One item into a list."""
        self._extend([self._pop()])

    def appends(self) -> None:
        """Items into a list."""
        self._extend(self._marked())

    def _extend(self, items: list[Any]) -> None:
        target = self._top(list, "appends to")
        if not isinstance(target, Opaque):
            target.extend(items)

    def additems(self) -> None:
        """Items into a set."""
        self._marked()
        self._top(Opaque, "adds to")

    def frozenset(self) -> None:
        """A set that cannot change."""
        self._marked()
        self._stack.append(OPAQUE)

    def setitem(self) -> None:
        """One pair into a dictionary."""
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def setitems(self) -> None:
        """Pairs into a dictionary."""
        self._update(self._marked())

    def _update(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise self._fault("PICKLE_STACK", "has a key without a value")
        target = self._top(dict, "puts items into")
        if not isinstance(target, Opaque):
            fill(target, zip(items[::2], items[1::2], strict=True))

    def named(self) -> None:
        """A global by two lines."""
        module = self._tape.line()
        self._stack.append(self._meaning.named(module, self._tape.line()))

    def named_above(self) -> None:
        """A global by two texts on the stack."""
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise self._fault("PICKLE_STACK", "names a global by something that is no text")
        self._stack.append(self._meaning.named(module, name))

    def called(self) -> None:
        """What a call would have made."""
        arguments, function = self._pop(), self._pop()
        self._counted()
        self._stack.append(self._meaning.called(function, arguments))

    def build(self) -> None:
        """Attributes of a dictionary (`_metadata` of a state dict), which are dropped."""
        self._pop()
        self._top(dict, "sets attributes of")

    def persistent(self) -> None:
        """Something outside the pickle."""
        self._stack.append(self._meaning.persistent(self._pop()))

    def protocol(self) -> None:
        """The protocol's number."""
        number = self._tape.byte()
        if not 2 <= number <= 5:
            raise self._fault("PICKLE_OPCODE", f"is of protocol {number}; 2 to 5 are read")

    def frame(self) -> None:
        """How many bytes follow, which nothing depends on."""
        if self._tape.number(8) > self._tape.end - self._tape.position:
            raise CheckpointError(f"a pickle of {self._tape.shown} ends early", code="PICKLE_TRUNCATED")
