"""The GGUF reader meets hostile headers: each is refused with its code, soon and without memory."""

from __future__ import annotations

import struct
import sys
import time
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.gguf_file import open_gguf
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError
from tests.ggufs import Bytes, composed, key, listed, tensor, text

U32, F32, STRING, ARRAY = 4, 6, 8, 9
HUGE = [2**31, 2**60, 2**62, 2**63, 2**64 - 1]


def one(
    extents: list[int], kind: int = 0, offset: int = 0, content: int = 64, n_dims: int | None = None
) -> bytes:
    """A file with one tensor."""
    return composed([], [tensor("a", extents, kind, offset, n_dims)], bytes(content))


def aligned(value: bytes, kind: int = U32) -> bytes:
    """A file that says how its tensors are aligned."""
    return composed([key("general.alignment", kind, value)], [tensor("a", [8])], bytes(64))


def nested(depth: int) -> bytes:
    """A key that is an array of an array, and so on."""
    inner = struct.pack("<IQ", ARRAY, 1) * depth + struct.pack("<IQ", 0, 0)
    return composed([key("deep", ARRAY, inner)])


HOSTILE = {
    "empty": (b"", "GGUF_MAGIC"),
    "another format": (b"PK\x03\x04" + bytes(60), "GGUF_MAGIC"),
    "only the magic": (b"GGUF", "GGUF_TRUNCATED"),
    "version 1": (composed(version=1), "GGUF_VERSION"),
    "version 4": (composed(version=4), "GGUF_VERSION"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "GGUF_VERSION"),
    "cut in the tensor table": (composed([], [tensor("a", [8])])[:50], "GGUF_TRUNCATED"),
    "a key that ends with the file": (composed([key("k", U32, b"")])[:37], "GGUF_TRUNCATED"),
    "a value of type 13": (composed([key("k", 13, bytes(64))]), "GGUF_TYPE"),
    "an array of type 77": (composed([key("k", ARRAY, listed(77, [bytes(8)]))]), "GGUF_TYPE"),
    "a key that is not UTF-8": (composed([text(b"\xff\xfe") + bytes(4) + bytes(8)]), "GGUF_STRING"),
    "a name that is not UTF-8": (composed([], [text(b"\xff") + bytes(64)]), "GGUF_STRING"),
    "a key twice": (composed([key("k", U32, bytes(4))] * 2), "GGUF_DUP_KEY"),
    "a tensor twice": (composed([], [tensor("a", [8]), tensor("a", [8], 0, 32)], bytes(64)), "GGUF_DUP_TENSOR"),
    "overlapping tensors": (composed([], [tensor("a", [9]), tensor("b", [8], 0, 32)], bytes(96)), "GGUF_OVERLAP"),
    "tensors at one place": (composed([], [tensor("a", [8]), tensor("b", [8])], bytes(96)), "GGUF_OVERLAP"),
    "an unknown type over another": (composed([], [tensor("a", [8], 99), tensor("b", [8])], bytes(96)), "GGUF_OVERLAP"),
    "offset off the alignment": (one([8], offset=8), "GGUF_OFFSET"),
    "offset beyond the end": (one([8], offset=1 << 40), "GGUF_OFFSET"),
    "offset that wraps round": (one([8], offset=2**64 - 32), "GGUF_OFFSET"),
    "no dimensions": (one([]), "GGUF_DIMS"),
    "2^31 dimensions": (one([1], n_dims=2**31), "GGUF_DIMS"),
    "dimensions that overflow": (one([2**33, 2**31]), "GGUF_DIMS"),
    "dimensions that overflow behind a zero": (one([0, 2**63]), "GGUF_DIMS"),
    "alignment 0": (aligned(struct.pack("<I", 0)), "GGUF_ALIGNMENT"),
    "alignment 48": (aligned(struct.pack("<I", 48)), "GGUF_ALIGNMENT"),
    "alignment 2^31": (aligned(struct.pack("<I", 2**31)), "GGUF_ALIGNMENT"),
    "alignment as text": (aligned(text("32"), STRING), "GGUF_ALIGNMENT"),
    "alignment as a fraction": (aligned(struct.pack("<f", 32), F32), "GGUF_ALIGNMENT"),
    "arrays nested 50,000 deep": (nested(50_000), "GGUF_NESTED"),
    "more strings than any vocabulary has": (
        composed([key("k", ARRAY, listed(STRING, [bytes(8)] * 2_100_000))]), "GGUF_COUNT",
    ),
    "arrays of arrays without end": (
        composed([key("k", ARRAY, listed(ARRAY, [struct.pack("<IQ", ARRAY, 0)] * 2_100_000))]), "GGUF_COUNT",
    ),
}  # fmt: skip
HOSTILE |= {f"{n} items of type {kind}": (composed([key("k", ARRAY, listed(kind, [], n))]), "GGUF_COUNT")
            for n in HUGE for kind in (0, STRING, ARRAY)}  # fmt: skip
