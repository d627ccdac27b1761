"""Quantised groups that are incomplete, contradictory or absurd: a reason each, no exception, nothing dropped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.checkpoint.quantised import claim
from forensics.checkpoint.safetensors_file import open_safetensors
from forensics.probe import Sketch, Sketcher, SketchProbe, TensorSpec
from forensics.reading import read
from tests.ggufs import Bytes
from tests.quantisers import SCHEMES, Typed, awq_gemv, f16, f32, file_bytes, fp8, named, whole, words, written
from tests.tiny import CONFIG

Change = Callable[[Typed], object]
STATE = ".weight.quant_state.bitsandbytes__nf4"


@dataclass(frozen=True, slots=True)
class Taking:
    """A sketcher that has every row decoded."""

    probe: SketchProbe

    def wants(self, spec: TensorSpec) -> bool:
        """Everything."""
        return bool(spec.rows)

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Nothing is kept."""

    def finish(self) -> Sketch:
        """Nothing."""
        return self.probe.sketch({})


@dataclass(frozen=True, kw_only=True)
class Looking(SketchProbe):
    """A probe that wants everything and keeps nothing."""

    id = "looking"
    version = "1"
    title = "Looking"
    measures = "Nothing."

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:  # noqa: ARG002
        """See SketchProbe."""
        return Taking(self)


def made(scheme: str) -> Typed:
    """The parts of one matrix of shape (64, 64)."""
    weight = (0.05 * np.random.default_rng(1).standard_normal((64, 64))).astype(np.float32)
    return SCHEMES[scheme][0](weight)[0]


def stated(**changes: Any) -> Change:
    """Changes what a quantisation state says; None leaves a key out."""

    def change(parts: Typed) -> None:
        state = {**json.loads(parts[STATE][2]), **changes}
        text = json.dumps({k: v for k, v in state.items() if v is not None}).encode()
        parts[STATE] = whole("U8", np.frombuffer(text, np.uint8))

    return change


def raw_state(text: bytes) -> Change:
    """Replaces a quantisation state."""
    return lambda parts: parts.update({STATE: whole("U8", np.frombuffer(text, np.uint8))})


def without(key: str) -> Change:
    """Takes a part away."""
    return lambda parts: parts.pop(key)


def instead(key: str, part: tuple[str, tuple[int, ...], bytes]) -> Change:
    """Puts another part in the place of one."""
    return lambda parts: parts.update({key: part})


