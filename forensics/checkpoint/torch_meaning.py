"""What the calls in a PyTorch pickle would have made: records of tensors and of the storages they lie in.

Formats as written by torch.save: `torch/_utils.py` (the `_rebuild_*` functions) and `torch/serialization.py` (the
persistent ids of storages) of PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any

from forensics.checkpoint.pickle_program import fill
from forensics.checkpoint.pickle_stack import OPAQUE
from forensics.checkpoint.torch_names import ITEM_BYTES, Global, allowed
from forensics.errors import CheckpointError

ABSURD = 2**62
DIMENSIONS = 8
PAIRS_LIMIT = 500_000
"""Pairs that dictionaries are made of by calls; one list of pairs can be used over and over."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes that tensors share: `length` of them from `begin` on in the storage `key`, which has `whole` bytes."""

    key: str
    dtype: str
    whole: int
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class Strided:
    """A tensor as declared: `offset` and `strides` count elements of `dtype`. Nothing is checked against a file yet."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    reason: str = ""
    """Why its elements are not what the bytes say; empty for a plain one."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A tensor that is not read, and why."""

    reason: str


def is_count(value: object) -> bool:
    """Whether it is a number that can count elements."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < ABSURD


def _counts(value: object, what: str) -> tuple[int, ...]:
    """A tuple of counts, or an error."""
    if not isinstance(value, (tuple, list)) or len(value) > DIMENSIONS or not all(map(is_count, value)):
        raise CheckpointError(
            f"the {what} of a tensor is no list of at most {DIMENSIONS} counts", code="TORCH_SHAPE"
        )
    return tuple(value)


class TorchMeaning:
    """See pickle_program.Meaning. `storages` collects every storage by its key."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._pairs = 0

    def named(self, module: str, name: str) -> object:
        """See Meaning."""
        return allowed(module, name)

    def called(self, function: object, arguments: object) -> object:
        """See Meaning."""
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise CheckpointError("a pickle calls what is no function", code="PICKLE_CALL")
        match function.kind:
            case "tensor" | "typed tensor":
                return _tensor(arguments, typed=function.kind == "typed tensor")
            case "wrapper":
                return arguments[0] if arguments and isinstance(arguments[0], (Strided, Unusable)) else OPAQUE
            case "subclass":
                return self._subclass(arguments)
            case "unusable":
                return Unusable(function.about)
            case "dict":
                return self._dictionary(arguments)
            case "tuple":
                return arguments[0] if arguments and isinstance(arguments[0], tuple) else OPAQUE
            case "inert":
                return OPAQUE
            case _:
                raise CheckpointError(f"a pickle calls {function.name}", code="PICKLE_CALL")

    def _subclass(self, arguments: tuple[Any, ...]) -> object:
        """A tensor with attributes of its own, which are dropped, or one of another class, which is refused."""
        if len(arguments) == 4:
            function, kind, given, _ = arguments
            plain = isinstance(kind, Global) and kind.name in ("torch.Tensor", "torch.nn.parameter.Parameter")
            inner = isinstance(function, Global) and function.kind in ("tensor", "typed tensor", "wrapper")
            if plain and inner:
                return self.called(function, given)
        return Unusable("a tensor of another class")

    def _dictionary(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        """OrderedDict, of pairs where Python 2 wrote it, or a defaultdict."""
        made: dict[str, Any] = {}
        if arguments and isinstance(arguments[0], list):
            pairs = arguments[0]
            self._pairs += len(pairs)
            if self._pairs > PAIRS_LIMIT:
                raise CheckpointError("a pickle makes dictionaries of too many pairs", code="PICKLE_BUDGET")
            if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
                raise CheckpointError("a pickle makes a dictionary of something else", code="PICKLE_CALL")
            fill(made, pairs)
        return made

    def persistent(self, key: object) -> object:
        """See Meaning: ("storage", type, key, device, elements[, (key, offset, elements) of a view])."""
        view: object = None
        match key:
            case ("storage", Global(kind="storage") as kind, str(name), _, int(count)):
                pass
            case ("storage", Global(kind="storage") as kind, str(name), _, int(count), view):
                pass
            case _:
                raise CheckpointError("a pickle refers to something that is no storage", code="TORCH_STORAGE")
        item = ITEM_BYTES[kind.about]
        whole, begin = count * item, 0
        length = whole
        if view is not None:
            if (
                not isinstance(view, tuple)
                or len(view) != 3
                or not is_count(view[1])
                or not is_count(view[2])
            ):
                raise CheckpointError("a view of a storage is malformed", code="TORCH_STORAGE")
            begin, length = view[1] * item, view[2] * item
        if not is_count(count) or begin + length > whole:
            raise CheckpointError(f"storage {ascii(name)[:80]} has an impossible size", code="TORCH_STORAGE")
        known = self.storages.setdefault(name, Storage(name, kind.about, whole, 0, whole))
        if (known.whole, known.dtype) != (whole, kind.about):  # PyTorch would use the first for all
            raise CheckpointError(f"storage {ascii(name)[:80]} has two sizes or types", code="TORCH_STORAGE")
        return Storage(name, kind.about, whole, begin, length)


def _tensor(arguments: tuple[Any, ...], *, typed: bool) -> object:
    """`_rebuild_tensor(storage, offset, size, stride)`; _v2 adds requires_grad, hooks and metadata, _v3 a dtype."""
    dtype: object = None
    metadata: object = None
    match arguments:
        case (Storage() as storage, offset, size, stride):
            pass
        case (Storage() as storage, offset, size, stride, _, _, Global(kind="dtype") as dtype, *rest) if (
            typed
        ):
            metadata = rest[0] if rest else None
        case (Storage() as storage, offset, size, stride, _, _, *rest) if not typed and len(rest) < 2:
            metadata = rest[0] if rest else None
        case _:
            raise CheckpointError("a pickle makes a tensor of something else", code="TORCH_TENSOR")
    shape, strides = _counts(size, "shape"), _counts(stride, "strides")
    if len(shape) != len(strides) or any(product >= ABSURD for product in accumulate(shape, mul)):
        raise CheckpointError(
            "a tensor's shape is absurdly large, or does not fit its strides", code="TORCH_SHAPE"
        )
    if not is_count(offset):
        raise CheckpointError("the offset of a tensor is no count", code="TORCH_BOUNDS")
    name = dtype.about if isinstance(dtype, Global) else storage.dtype
    reason = "a conjugate or negative view" if metadata else ""
    return Strided(storage, name, offset, shape, strides, reason)
