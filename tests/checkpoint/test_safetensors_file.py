"""The strict safetensors reader: everything it refuses, and that what it accepts the library accepts too."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from forensics.checkpoint.safetensors_file import BITS, HEADER_LIMIT, open_safetensors_file
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def packed(header: Any, body: bytes = b"") -> bytes:
    """A file of this header (JSON-able, or bytes as they are) and body."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def opened(tmp_path: Path, content: bytes) -> WeightFile:
    """The file of this content, opened."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return open_safetensors_file(path, "model.safetensors")


def item(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **rest: Any) -> dict[str, Any]:
    """One header item."""
    shape = list(shape) if isinstance(shape, tuple) else shape
    offsets = list(offsets) if isinstance(offsets, tuple) else offsets
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **rest}


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "ST_TRUNCATED"),
    "shorter than its length field": (b"\x02\0\0", "ST_TRUNCATED"),
    "header length over the cap": ((HEADER_LIMIT + 1).to_bytes(8, "little"), "ST_HEADER_TOO_LARGE"),
    "header length 100 000 001": ((100_000_001).to_bytes(8, "little"), "ST_HEADER_TOO_LARGE"),
    "header length 2^63": ((1 << 63).to_bytes(8, "little"), "ST_HEADER_TOO_LARGE"),
    "header longer than the file": ((64).to_bytes(8, "little") + b"{}", "ST_TRUNCATED"),
    "no header": (packed(b""), "ST_HEADER"),
    "leading space": (packed(b" {}"), "ST_HEADER"),
    "byte order mark": (packed(b"\xef\xbb\xbf{}"), "ST_HEADER"),
    "not JSON": (packed(b"{nonsense}"), "ST_HEADER"),
    "not UTF-8": (packed(b'{"\xff": 1}'), "ST_HEADER"),
    "a list": (packed(b"[]"), "ST_HEADER"),
    "deeply nested": (packed(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "ST_HEADER"),
    "number of 10 000 digits": (packed(b'{"a":' + b"9" * 10_000 + b"}"), "ST_HEADER"),
    "garbage behind the object": (packed(b"{}{}"), "ST_HEADER"),
    "tensor named twice": (packed(b'{"a":%s,"a":%s}' % ((json.dumps(F32).encode(),) * 2), bytes(8)), "ST_DUP_KEY"),
    "key twice in an item": (packed(b'{"a":{"dtype":"F32","dtype":"F32","shape":[]}}'), "ST_DUP_KEY"),
    "key twice in the metadata": (packed(b'{"__metadata__":{"a":"b","a":"c"}}'), "ST_DUP_KEY"),
    "metadata that is no map": (packed({"__metadata__": 3}), "ST_HEADER"),
    "metadata that is not text": (packed({"__metadata__": {"a": 1}}), "ST_HEADER"),
    "item is no object": (packed({"a": 3}), "ST_HEADER"),
    "item lacks a key": (packed({"a": {"dtype": "F32", "shape": []}}), "ST_HEADER"),
    "item has an extra key": (packed({"a": item(strides=[1])}, bytes(8)), "ST_HEADER"),
    "unknown dtype": (packed({"a": item("F128")}, bytes(8)), "ST_DTYPE"),
    "dtype is no text": (packed({"a": item(7)}, bytes(8)), "ST_DTYPE"),
    "shape is no list": (packed({"a": item(shape="2")}, bytes(8)), "ST_SHAPE"),
    "negative extent": (packed({"a": item(shape=(-2,))}, bytes(8)), "ST_SHAPE"),
    "fractional extent": (packed({"a": item(shape=(2.0,))}, bytes(8)), "ST_SHAPE"),
    "true as an extent": (packed({"a": item(shape=(True, 2))}, bytes(8)), "ST_SHAPE"),
    "nine dimensions": (packed({"a": item(shape=(1,) * 9, offsets=(0, 4))}, bytes(4)), "ST_SHAPE"),
    "product overflows 64 bits": (packed({"a": item(shape=(2**61, 8))}, bytes(8)), "ST_SHAPE"),
    "overflow hidden by a zero": (packed({"a": item(shape=(2**61, 2**61, 0), offsets=(0, 0))}), "ST_SHAPE"),
    "three offsets": (packed({"a": item(offsets=(0, 8, 8))}, bytes(8)), "ST_OFFSETS"),
    "negative offset": (packed({"a": item(offsets=(-8, 0))}, bytes(8)), "ST_OFFSETS"),
    "offset beyond 2^62": (packed({"a": item(offsets=(2**62, 2**62 + 8))}, bytes(8)), "ST_OFFSETS"),
    "end before begin": (packed({"a": item(offsets=(8, 0))}, bytes(8)), "ST_SHAPE"),
    "range longer than the shape": (packed({"a": item(offsets=(0, 12))}, bytes(12)), "ST_SHAPE"),
    "half a byte": (packed({"a": item("F4", (3,), (0, 1))}, bytes(1)), "ST_SHAPE"),
    "overlap": (packed({"a": item(), "b": item(offsets=(4, 12))}, bytes(12)), "ST_OVERLAP"),
    "same range twice": (packed({"a": item(), "b": item()}, bytes(8)), "ST_OVERLAP"),
    "hole at the start": (packed({"a": item(offsets=(8, 16))}, bytes(16)), "ST_HOLE"),
    "hole between": (packed({"a": item(), "b": item(offsets=(12, 20))}, bytes(20)), "ST_HOLE"),
    "name of 5 MB": (packed({"n" * 5_000_000: item()}, bytes(8)), "ST_NAME"),
    "half a surrogate pair": (packed(b'{"\\ud800":%s}' % json.dumps(F32).encode(), bytes(8)), "ST_NAME"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code"), REFUSED.values(), ids=REFUSED)
def test_malformed_file_is_refused_with_its_code(content: bytes, code: str, tmp_path: Path) -> None:
    """Every malformed header is a CheckpointError with the code of its fault."""
    with pytest.raises(CheckpointError) as refused:
        opened(tmp_path, content)
    assert refused.value.code == code
    assert len(refused.value.message) < 400


def test_too_many_tensors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header full of empty tensors, which cost no bytes of data, is refused by their number."""
    monkeypatch.setattr("forensics.checkpoint.safetensors_file.TENSOR_LIMIT", 500)
    many = {str(n): item(shape=(0,), offsets=(0, 0)) for n in range(500)}
    opened(tmp_path, packed(many)).close()
    content = packed({**many, "500": item(shape=(0,), offsets=(0, 0))})
    with pytest.raises(CheckpointError) as refused:
        opened(tmp_path, content)
    assert refused.value.code == "ST_TOO_MANY"