HOSTILE: list[tuple[str, Change, str]] = [
    ("gptq-4", without(".scales"), "without its scales"),
    ("gptq-4", without(".qzeros"), "without its qzeros"),
    ("gptq-4", instead(".scales", f16(np.ones((3, 64)))), "do not fit"),
    ("gptq-4", instead(".scales", f16(np.ones((2, 60)))), "do not fit"),
    ("gptq-4", instead(".scales", whole("I32", np.ones((2, 64)))), "stored as I32"),
    ("gptq-4", instead(".qzeros", f32(np.ones((2, 8)))), "stored as F32"),
    ("gptq-4", instead(".qzeros", whole("I32", np.ones((2, 10)))), "do not fit"),
    ("gptq-4", instead(".g_idx", whole("I32", np.zeros(63))), "g_idx of shape"),
    ("gptq-4", instead(".g_idx", f32(np.zeros(64))), "stored as F32"),
    ("gptq-4", instead(".qweight", words(np.zeros((0, 64)))), "of shape"),
    ("gptq-4", instead(".qweight", words(np.zeros(64))), "of shape"),
    ("gptq-4", instead(".qweight", whole("I64", np.zeros((8, 64)))), "stored as I64"),
    ("awq", without(".qzeros"), "without its qzeros"),
    ("awq", instead(".qzeros", words(np.zeros((1, 8)))), "do not fit"),
    ("awq", instead(".scales", f16(np.zeros((2, 0)))), "of shape"),
    ("nf4", without(STATE), "without its quant_state"),
    ("nf4", without(".weight.absmax"), "without its absmax"),
    ("nf4", without(".weight.quant_map"), "without its quant_map"),
    ("nf4", instead(".weight.quant_map", f32(np.ones(17))), "17 numbers where 16"),
    ("nf4", instead(".weight.absmax", f32(np.ones(63))), "63 numbers where 64"),
    ("nf4", instead(".weight.absmax", f16(np.ones(64))), "stored as F16"),
    ("nf4", instead(".weight", f32(np.ones((64, 64)))), "stored as F32"),
    ("nf4", stated(blocksize=0), "blocksize is no sane number"),
    ("nf4", stated(blocksize=-64), "blocksize is no sane number"),
    ("nf4", stated(blocksize=64.5), "blocksize is no sane number"),
    ("nf4", stated(blocksize=True), "blocksize is no sane number"),
    ("nf4", stated(blocksize=10**30), "blocksize is no sane number"),
    ("nf4", stated(quant_type="fp4"), "says otherwise"),
    ("nf4", stated(quant_type=["nf4"]), "says otherwise"),
    ("nf4", stated(shape=None), "no shape"),
    ("nf4", stated(shape=[64, 64, 1]), "no shape"),
    ("nf4", stated(shape=[64, 65]), "in 2048 bytes"),
    ("nf4", stated(shape=[0, 64]), "sane number"),
    ("nf4", stated(shape=[2**62, 2**62]), "sane number"),
    ("nf4", stated(shape=["64", 64]), "sane number"),
    ("nf4", raw_state(b"[" * 4000), "not JSON"),
    ("nf4", raw_state(b'{"quant_type": "nf4", "blocksize": NaN}'), "NaN"),
    ("nf4", raw_state(b'{"a": 1, "a": 2}'), "twice"),
    ("nf4", raw_state(b"[1, 2]"), "no object"),
    ("nf4", raw_state(b'{"blocksize": ' + b"9" * 4000 + b"}"), ""),
    ("nf4", raw_state(b" " * 100_000), "takes 100000 bytes"),
    ("nf4", raw_state(b"\xff\xfe"), "not JSON"),
    ("nf4-nested", without(".weight.nested_absmax"), "without its nested_absmax"),
    ("nf4-nested", instead(".weight.nested_quant_map", f32(np.ones(255))), "255 numbers where 256"),
    ("nf4-nested", stated(nested_blocksize=0), "nested_blocksize is no sane number"),
    ("nf4-nested", stated(nested_offset="0"), "nested_offset is no number"),
    ("nf4-nested", stated(nested_offset=10**400), "nested_offset is no number"),
    ("bnb-int8", instead(".SCB", f32(np.ones(63))), "63 numbers where 64"),
    ("bnb-int8", instead(".weight_format", whole("U8", 2)), "one kind of processor"),
    ("fp8-block", instead(".weight_scale_inv", f32(np.ones((65, 1)))), "65 groups of scales for 64"),
    ("fp8-block", instead(".weight_scale_inv", f32(np.ones((0, 1)))), "0 groups of scales"),
    ("fp8-block", instead(".weight_scale_inv", f32(np.ones((2, 2, 2)))), "scales of shape"),
    ("fp8-block", instead(".weight_scale_inv", whole("I32", np.ones((1, 2)))), "stored as I32"),
    ("fp8-block", instead(".weight", ("F8_E4M3", (0, 64), b"")), "of shape"),
    ("fp8-block", instead(".weight", ("F8_E4M3", (2, 2, 16, 64), bytes(4096))), "of shape"),
    ("mxfp4", instead(".weight_scale", whole("U8", np.ones((64, 3)))), "scales of shape"),
    ("mxfp4", without(".weight_scale"), "without its scale"),
    ("mxfp4", instead(".weight_scale", f16(np.ones((64, 2)))), "not known"),
    ("nvfp4", without(".weight_global_scale"), "not known"),
    ("nvfp4", instead(".weight_global_scale", f32(np.ones((3, 3)))), ""),
    ("nvfp4-modelopt", instead(".pre_quant_scale", f16(np.ones(64))), "one by one"),
    ("ct-int8", instead(".weight_scale", whole("U8", np.ones((64, 2)))), "not known"),
    ("ct-int4", without(".weight_shape"), "without its shape"),
    ("ct-int4", without(".weight_scale"), "without its scale"),
    ("ct-int4", instead(".weight_shape", whole("I64", [64, 640])), "numbers in 8 words"),
    ("ct-int4", instead(".weight_shape", whole("I64", [63, 64])), "weight_shape is"),
    ("ct-int4", instead(".weight_shape", whole("I64", [-64, 64])), "weight_shape is"),
    ("ct-int4", instead(".weight_shape", whole("I64", [64, 0])), "weight_shape is"),
    ("ct-int4", instead(".weight_shape", whole("I64", np.ones(5000))), "takes 40000 bytes"),
    ("ct-int4", instead(".weight_g_idx", whole("I32", np.zeros(3))), "g_idx of shape"),
    ("ct-int4-zeros", instead(".weight_zero_point", words(np.zeros((3, 2)))), "zero points"),
    ("ct-int8", instead(".weight_zero_point", whole("I8", np.zeros((3, 2)))), "zero points"),
    ("ct-int4", instead(".weight_scale", f16(np.ones((64, 0)))), "0 groups"),
    ("ct-int4", instead(".weight_scale", f16(np.ones((64, 7)))), ""),
]