HOSTILE |= {f"{n} tensors": (composed(counts=(n, 0)), "GGUF_COUNT") for n in HUGE}
HOSTILE |= {f"{n} keys": (composed(counts=(0, n)), "GGUF_COUNT") for n in HUGE}
HOSTILE |= {
    f"{n} letters in a key": (composed([struct.pack("<Q", n) + bytes(16)]), "GGUF_STRING") for n in HUGE
}
HOSTILE |= {f"{n} letters in a value": (composed([key("k", STRING, struct.pack("<Q", n))]), "GGUF_STRING")
            for n in HUGE}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused(case: str) -> None:
    """With the code that says why, in under a second, and with no more memory than the file has bytes."""
    raw, code = HOSTILE[case]
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        open_gguf(Bytes(raw))
    took = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == code
    assert took < 1
    assert peak < 4 * len(raw) + 4_000_000


def test_a_file_of_57_bytes_cannot_ask_for_memory() -> None:
    """An array of 2^60 bytes in a tiny file is refused at once."""
    raw = composed([key("abcdefghi", ARRAY, listed(0, [], 2**60))], alignment=1)
    assert len(raw) == 57
    began = time.process_time()
    with pytest.raises(CheckpointError):
        open_gguf(Bytes(raw))
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("kind", "columns", "reason"),
    [
        (99, 8, "not known"), (4, 32, "removed"), (36, 32, "removed"), (9, 32, "Q8_1"), (15, 256, "Q8_K"),
        (41, 128, "Q1_0"), (26, 8, "integers"), (12, 8, "no whole blocks"),
    ],
)  # fmt: skip
def test_a_type_that_cannot_be_read_costs_one_tensor(kind: int, columns: int, reason: str) -> None:
    """The tensor is refused with the reason; its neighbours are read."""
    size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)] if kind in (9, 15, 26, 41) else (1, 1)
    behind = -(-columns // size[0] * size[1] // 32) * 32 + 32
    tensors = [tensor("a", [8]), tensor("b", [columns], kind, 32), tensor("c", [8], 0, 32 + behind)]
    file = open_gguf(Bytes(composed([], tensors, bytes(64 + behind))))
    assert [e.name for e in file.entries] == ["a", "c"]
    ((entry, why),) = file.refused
    assert entry.name == "b"
    assert reason in why


def test_a_cut_file_loses_its_last_tensors_only() -> None:
    """What begins where it should and ends behind the file is missing; the rest is there."""
    whole = composed([], [tensor(n, [8], 0, 32 * i) for i, n in enumerate("abcd")], bytes(128))
    for lost, left in ((1, "abc"), (32, "abc"), (33, "ab"), (128, "")):
        file = open_gguf(Bytes(whole[: len(whole) - lost]))
        assert "".join(e.name for e in file.entries) == left
        assert "".join(e.name for e in file.missing) == "abcd"[len(left) :]


def test_bytes_that_belong_to_no_tensor_are_told_of() -> None:
    """A hole between tensors and bytes behind the last one are where something else can hide."""
    tensors = [tensor("a", [8]), tensor("b", [8], 0, 96)]
    file = open_gguf(Bytes(composed([], tensors, bytes(128 + 40))))
    assert [code for code, _ in file.problems] == ["GGUF_HOLE"]
    assert file.trailing == 40


def test_shapes_are_rows_first() -> None:
    """GGUF lists columns first; everything of ours has them last."""
    file = open_gguf(Bytes(composed([], [tensor("a", [4, 3, 2])], bytes(96))))
    assert file.entries[0].shape == (2, 3, 4)


def test_metadata_is_kept_in_bounds() -> None:
    """Long text and long arrays are cut, the vocabulary is kept whole, a NaN becomes None."""
    tokens = listed(STRING, [text(f"t{i}") for i in range(3_000)])
    keys = [
        key("long", STRING, text("x" * 100_000)),
        key("numbers", ARRAY, listed(U32, [struct.pack("<I", i) for i in range(3_000)])),
        key("bytes", STRING, text(b"\xff\xfe")),
        key("nan", F32, struct.pack("<f", float("nan"))),
        key("tokenizer.ggml.tokens", ARRAY, tokens),
        key("nested", ARRAY, listed(ARRAY, [listed(U32, [bytes(4)]), listed(STRING, [text("a")])])),
        key("behind", U32, struct.pack("<I", 7)),
    ]
    found = open_gguf(Bytes(composed(keys))).metadata
    assert len(found["long"]) == 4_096
    assert found["numbers"] == list(range(512))
    assert found["bytes"] == "\ufffd\ufffd"
    assert found["nan"] is None
    assert found["tokenizer.ggml.tokens"] == [f"t{i}" for i in range(3_000)]
    assert found["nested"] == [[0], ["a"]]
    assert found["behind"] == 7


@pytest.mark.parametrize("chunk", [1, 24, 1 << 16])
def test_a_header_is_read_in_pieces_of_any_size(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a piece ends within a number or a string changes nothing."""
    monkeypatch.setattr("forensics.checkpoint.gguf_header.Header.__init__.__defaults__", (chunk,))
    tokens = [f"token {i}" * (i % 7) for i in range(200)]
    keys = [key("tokenizer.ggml.tokens", ARRAY, listed(STRING, [text(t) for t in tokens]))]
    file = open_gguf(Bytes(composed(keys, [tensor("a", [8])], bytes(32))))
    assert file.metadata["tokenizer.ggml.tokens"] == tokens
    assert file.entries[0].name == "a"


def test_a_real_vocabulary_is_read_within_a_second_and_without_the_rest_of_the_file() -> None:
    """152,000 tokens and 150,000 merges; of 30 MB behind them at most one piece is read."""
    tokens = listed(STRING, [text(f"tok{i:08}") for i in range(152_000)])
    merges = listed(STRING, [text(f"me{i} rge{i}") for i in range(150_000)])
    types = listed(5, [struct.pack("<i", 1)] * 152_000)
    keys = [
        key("tokenizer.ggml.tokens", ARRAY, tokens),
        key("tokenizer.ggml.token_type", ARRAY, types),
        key("tokenizer.ggml.merges", ARRAY, merges),
    ]
    header = len(composed(keys))
    asked: list[int] = []
    source = Bytes(composed(keys, [tensor("a", [1 << 20, 7])], bytes(28 << 20)), asked=asked)
    began = time.process_time()
    file = open_gguf(source)
    assert time.process_time() - began < 1
    assert len(file.metadata["tokenizer.ggml.merges"]) == 150_000
    assert sum(asked) < header + (9 << 20)


def valid() -> bytes:
    """A small sound file with something of everything."""
    keys = [
        key("general.architecture", STRING, text("llama")),
        key("general.alignment", U32, struct.pack("<I", 32)),
        key("list", ARRAY, listed(STRING, [text("a"), text("bc")])),
        key("numbers", ARRAY, listed(U32, [struct.pack("<I", i) for i in range(3)])),
        key("flag", 7, b"\x01"),
        key("wide", 10, struct.pack("<Q", 5)),
    ]
    content = bytes(range(256)) * 2
    tensors = [tensor("m", [4, 3]), tensor("half", [16], 1, 64), tensor("q", [32, 2], 8, 96)]
    return composed(keys, tensors, content[:192])


def second_opinion(raw: bytes, path: Path) -> list[tuple[str, tuple[int, ...], bytes]]:
    """What gguf's own reader finds: (name, shape, bytes) of every tensor."""
    path.write_bytes(raw)
    reader = gguf.GGUFReader(path)
    return [
        (t.name, tuple(int(n) for n in reversed(t.shape)), np.ascontiguousarray(t.data).tobytes())
        for t in reader.tensors
    ]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, len(valid()) - 1), st.integers(0, 255) | st.sampled_from([0, 1, 8, 9, 32, 255])
        ),
        max_size=3,
    ),
    cut=st.integers(0, 200) | st.just(0),
)
def test_what_is_accepted_is_what_another_reader_finds(
    changes: list[tuple[int, int]], cut: int, tmp_path: Path
) -> None:
    """Of a changed or cut file either nothing is accepted, or just the tensors that gguf's own reader finds."""
    raw = bytearray(valid())
    for place, value in changes:
        raw[place] = value
    raw = raw[: len(raw) - cut]
    try:
        file = open_gguf(Bytes(bytes(raw)))
    except CheckpointError:
        return
    if file.missing or file.refused or b"GGUF." in raw:  # the other reader keeps its own keys under that name
        return
    mine = [(e.name, e.shape, bytes(raw[e.begin : e.end])) for e in file.entries]
    theirs = sorted(second_opinion(bytes(raw), tmp_path / "x.gguf"))
    assert [(n, b) for n, _, b in sorted(mine)] == [(n, b) for n, _, b in theirs]
    assert [s for _, s, _ in sorted(mine)] == [s for _, s, _ in theirs]