def test_refused_file_leaves_no_descriptor(tmp_path: Path) -> None:
    """A file that is refused is closed again."""
    before = len(os.listdir("/proc/self/fd"))
    for content, _ in list(REFUSED.values())[:20]:
        with pytest.raises(CheckpointError):
            opened(tmp_path, content)
    assert len(os.listdir("/proc/self/fd")) == before


def test_odd_names_are_read_as_text(tmp_path: Path) -> None:
    """A name that looks like a path or hides direction marks is only a name."""
    names = ["../../etc/passwd", "C:\\x", "x\u202e\0<script>", ""]
    header = {name: item(offsets=(8 * i, 8 * i + 8)) for i, name in enumerate(names)}
    file = opened(tmp_path, packed(header, bytes(32)))
    assert [e.name for e in file.entries] == names
    file.close()


@pytest.mark.parametrize("lost", [1, 8, 9, 16])
def test_truncated_file_keeps_whole_tensors(lost: int, tmp_path: Path) -> None:
    """A file cut short offers exactly the tensors that lie wholly in it and names the others."""
    header = {name: item(offsets=(8 * i, 8 * i + 8)) for i, name in enumerate("abc")}
    file = opened(tmp_path, packed(header, bytes(24))[:-lost])
    whole = 3 - (lost + 7) // 8
    assert [e.name for e in file.entries] == list("abc")[:whole]
    assert [e.name for e in file.missing] == list("abc")[whole:]
    file.close()


def test_trailing_bytes_are_told(tmp_path: Path) -> None:
    """Bytes behind the last tensor, as in a polyglot file, are counted."""
    file = opened(tmp_path, packed({"a": F32}, bytes(8) + b"PK\x03\x04"))
    assert file.trailing == 4
    file.close()


def test_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    """A file that becomes shorter after opening gives a short-read error, not a dead process."""
    file = opened(tmp_path, packed({"a": item(shape=(1000,), offsets=(0, 4000))}, bytes(4000)))
    os.truncate(tmp_path / "model.safetensors", 600)
    with pytest.raises(CheckpointError) as shrank:
        list(file.chunks(file.entries[0].begin, file.entries[0].end, 256))
    assert shrank.value.code == "SHRANK"
    file.close()


def test_replaced_file_is_read_through_its_descriptor(tmp_path: Path) -> None:
    """What is read is the file that was checked, though another one took its name."""
    file = opened(tmp_path, packed({"a": F32}, b"original"))
    other = tmp_path / "other"
    other.write_bytes(packed({"a": F32}, b"replaced"))
    os.replace(other, tmp_path / "model.safetensors")
    assert file.read(file.entries[0].begin, 8) == b"original"
    file.close()


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_is_no_regular_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    """A pipe, a folder or a link is refused without blocking or following."""
    path = tmp_path / "model.safetensors"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/hostname")
    began = time.monotonic()
    with pytest.raises(CheckpointError) as refused:
        open_safetensors_file(path, "model.safetensors")
    assert refused.value.code in {"NOT_A_FILE", "UNREADABLE"}
    assert time.monotonic() - began < 1