@pytest.mark.parametrize(("scheme", "change", "reason"), HOSTILE)
def test_a_faulty_group_is_listed_with_its_reason(
    scheme: str, change: Change, reason: str, tmp_path: Path
) -> None:
    """The matrix is refused with the reason, whatever else is in the file is read, and no part is lost."""
    parts = made(scheme)
    change(parts)
    tensors = {
        **named("model.layers.0.self_attn.q_proj", parts),
        **named("model.layers.0.self_attn.k_proj", fp8(np.ones((32, 64), np.float32))[0]),
        "model.norm.weight": f32(np.ones(64)),
    }
    written(tmp_path / "model.safetensors", tensors)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "hidden_size": 64}))
    checkpoint = open_checkpoint(tmp_path)
    (left,) = (u for u in checkpoint.plan.unexamined)
    assert left.name == "model.layers.0.self_attn.q_proj.weight"
    assert reason in left.reason
    (stored,) = (p.stored for p in checkpoint.plan.tensors if p.stored.name == left.name)
    assert stored.codec is None
    assert {s.role for s in checkpoint.specs} == {"k_proj", "final_norm"}
    seen = [e.name for p in checkpoint.plan.tensors for e in (p.entry, *(c for _, c in p.stored.companions))]
    assert sorted(seen) == sorted(tensors)
    subject = read(checkpoint, [Looking()]).subject
    assert subject.parameters - subject.recognised == stored.elements
    checkpoint.close()


SCALES = {
    "gptq-4": ".scales", "gptq-act-order": ".scales", "awq": ".scales", "nf4": ".weight.absmax", "bnb-int8": ".SCB",
    "nf4-nested": ".weight.nested_absmax", "fp8-block": ".weight_scale_inv", "fp8-one": ".weight_scale",
    "fp8-rows": ".weight_scale", "ct-int4": ".weight_scale", "ct-int8": ".weight_scale",
    "nvfp4": ".weight_global_scale", "nvfp4-modelopt": ".weight_scale_2",
}  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scheme", SCALES)
def test_scales_that_are_not_finite_show_in_the_rows(scheme: str, value: float, tmp_path: Path) -> None:
    """A NaN or infinity among scales reaches the rows, and the reading pass says which tensor holds it."""
    parts = made(scheme)
    dtype, shape, raw = parts[SCALES[scheme]]
    scales = np.frombuffer(raw, {"F16": "<f2", "F32": "<f4"}[dtype]).copy()
    scales[len(scales) // 2] = value
    parts[SCALES[scheme]] = dtype, shape, scales.tobytes()
    checkpoint = one_matrix(tmp_path, parts)
    if not (scheme == "nvfp4" and np.isinf(value)):  # which divides by it
        spec = checkpoint.find("q_proj", 0)
        assert spec is not None
        assert not np.isfinite(checkpoint.matrix(spec)).all()
        done = read(checkpoint, [Looking()])
        assert [p.code for p in done.problems] == ["NOT_FINITE"]
        assert [u.reason for u in done.subject.unexamined] == ["holds NaN or infinity"]
    checkpoint.close()


def one_matrix(folder: Path, parts: Typed) -> Checkpoint:
    """A checkpoint whose query matrix is made of these parts."""
    tensors = named("model.layers.0.self_attn.q_proj", parts) | {"model.norm.weight": f32(np.ones(64))}
    written(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "hidden_size": 64, "num_hidden_layers": 1}))
    return open_checkpoint(folder)


def test_exponent_255_is_not_a_number(tmp_path: Path) -> None:
    """E8M0's one NaN spoils its group of 32 and shows."""
    parts = made("mxfp4")
    exponents = np.frombuffer(parts[".weight_scale"][2], np.uint8).reshape(64, 2).copy()
    exponents[3, 1] = 255
    checkpoint = one_matrix(tmp_path, {**parts, ".weight_scale": whole("U8", exponents)})
    spec = checkpoint.find("q_proj", 0)
    assert spec is not None
    spoilt = np.isnan(checkpoint.matrix(spec))
    assert spoilt[3, 32:].all()
    assert spoilt.sum() == 32
    checkpoint.close()


def test_negative_scales_are_taken_at_their_word(tmp_path: Path) -> None:
    """A loader would multiply with them too, so that turned signs hide nothing."""
    parts = made("gptq-4")
    plain = one_matrix(tmp_path / "plain", parts)
    scales = np.frombuffer(parts[".scales"][2], "<f2").reshape(2, 64)
    turned = one_matrix(tmp_path / "turned", {**parts, ".scales": f16(-scales)})
    specs = plain.find("q_proj", 0), turned.find("q_proj", 0)
    assert specs[0] is not None
    assert specs[1] is not None
    np.testing.assert_array_equal(plain.matrix(specs[0]), -turned.matrix(specs[1]))
    plain.close()
    turned.close()


