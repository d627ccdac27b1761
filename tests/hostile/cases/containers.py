"""Safetensors files that lie: each alone, where it is refused by its code, and as one shard beside a sound one."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import Collection, Traps
from tests.hostile.files import item, raw_file
from tests.tiny import write

CASES = Collection("safetensors files")
Make = Callable[[Path], Any]
GOOD = item([2], [0, 8])


def container(number: str, title: str, code: str, **expected: Any) -> Callable[[Make], Make]:
    """Adds the decorated maker of one file twice: alone, and beside a sound shard that must still be read."""

    def added(make: Make) -> Make:
        def alone(path: Path, _: Traps) -> None:
            make(path / "x.safetensors")

        def beside(path: Path, _: Traps) -> None:
            write(path)
            (path / "model.safetensors").rename(path / "a.safetensors")
            make(path / "b.safetensors")

        CASES.case(number, f"{title}, alone", refused=code, single="x.safetensors", **expected)(alone)
        CASES.case(number, f"{title}, as a shard", codes=(code,), check=rest_was_read, **expected)(beside)
        return make

    return added


def rest_was_read(subject: Any) -> None:
    """The sound shard was recognised whole."""
    assert subject["recognised"] > 500
    assert subject["architecture"]["layers"] == 2


def made(
    number: str, title: str, code: str, header: Any, body: bytes = b"", length: int | None = None
) -> None:
    """A container case that is just these bytes."""
    container(number, title, code)(lambda path: raw_file(path, header, body, length))


made("1", "a header of 100 000 001 bytes is claimed", "ST_HEADER_TOO_LARGE", b"{}", b"", 100_000_001)
made("2", "a header of 2^63 bytes is claimed", "ST_HEADER_TOO_LARGE", b"{}", b"", 1 << 63)
made("2a", "a header of 2^64-1 bytes is claimed", "ST_HEADER_TOO_LARGE", b"{}", b"", (1 << 64) - 1)
made("3", "the header is longer than the file", "ST_TRUNCATED", {"a": GOOD}, b"", 5000)
made("4", "the header begins with a space", "ST_HEADER", " " + json.dumps({"a": GOOD}), bytes(8))
made(
    "4a",
    "the header begins with a byte order mark",
    "ST_HEADER",
    "\ufeff" + json.dumps({"a": GOOD}),
    bytes(8),
)
made(
    "5",
    "two tensors have one name",
    "ST_DUP_KEY",
    f'{{"a":{json.dumps(GOOD)},"a":{json.dumps(GOOD)}}}',
    bytes(8),
)
made("6", "the metadata name a key twice", "ST_DUP_KEY", '{"__metadata__":{"x":"1","x":"2"}}')
made("7", "two tensors overlap", "ST_OVERLAP", {"a": GOOD, "b": item([2], [4, 12])}, bytes(12))
made("7a", "two names share all bytes", "ST_OVERLAP", {"a": GOOD, "b": item([2], [0, 8])}, bytes(8))
made("8", "a hole lies between two tensors", "ST_HOLE", {"a": GOOD, "b": item([2], [16, 24])}, bytes(24))
made("8a", "a hole lies before the first tensor", "ST_HOLE", {"a": item([2], [8, 16])}, bytes(16))
made("11", "shape and bytes disagree", "ST_SHAPE", {"a": item([3], [0, 8])}, bytes(8))
made("11a", "the range is reversed", "ST_SHAPE", {"a": item([2], [8, 0])}, bytes(8))
made(
    "12",
    "the shape's product overflows 64 bits",
    "ST_SHAPE",
    {"a": item([1 << 40, 1 << 40], [0, 8])},
    bytes(8),
)
made("12a", "a zero hides an absurd shape", "ST_SHAPE", {"a": item([1 << 61, 1 << 61, 0], [0, 0])})
made("13", "a dimension is negative", "ST_SHAPE", {"a": item([-2], [0, 8])}, bytes(8))
made("13a", "a dimension is a float", "ST_SHAPE", {"a": item([2.0], [0, 8])}, bytes(8))
made("13b", "a dimension is true", "ST_SHAPE", {"a": item([True, 2], [0, 8])}, bytes(8))
made(
    "13c",
    "a dimension has ten thousand digits",
    "ST_HEADER",
    '{"a":{"dtype":"F32","shape":[' + "9" * 10_000 + '],"data_offsets":[0,8]}}',
    bytes(8),
)
made("13d", "an offset is a text", "ST_OFFSETS", {"a": item([2], ["0", 8])}, bytes(8))
made("14", "the dtype is unknown", "ST_DTYPE", {"a": item([2], [0, 8], "F31")}, bytes(8))
made("14a", "the dtype is a list", "ST_DTYPE", {"a": item([2], [0, 8], ["F32"])}, bytes(8))
made("16", "a tensor's name has five million letters", "ST_NAME", {"n" * 5_000_000: GOOD}, bytes(8))
made(
    "+1",
    "a tensor's name is half a surrogate pair",
    "ST_NAME",
    '{"\\ud800": ' + json.dumps(GOOD) + "}",
    bytes(8),
)
made("+2", "the header is nested 100 000 deep", "ST_HEADER", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
made(
    "+3",
    "the header holds NaN",
    "ST_SHAPE",
    '{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}',
    bytes(8),
)
made("+4", "the header is not UTF-8", "ST_HEADER", b'{"\xff\xfe": 1}')
made("+5", "the header is a list", "ST_HEADER", "[1]")
made("+6", "an item has a key more", "ST_HEADER", {"a": {**GOOD, "code": "x"}}, bytes(8))
made("+7", "the metadata hold objects", "ST_HEADER", {"__metadata__": {"x": {"y": 1}}})
container("+8", "the file has seven bytes", "ST_TRUNCATED")(
    lambda path: path.parent.mkdir(exist_ok=True) or path.write_bytes(bytes(7))
)
made("+9", "the header is cut inside a string", "ST_HEADER", '{"a":{"dty')
made("+10", "a tensor has nine dimensions", "ST_SHAPE", {"a": item([1] * 8 + [2], [0, 8])}, bytes(8))


@container("15", "a million empty tensors are listed", "ST_HEADER_TOO_LARGE", seconds=2.0)
def crowded(path: Path) -> None:
    """66 MB of header, which the library takes 800 MB to read."""
    one = '"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    raw_file(path, "{" + ",".join(one % i for i in range(1_000_000)) + "}")


@container("15a", "300 000 empty tensors fit the header's limit", "ST_TOO_MANY", seconds=4.0, megabytes=500)
def full(path: Path) -> None:
    """Just below the limit of bytes and above that of tensors."""
    one = '"%06d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    raw_file(path, "{" + ",".join(one % i for i in range(300_000)) + "}")


def beside(number: str, title: str, code: str, change: Callable[[Path], None], **expected: Any) -> None:
    """A sound single file that is changed, read with a problem of that code."""

    def build(path: Path, _: Traps) -> None:
        write(path)
        change(path / "model.safetensors")

    CASES.case(number, title, codes=(code,) if code else (), **expected)(build)


def appended(tail: bytes) -> Callable[[Path], None]:
    """Bytes behind the last tensor."""

    def change(path: Path) -> None:
        with path.open("ab") as file:
            file.write(tail)

    return change


def cut_by_one(path: Path) -> None:
    """One byte short."""
    path.write_bytes(path.read_bytes()[:-1])


def incomplete(subject: Any) -> None:
    """Coverage is below one and says why."""
    assert 0 < subject["recognised"] < subject["parameters"]
    assert subject["unexamined"]


ZIP = b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
beside("9", "a zip archive is appended", "ST_TRAILING", appended(ZIP), whole=True)
beside("9a", "an ELF program is appended", "ST_TRAILING", appended(b"\x7fELF" + bytes(60)))
beside("10", "the file is one byte short", "ST_TRUNCATED", cut_by_one, check=incomplete, whole=True)


@CASES.case("10a", "the last shard is one byte short", codes=("ST_TRUNCATED",), check=incomplete)
def short_shard(path: Path, _: Traps) -> None:
    """The others are whole."""
    write(path, shards=3)
    cut_by_one(max(path.glob("*.safetensors")))


@CASES.case("17", "tensors are called like paths, scripts and escapes", codes=(), check=incomplete)
def named(path: Path, _: Traps) -> None:
    """Names are text, whatever they look like."""
    from tests.hostile.files import with_tensors
    from tests.tiny import llama_tensors

    one = llama_tensors()["model.norm.weight"]
    names = (
        "../../etc/passwd",
        "C:\\x",
        "x\u202e\0<script>",
        "\x1b]8;;http://x\x07",
        "=cmd|' /C calc'!A0",
        "",
    )
    with_tensors(path, **dict.fromkeys(names, one))


@CASES.case("+11", "the magic says GGUF, the name safetensors", refused="", codes=("GGUF_COUNT",), more=True)
def masked(path: Path, _: Traps) -> None:
    """Told apart by content; beside it lies a sound shard."""
    write(path)
    (path / "model.safetensors").rename(path / "a.safetensors")
    (path / "b.safetensors").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1))


@CASES.case("+12", "values are of a precision nobody reads", codes=(), check=incomplete)
def complex_numbers(path: Path, _: Traps) -> None:
    """C64 tensors are listed as not examined."""
    from tests.tiny import CONFIG, llama_tensors

    tensors = llama_tensors()
    header, body = {}, b""
    for name, values in tensors.items():
        raw = values.tobytes()
        header[name] = item(list(values.shape), [len(body), len(body) + len(raw)])
        body += raw
    header["imaginary"] = item([2], [len(body), len(body) + 16], "C64")
    raw_file(path / "model.safetensors", header, body + bytes(16))
    (path / "config.json").write_text(json.dumps(CONFIG))