def test_library_files_are_read_whole(tmp_path: Path) -> None:
    """Every dtype the library writes is listed with its shape, range and metadata."""
    tensors = {
        "bf16": torch.randn(3, 5).bfloat16(),
        "f16": torch.randn(7).half(),
        "f32": torch.randn(2, 2, 2),
        "f64": torch.randn(1, 3).double(),
        "i8": torch.arange(4, dtype=torch.int8),
        "bool": torch.tensor([True, False]),
        "fp8": torch.randn(6).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(1.0),
        "none": torch.zeros(0, 4),
    }
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    file = open_safetensors_file(tmp_path / "a.safetensors", "a")
    assert {e.name: e.shape for e in file.entries} == {n: tuple(t.shape) for n, t in tensors.items()}
    assert (file.missing, file.trailing, file.metadata) == ([], 0, {"format": "pt"})
    for entry in file.entries:
        stored = file.read(entry.begin, entry.end - entry.begin)
        flat = tensors[entry.name].reshape(-1)
        assert stored == (flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    file.close()


names = st.text(min_size=0, max_size=6)
extents = st.one_of(st.integers(0, 4), st.sampled_from([-1, 2**31, 2**61, 2**64, 1.0, True, None]))
offsets_near = st.integers(-2, 40)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A header and a body: sound, then perhaps spoilt in one place."""
    header: dict[str, Any] = {}
    position = 0
    for name in draw(st.lists(names, max_size=4, unique=True)):
        dtype = draw(st.sampled_from(sorted(BITS)))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        size = int(np.prod(shape, dtype=np.int64)) * BITS[dtype] // 8
        header[name] = item(dtype, shape, [position, position + size])
        position += size
    spoil, tell = draw(st.booleans()), draw(st.booleans())
    if header and spoil:
        spoilt = header[draw(st.sampled_from(sorted(header)))]
        what = draw(st.sampled_from(["shape", "data_offsets", "dtype"]))
        if what == "dtype":
            spoilt[what] = draw(st.sampled_from([*sorted(BITS), "F6_E2M3", "f32", ""]))
        else:
            spoilt[what] = draw(st.lists(extents if what == "shape" else offsets_near, max_size=4))
    if tell:
        header["__metadata__"] = draw(st.dictionaries(names, names, max_size=2))
    raw = json.dumps(header, ensure_ascii=spoil).encode("utf-8", "surrogatepass")
    raw = draw(st.sampled_from([raw, raw + b"  ", b" " + raw, raw.replace(b"{", b"[", 1), raw + b"\0"]))
    return raw, draw(st.binary(min_size=position, max_size=position))


def library_reading(path: Path) -> dict[str, torch.Tensor | None] | None:
    """Every tensor as the library reads it, or None where it refuses the file.

    Numbers of four bits are listed without their values: torch packs two and takes no odd row of them.
    """
    try:
        with safe_open(path, "pt") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            return {name: None if kind == "F4" else file.get_tensor(name) for name, kind in kinds.items()}
    except SafetensorError:
        return None


def compared(file: WeightFile, library: Mapping[str, torch.Tensor | None]) -> None:
    """Fails unless both readers see the same names, shapes and bytes."""
    assert {e.name for e in file.entries} == set(library)
    for entry in file.entries:
        tensor = library[entry.name]
        if tensor is None:
            continue
        assert entry.shape == tuple(tensor.shape)
        flat = tensor.contiguous().reshape(-1)
        theirs = flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        assert file.read(entry.begin, entry.end - entry.begin) == theirs


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers())
def test_what_we_accept_the_library_accepts(tmp_path: Path, made: tuple[bytes, bytes]) -> None:
    """A file that our reader takes as whole is taken by the library too, with the same tensors."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed(*made))
    try:
        file = open_safetensors_file(path, "model.safetensors")
    except CheckpointError:
        return
    try:
        if not file.missing and not file.trailing:
            library = library_reading(path)
            assert library is not None
            compared(file, library)
    finally:
        file.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 240), byte=st.integers(0, 255))
def test_one_changed_byte_never_crashes(tmp_path: Path, at: int, byte: int) -> None:
    """A sound file with any one byte changed is read or refused, and agrees with the library where whole."""
    sound = packed(
        {"__metadata__": {"format": "pt"}, "a": F32, "b": item("BF16", (2, 2), (8, 16))}, bytes(range(16))
    )
    content = bytearray(sound)
    content[at % len(content)] = byte
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    try:
        file = open_safetensors_file(path, "model.safetensors")
    except CheckpointError:
        return
    if not file.missing and not file.trailing:
        library = library_reading(path)
        assert library is not None
        compared(file, library)
    file.close()