def test_gemv_of_uncertain_groups_is_refused() -> None:
    """Padding hides how many groups there are; without a config that says, several sizes would fit."""
    parts, _ = awq_gemv(np.ones((64, 64), np.float32), 64)
    parts[".scales"] = f16(np.ones((64, 32)))
    parts[".qzeros"] = words(np.ones((64, 4)))
    (certain,) = claimed(named("a", parts))
    assert certain.codec is not None  # only groups of 32 are padded to four words
    parts[".scales"] = f16(np.ones((64, 40)))
    parts[".qzeros"] = words(np.ones((64, 5)))
    (stored,) = claimed(named("a", parts))
    assert "uncertain" in stored.refused


def claimed(tensors: Typed, config: dict[str, Any] | None = None) -> list[Any]:
    """What is claimed of a file of these."""
    return claim([open_safetensors(Bytes(file_bytes(tensors)))], config or {}).stored


def test_foreign_forms_are_named() -> None:
    """Forms that are not decoded are recognised by their parts, and all their parts are accounted for."""
    nothing = whole("I32", np.zeros((8, 8)))
    forms = {
        "EXL2": (".q_weight", ".q_scale", ".q_groups", ".q_invperm", ".q_scale_max"),
        "AQLM": (".codes", ".codebooks", ".scales"),
        "HQQ": (".W_q", ".meta"),
        "QuIP#": (".Qidxs", ".SU", ".SV"),
        "Marlin": (".B", ".s"),
        "sparse": (".weight.compressed", ".weight.bitmask", ".weight.shape"),
    }
    for title, suffixes in forms.items():
        (stored,) = claimed({f"a.q_proj{suffix}": nothing for suffix in suffixes})
        assert stored.name == "a.q_proj.weight"
        assert title in stored.refused
        assert len(stored.companions) == len(suffixes) - 1


def test_matrices_wider_than_any_are_refused_before_anything_is_allocated() -> None:
    """A strip of rows of a matrix with millions of inputs would not be small."""
    inputs = 1 << 22
    parts = {
        "a.qweight": words(np.zeros((inputs // 8, 8))), "a.qzeros": words(np.zeros((1, 1))),
        "a.scales": f16(np.zeros((1, 8))),
    }  # fmt: skip
    (stored,) = claimed(parts)
    assert f"{inputs} inputs" in stored.refused
    (stored,) = claimed({"a.weight": ("F8_E4M3", (1, inputs + 1), bytes(inputs + 1))})
    assert stored.refused


def test_very_many_small_groups_take_little_time() -> None:
    """20,000 groups of three parts are claimed in seconds, and small parts are not read one by one."""
    parts: Typed = {}
    for number in range(20_000):
        parts[f"l.{number}.a.weight_shape"] = whole("I64", (1, 8))
        parts[f"l.{number}.a.weight_packed"] = words(np.zeros((1, 1)))
        parts[f"l.{number}.a.weight_scale"] = f16(np.ones((1, 1)))
    asked: list[int] = []
    file = open_safetensors(Bytes(file_bytes(parts), asked=asked))
    asked.clear()
    begun = time.monotonic()
    claims = claim([file], {})
    assert time.monotonic() - begun < 10
    assert len(claims.stored) == 20_000
    assert all(s.codec is not None for s in claims.stored)
    assert len(asked) < 100


TYPES = {
    "I32": 4,
    "I64": 8,
    "U8": 1,
    "I8": 1,
    "F16": 2,
    "F32": 4,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E8M0": 1,
    "F8_E5M2": 1,
    "F64": 8,
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_shapes_and_types_there_is_no_exception(data: st.DataObject) -> None:
    """Parts of random types, shapes and bytes are refused, or decode to as many rows as they promise."""
    scheme = data.draw(st.sampled_from(sorted(SCHEMES)))
    parts = made(scheme)
    for key in data.draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=3, unique=True)):
        dtype = data.draw(st.sampled_from([parts[key][0], *TYPES]))
        extents = st.sampled_from([0, 1, 2, 3, 8, 16, 24, 63, 64, 65])
        shape = data.draw(st.one_of(st.just(parts[key][1]), st.lists(extents, max_size=3).map(tuple)))
        size = int(np.prod(shape)) * TYPES[dtype]
        seed = data.draw(st.integers(0, 1 << 16))
        parts[key] = dtype, shape, np.random.default_rng(seed).bytes(size)
    config = {"quantization_config": data.draw(st.sampled_from([SCHEMES[scheme][2], {"group_size": -1}, {}]))}
    file = open_safetensors(Bytes(file_bytes(named("a", parts))))
    for stored in claim([file], config).stored:
        assert (stored.codec is None) == bool(stored.refused)
        if stored.codec is not None:
            raw = file.read(stored.entry.begin, stored.entry.end - stored.entry.begin)
            blocks = [block for _, block in stored.codec.decode(raw, 0)]
            assert sum(block.size for block in blocks) == stored.elements
