"""Pickles that mean harm, put together byte by byte; all that any of them would do is make a file.

`RUNNERS` are pickles that would run a command if they were unpickled, `BOMBS` ones that would cost memory or time,
`TENSORS` ones whose tensors are not what the bytes can be. The files around them: hostile_archives.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

PROTO = b"\x80\x02"


def text(letters: str) -> bytes:
    """BINUNICODE."""
    raw = letters.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    """LONG1."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def named(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def counts(values: Sequence[int]) -> bytes:
    """A tuple of numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """REDUCE of a global with these arguments."""
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"


def pickled(value: bytes) -> bytes:
    """A whole pickle of protocol 2."""
    return PROTO + value + b"."


def state(**values: bytes) -> bytes:
    """A whole pickle of a dictionary."""
    return pickled(b"}" + b"".join(text(key) + value + b"s" for key, value in values.items()))


def storage(key: str = "0", elements: int = 4, kind: str = "FloatStorage", view: bytes = b"") -> bytes:
    """A reference to a storage."""
    return (
        b"("
        + text("storage")
        + named("torch", kind)
        + text(key)
        + text("cpu")
        + number(elements)
        + view
        + b"tQ"
    )


def tensor(
    shape: Sequence[int] = (4,), strides: Sequence[int] = (1,), offset: int = 0, held: bytes = b""
) -> bytes:
    """A call of `_rebuild_tensor_v2`."""
    hooks = call("collections", "OrderedDict")
    arguments = (held or storage(), number(offset), counts(shape), counts(strides), b"\x89", hooks)
    return call("torch._utils", "_rebuild_tensor_v2", *arguments)


# --- what would run -----------------------------------------------------------------------------------------


def _python(canary: str) -> str:
    return f"open({canary!r}, 'w').close()"


def _shell(canary: str) -> str:
    return f"touch '{canary}'"


def _stack_named(module: str, name: str) -> bytes:
    """STACK_GLOBAL, from short texts."""
    return b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"


def _nested(canary: str) -> bytes:
    """An archive inside the pickle, for those who unpickle it in turn."""
    inner = pickled(call("os", "system", text(_shell(canary))))
    held = call("_codecs", "encode", text(inner.decode("latin-1")), text("latin1"))
    return call("torch.storage", "_load_from_bytes", held)


RUNNERS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "os.system": (lambda c: pickled(call("os", "system", text(_shell(c)))), "PICKLE_GLOBAL"),
    "posix.system": (lambda c: pickled(call("posix", "system", text(_shell(c)))), "PICKLE_GLOBAL"),
    "eval": (lambda c: pickled(call("builtins", "eval", text(_python(c)))), "PICKLE_GLOBAL"),
    "exec": (lambda c: pickled(call("builtins", "exec", text(_python(c)))), "PICKLE_GLOBAL"),
    "Python 2 exec": (lambda c: pickled(call("__builtin__", "exec", text(_python(c)))), "PICKLE_GLOBAL"),
    "subprocess": (
        lambda c: pickled(call("subprocess", "check_output", b"(" + text("touch") + text(c) + b"t")), "PICKLE_GLOBAL",
    ),
    "runpy": (lambda c: pickled(call("runpy", "_run_code", text(_python(c)), b"}")), "PICKLE_GLOBAL"),
    "torch.load": (lambda c: pickled(call("torch", "load", text(c))), "PICKLE_GLOBAL"),
    "torch.hub": (lambda c: pickled(call("torch.hub", "load", text(c), text("evil"))), "PICKLE_GLOBAL"),
    "bytes loaded by torch": (lambda c: pickled(_nested(c)), "PICKLE_GLOBAL"),
    "pickle.loads": (lambda c: pickled(call("pickle", "loads", text(c))), "PICKLE_GLOBAL"),
    "builtins.open": (lambda c: pickled(call("builtins", "open", text(c), text("w"))), "PICKLE_GLOBAL"),
    "import": (lambda c: pickled(call("builtins", "__import__", text(c))), "PICKLE_GLOBAL"),
    "getattr": (lambda _: pickled(call("builtins", "getattr", named("os", "path"), text("x"))), "PICKLE_GLOBAL"),
    "module of an allowed name": (lambda c: pickled(call("torch", "os.system", text(_shell(c)))), "PICKLE_GLOBAL"),
    "dotted name": (
        lambda c: pickled(_stack_named("collections", "OrderedDict.update") + text(c) + b"\x85R"), "PICKLE_GLOBAL",
    ),
    "allowed name, cut elsewhere": (
        lambda _: pickled(call("torch", "_utils._rebuild_tensor_v2", text("x"))), "PICKLE_GLOBAL",
    ),
    "named on the stack": (
        lambda c: b"\x80\x04" + _stack_named("os", "system") + text(_shell(c)) + b"\x85R.", "PICKLE_GLOBAL",
    ),
    "beside true tensors": (
        lambda c: state(weight=tensor(), extra=call("os", "system", text(_shell(c)))), "PICKLE_GLOBAL",
    ),
    "remembered, then called": (
        lambda c: pickled(named("os", "system") + b"q\x00" + text(_shell(c)) + b"\x85h\x00R"), "PICKLE_GLOBAL",
    ),
    "as hooks of a parameter": (
        lambda c: state(weight=call("torch._utils", "_rebuild_parameter", tensor(), b"\x88",
                                    call("os", "system", text(_shell(c))))), "PICKLE_GLOBAL",
    ),
    "INST": (lambda c: b"(S'" + _shell(c).replace("'", "").encode() + b"'\nios\nsystem\n.", "PICKLE_OPCODE"),
    "OBJ": (lambda c: pickled(b"(" + named("collections", "Counter") + text(c) + b"o"), "PICKLE_OPCODE"),
    "OBJ of os.system": (lambda c: pickled(b"(" + named("os", "system") + text(_shell(c)) + b"o"), "PICKLE_GLOBAL"),
    "NEWOBJ": (lambda c: pickled(named("collections", "Counter") + text(c) + b"\x85\x81"), "PICKLE_OPCODE"),
    "NEWOBJ_EX": (lambda c: pickled(named("collections", "Counter") + text(c) + b"\x85}\x92"), "PICKLE_OPCODE"),
    "BUILD of a global": (
        lambda c: pickled(named("torch.nn.parameter", "Parameter") + b"}" + text("x") + text(c) + b"sb"),
        "PICKLE_STACK",
    ),
    "EXT1": (lambda _: pickled(b"\x82\x01"), "PICKLE_OPCODE"),
    "EXT2": (lambda _: pickled(b"\x83\x01\x00"), "PICKLE_OPCODE"),
    "EXT4": (lambda _: pickled(b"\x84\x01\x00\x00\x00"), "PICKLE_OPCODE"),
    "PERSID": (lambda _: pickled(b"Pevil\n"), "PICKLE_OPCODE"),
    "BINPERSID of text": (lambda _: pickled(text("evil") + b"Q"), "TORCH_STORAGE"),
    "BINPERSID of a module": (lambda c: pickled(b"(" + text("module") + text(c) + b"tQ"), "TORCH_STORAGE"),
    "protocol 0": (lambda c: b"cos\nsystem\n(S'" + _shell(c).replace("'", "").encode() + b"'\ntR.", "PICKLE_GLOBAL"),
    "call of a dtype": (lambda _: pickled(call("torch", "float16")), "PICKLE_CALL"),
    "call of a number": (lambda _: pickled(b"K\x01)R"), "PICKLE_CALL"),
    "call without a tuple": (lambda _: pickled(named("collections", "OrderedDict") + b"K\x01R"), "PICKLE_CALL"),
    "name with a line feed's look": (lambda _: pickled(_stack_named("os\nsystem\n", "x")), "PICKLE_GLOBAL"),
    "name of escapes": (lambda _: pickled(b"c\x1b[31m\xe2\x80\xae" + b"x" * 400 + b"\nsystem\n"), "PICKLE_GLOBAL"),
}  # fmt: skip
"""(command to pickle, code); the command makes the file it is given."""

# --- what would cost ----------------------------------------------------------------------------------------

BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "memo number 2^31": (lambda: pickled(b"}r\x00\x00\x00\x80"), "PICKLE_BUDGET"),
    "two million memo entries": (lambda: pickled(b"}" + b"\x94" * 2_000_000), "PICKLE_BUDGET"),
    "500 000 nested lists": (lambda: pickled(b"]" * 500_000 + b"a" * 499_999), "PICKLE_BUDGET"),
    "500 000 nested tuples": (lambda: pickled(b")" + b"\x85" * 500_000), "TORCH_NO_STATE"),
    "500 000 marks": (lambda: pickled(b"(" * 500_000), "PICKLE_BUDGET"),
    "a million dictionaries": (lambda: pickled(b"](" + (b"}" * 1000 + b"e(") * 1000), "PICKLE_BUDGET"),
    "four million instructions": (lambda: pickled(b"](" + (b"N" * 50_000 + b"e(") * 80), "PICKLE_BUDGET"),
    "a bytearray of 10^11": (lambda: pickled(call("builtins", "bytearray", number(10**11))), "PICKLE_GLOBAL"),
    "BYTEARRAY8 of 2^60": (lambda: pickled(b"\x96" + struct.pack("<Q", 2**60)), "PICKLE_OPCODE"),
    "text of 2^60": (lambda: pickled(b"\x8d" + struct.pack("<Q", 2**60)), "PICKLE_TRUNCATED"),
    "text of 2^32 - 1": (lambda: pickled(b"X\xff\xff\xff\xff"), "PICKLE_TRUNCATED"),
    "bytes of 2^63": (lambda: pickled(b"\x8e" + struct.pack("<Q", 2**63)), "PICKLE_TRUNCATED"),
    "frame of 2^62": (lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.", "PICKLE_TRUNCATED"),
    "number of 255 bytes as a key": (lambda: pickled(b"}\x8a\xff" + bytes(254) + b"\x7fNs"), "TORCH_NO_STATE"),
    "a line without an end": (lambda: pickled(b"c" + b"x" * 100_000), "PICKLE_BUDGET"),
    "dictionaries of dictionaries, each twice": (
        lambda: pickled(b"}q\x00" + b"".join(
            b"}" + text("a") + b"h%c" % n + b"s" + text("b") + b"h%c" % n + b"sq%c" % (n + 1) for n in range(14)
        )), "TORCH_NO_STATE",
    ),
    "30 levels of that": (
        lambda: pickled(b"}q\x00" + b"".join(
            b"}" + text("a") + b"h%c" % n + b"s" + text("b") + b"h%c" % n + b"sq%c" % (n + 1) for n in range(30)
        )), "PICKLE_BUDGET",
    ),
    "dictionary in itself": (
        lambda: pickled(b"}q\x00" + text("a") + b"h\x00s" + text("b") + b"h\x00s"), "PICKLE_BUDGET",
    ),
    "one list of pairs, used over and over": (
        lambda: pickled(
            b"](" + b"".join(b"]" + text(f"{n}") + b"aNa" for n in range(10_000)) + b"eq\x00"
            + named("collections", "OrderedDict") + b"q\x01h\x00\x85R"
            + b"h\x01h\x00\x85R" * 10_000
        ), "PICKLE_BUDGET",
    ),
    "key twice": (lambda: state(a=b"N") [:-1] + text("a") + b"Ns.", "PICKLE_DUP_KEY"),
    "number and text of one look": (lambda: pickled(b"}K\x01Ns" + text("1") + b"Ns"), "PICKLE_DUP_KEY"),
    "STOP missing": (lambda: state(a=b"N")[:-1], "PICKLE_TRUNCATED"),
    "nothing": (lambda: b"", "PICKLE_TRUNCATED"),
    "protocol 0 number": (lambda: b"I1\n.", "PICKLE_OPCODE"),
    "protocol 77": (lambda: b"\x80\x4d}.", "PICKLE_OPCODE"),
    "unknown opcode": (lambda: pickled(b"\xff"), "PICKLE_OPCODE"),
    "empty stack": (lambda: pickled(b""), "PICKLE_STACK"),
    "tuple of too little": (lambda: pickled(b"N\x86"), "PICKLE_STACK"),
    "no mark": (lambda: pickled(b"Nt"), "PICKLE_STACK"),
    "value below a mark": (lambda: pickled(b"}(s"), "PICKLE_STACK"),
    "key without a value": (lambda: pickled(b"}(Nu"), "PICKLE_STACK"),
    "items into a number": (lambda: pickled(b"K\x01NNs"), "PICKLE_STACK"),
    "items into a list": (lambda: pickled(b"]NNs"), "PICKLE_STACK"),
    "append to a tuple": (lambda: pickled(b")Na"), "PICKLE_STACK"),
    "recalls what was not remembered": (lambda: pickled(b"h\x07"), "PICKLE_STACK"),
    "recalls from a gap": (lambda: pickled(b"Nq\x09h\x03"), "PICKLE_STACK"),
    "remembers nothing": (lambda: pickled(b"q\x00"), "PICKLE_STACK"),
    "global named by numbers": (lambda: pickled(b"K\x01K\x02\x93"), "PICKLE_STACK"),
    "dictionary of no pairs": (
        lambda: pickled(named("collections", "OrderedDict") + b"]Na\x85R"), "PICKLE_CALL",
    ),
    "no dictionary": (lambda: pickled(b"K\x01"), "TORCH_NO_STATE"),
    "no tensors": (lambda: state(epoch=b"K\x01"), "TORCH_NO_STATE"),
}  # fmt: skip
"""(pickle, code)."""

# --- tensors that are not there -----------------------------------------------------------------------------

TENSORS: dict[str, tuple[Callable[[], bytes], str]] = {
    "stride 0, 10^5 x 10^5": (
        lambda: state(w=tensor((100_000, 100_000), (0, 0))), "a strided view of other bytes",
    ),
    "every second number": (lambda: state(w=tensor((2,), (2,))), "a strided view of other bytes"),
    "expanded row": (lambda: state(w=tensor((2, 4), (0, 1))), "a strided view of other bytes"),
    "conjugate": (
        lambda: state(w=call("torch._utils", "_rebuild_tensor_v2", storage(), b"K\x00", counts((4,)), counts((1,)),
                             b"\x89", b"}", b"}" + text("conj") + b"\x88s")), "a conjugate or negative view",
    ),
    "quantised": (
        lambda: state(
            w=call(
                "torch._utils", "_rebuild_qtensor", storage(elements=16, kind="QInt8Storage"), b"K\x00", counts((16,)),
                counts((2**31,)), b"(" + named("torch", "per_tensor_affine") + b"G" + bytes(8) + b"K\x00t",
                b"\x89", b"}",
            )
        ),
        "a quantised tensor of PyTorch's own",
    ),
    "sparse": (
        lambda: state(w=call("torch._utils", "_rebuild_sparse_tensor", named("torch", "sparse_coo"), b")")),
        "a sparse tensor",
    ),
    "nested": (lambda: state(w=call("torch._utils", "_rebuild_nested_tensor", b")")), "a nested tensor"),
    "of another class": (
        lambda: state(w=call("torch._utils", "_rebuild_wrapper_subclass", named("torch", "Tensor"))),
        "a tensor of another class",
    ),
    "without bytes": (
        lambda: state(w=call("torch._utils", "_rebuild_meta_tensor_no_storage", named("torch", "float32"))),
        "a tensor without bytes",
    ),
    "reaches beyond its storage": (lambda: state(w=tensor((5,))), "TORCH_BOUNDS"),
    "begins beyond its storage": (lambda: state(w=tensor(offset=1)), "TORCH_BOUNDS"),
    "stride of 2^31 - 1": (lambda: state(w=tensor((2,), (2**31 - 1,))), "TORCH_BOUNDS"),
    "offset of 2^62": (lambda: state(w=tensor(offset=2**62)), "TORCH_BOUNDS"),
    "negative offset": (lambda: state(w=tensor(offset=-1)), "TORCH_BOUNDS"),
    "negative stride": (lambda: state(w=tensor(strides=(-1,))), "TORCH_SHAPE"),
    "negative extent": (lambda: state(w=tensor((-4,))), "TORCH_SHAPE"),
    "true as an extent": (
        lambda: state(w=call("torch._utils", "_rebuild_tensor", storage(), b"K\x00", b"\x88\x85", b"K\x01\x85")),
        "TORCH_SHAPE",
    ),
    "product overflows": (lambda: state(w=tensor((2**40, 2**40), (0, 0))), "TORCH_SHAPE"),
    "overflow hidden by a zero": (lambda: state(w=tensor((2**40, 2**40, 0), (0, 0, 0))), "TORCH_SHAPE"),
    "nine dimensions": (lambda: state(w=tensor((1,) * 9, (1,) * 9)), "TORCH_SHAPE"),
    "more strides than extents": (lambda: state(w=tensor((4,), (1, 1))), "TORCH_SHAPE"),
    "shape is a number": (
        lambda: state(w=call("torch._utils", "_rebuild_tensor", storage(), b"K\x00", b"K\x04", b"K\x01")),
        "TORCH_SHAPE",
    ),
    "tensor of a text": (lambda: state(w=tensor(held=text("x"))), "TORCH_TENSOR"),
    "tensor of nothing": (lambda: state(w=call("torch._utils", "_rebuild_tensor_v2")), "TORCH_TENSOR"),
    "dtype is no dtype": (
        lambda: state(w=call("torch._utils", "_rebuild_tensor_v3", storage(), b"K\x00", counts((4,)), counts((1,)),
                             b"\x89", b"}", text("float32"))), "TORCH_TENSOR",
    ),
    "storage larger than its member": (
        lambda: state(w=tensor(held=storage(elements=2**31 - 1))), "TORCH_STORAGE_SIZE",
    ),
    "storage smaller than its member": (lambda: state(w=tensor((3,), held=storage(elements=3))), "TORCH_STORAGE_SIZE"),
    "storage with two sizes": (
        lambda: state(a=tensor(), b=tensor((2,), held=storage(elements=2))), "TORCH_STORAGE",
    ),
    "storage with two types": (
        lambda: state(a=tensor(), b=tensor(held=storage(kind="IntStorage"))), "TORCH_STORAGE",
    ),
    "negative storage": (lambda: state(w=tensor(held=storage(elements=-4))), "TORCH_STORAGE"),
    "storage of a dtype": (lambda: state(w=tensor(held=storage(kind="float32"))), "TORCH_STORAGE"),
    "view beyond its storage": (
        lambda: state(w=tensor((2,), held=storage(view=b"(" + text("1") + number(3) + number(2) + b"t"))),
        "TORCH_STORAGE",
    ),
    "malformed view": (lambda: state(w=tensor(held=storage(view=b"(t"))), "TORCH_STORAGE"),
    "two tensors of one name": (
        lambda: pickled(b"}" + text("a.b") + tensor() + b"s" + text("a") + b"}" + text("b") + tensor() + b"ss"),
        "TORCH_DUP_TENSOR",
    ),
    "name of 5 000 letters in parts": (
        lambda: pickled(b"}" + text("a" * 3000) + b"}" + text("b" * 2000) + tensor() + b"ss"), "TORCH_NAME",
    ),
}  # fmt: skip
"""(pickle, code or reason); the storage "0" has 16 bytes."""