def test_the_sound_file_is_accepted(tmp_path: Path) -> None:
    """The comparison above has something to compare."""
    assert len(open_gguf(Bytes(valid())).entries) == 3
    assert len(second_opinion(valid(), tmp_path / "x.gguf")) == 3


def test_a_hostile_file_is_an_error_of_the_whole_tool(tmp_path: Path) -> None:
    """Opened as a checkpoint it is refused with the reader's code, not a traceback."""
    path = tmp_path / "model.gguf"
    path.write_bytes(HOSTILE["overlapping tensors"][0])
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert caught.value.code == "GGUF_OVERLAP"


def opened(raw: bytes) -> WeightFile:
    """A file from bytes."""
    return open_gguf(Bytes(raw))


def test_names_are_hostile_text_and_no_more() -> None:
    """Paths, control characters and markup in a name are read as a name."""
    names = ["../../etc/passwd", "C:\\x", "x\u202e\0<script>"]
    raw = composed([], [tensor(n, [8], 0, 32 * i) for i, n in enumerate(names)], bytes(96))
    assert [e.name for e in opened(raw).entries] == names


def test_nothing_heavy_is_imported_to_read_a_header() -> None:
    """The gguf package is for numbers; a header needs none."""
    import subprocess

    script = "import sys; import forensics.checkpoint.gguf_file; print('gguf' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
