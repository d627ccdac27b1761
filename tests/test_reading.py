"""The reading pass: every byte hashed, every canonical row seen once and in order, whatever the probes do."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.errors import CheckpointError
from forensics.probe import Abstain, Sketch, Sketcher, SketchProbe, TensorSpec
from forensics.reading import read, sketch_only, sketch_with
from forensics.readings import Abstention, Failure, Reason
from tests.tiny import CONFIG, llama_tensors, write

RANDOM = np.random.Generator(np.random.PCG64(3))


def drawn(*shape: int) -> NDArray[np.float32]:
    """Random numbers."""
    return RANDOM.standard_normal(shape, dtype=np.float32)


@dataclass
class Witness:
    """A sketcher that keeps every block it is shown."""

    probe: SketchProbe
    only: str = ""
    blocks: dict[TensorSpec, list[tuple[int, NDArray[np.float32]]]] = field(default_factory=dict)

    def wants(self, spec: TensorSpec) -> bool:
        """Everything, or one role."""
        return self.only in {"", spec.role}

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Keeps a copy, and checks what every sketcher may rely on."""
        assert rows.dtype == np.float32
        assert rows.shape[1] == spec.columns
        assert not rows.flags.writeable
        self.blocks.setdefault(spec, []).append((start, rows.copy()))

    def finish(self) -> Sketch:
        """How many tensors were seen."""
        return self.probe.sketch({"seen": np.array([len(self.blocks)])})


@dataclass(frozen=True, kw_only=True)
class Watching(SketchProbe):
    """A probe whose sketchers can be looked at afterwards."""

    id = "watching"
    version = "1"
    title = "Watching"
    measures = "Nothing."
    only: str = ""

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:  # noqa: ARG002
        """A new witness, kept."""
        WITNESSES.append(Witness(self, self.only))
        return WITNESSES[-1]


WITNESSES: list[Witness] = []


def witnessed(checkpoint: Checkpoint) -> Witness:
    """What one pass shows to a probe that wants everything."""
    WITNESSES.clear()
    read(checkpoint, [Watching()])
    return WITNESSES[0]


def gpt_neox_tensors() -> dict[str, NDArray[Any]]:
    """One layer whose queries, keys and values are interleaved per head: 3 heads of 5."""
    return {
        "gpt_neox.embed_in.weight": drawn(11, 15),
        "gpt_neox.layers.0.attention.query_key_value.weight": drawn(45, 15),
        "gpt_neox.layers.0.attention.query_key_value.bias": drawn(45),
    }


KINDS: dict[str, tuple[dict[str, Any], Callable[[], dict[str, NDArray[Any]]]]] = {
    "plain": (CONFIG, llama_tensors),
    "transposed": (
        {"model_type": "gpt2", "n_head": 2},
        lambda: {
            "wte.weight": drawn(7, 8),
            "h.0.attn.c_attn.weight": drawn(8, 24),
            "h.0.attn.c_attn.bias": drawn(24),
            "h.0.mlp.c_fc.weight": drawn(8, 20),
        },
    ),
    "interleaved": ({"model_type": "gpt_neox", "num_attention_heads": 3}, gpt_neox_tensors),
    "stacked": (
        {"model_type": "qwen3_moe", "num_attention_heads": 2},
        lambda: {
            "model.layers.0.mlp.experts.gate_up_proj": drawn(3, 10, 8),
            "model.layers.0.mlp.experts.down_proj": drawn(3, 8, 5),
            "model.layers.0.mlp.gate.weight": drawn(3, 8),
            "unknown.tensor": drawn(9, 9),
        },
    ),
    "fused": (
        {"model_type": "phi3", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4},
        lambda: {
            "model.layers.0.self_attn.qkv_proj.weight": drawn(32, 8),
            "model.layers.0.mlp.gate_up_proj.weight": drawn(10, 8),
        },
    ),
    "offset gains": (
        {"model_type": "gemma2"},
        lambda: {
            "model.layers.0.pre_feedforward_layernorm.weight": drawn(8),
            "model.norm.weight": drawn(8),
        },
    ),
}


@pytest.mark.parametrize("block_bytes", [1, 37, 96, 1000, 8 << 20])
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_seen_once_in_order(
    kind: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of any size make every canonical tensor whole: each row once, ascending, equal to the tensor."""
    monkeypatch.setattr("forensics.checkpoint.streaming.BLOCK_BYTES", block_bytes)
    config, tensors = KINDS[kind]
    checkpoint = open_checkpoint(write(tmp_path / "a", tensors(), config))
    seen = witnessed(checkpoint).blocks
    assert set(seen) == set(checkpoint.specs)
    for spec, blocks in seen.items():
        lengths = [len(rows) for _, rows in blocks]
        assert [start for start, _ in blocks] == [0, *np.cumsum(lengths[:-1]).tolist()]
        whole = np.concatenate([rows for _, rows in blocks])
        assert whole.shape == (spec.rows, spec.columns)
        np.testing.assert_array_equal(whole, checkpoint.matrix(spec))
    checkpoint.close()


def test_splits_hold_the_right_numbers(tmp_path: Path) -> None:
    """Transposed, interleaved, stacked and fused tensors are cut where their layout says."""
    tensors = gpt_neox_tensors()
    config = {"model_type": "gpt_neox", "num_attention_heads": 3}
    checkpoint = open_checkpoint(write(tmp_path / "neox", tensors, config))
    fused = tensors["gpt_neox.layers.0.attention.query_key_value.weight"].reshape(3, 3, 5, 15)
    for place, role in enumerate(("q_proj", "k_proj", "v_proj")):
        spec = checkpoint.find(role, 0)
        assert spec is not None
        np.testing.assert_array_equal(checkpoint.matrix(spec), fused[:, place].reshape(15, 15))
    config, made = KINDS["stacked"]
    tensors = made()
    checkpoint = open_checkpoint(write(tmp_path / "moe", tensors, config))
    for expert in range(3):
        spec = checkpoint.find("up_proj", 0, expert)
        assert spec is not None
        stored = tensors["model.layers.0.mlp.experts.gate_up_proj"][expert, 5:]
        np.testing.assert_array_equal(checkpoint.matrix(spec), stored)
    config, made = KINDS["transposed"]
    tensors = made()
    checkpoint = open_checkpoint(write(tmp_path / "gpt2", tensors, config))
    spec = checkpoint.find("k_proj", 0)
    assert spec is not None
    np.testing.assert_array_equal(checkpoint.matrix(spec), tensors["h.0.attn.c_attn.weight"][:, 8:16].T)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_precisions_become_float32(dtype: str, tmp_path: Path) -> None:
    """Half, single and double precision arrive as the nearest float32."""
    tensors = {name: tensor.astype(dtype) for name, tensor in llama_tensors().items()}
    checkpoint = open_checkpoint(write(tmp_path / "a", tensors))
    spec = checkpoint.find("q_proj", 1)
    assert spec is not None
    stored = tensors["model.layers.1.self_attn.q_proj.weight"].astype(np.float32)
    np.testing.assert_array_equal(checkpoint.matrix(spec), stored)
    assert spec.dtype == {"float16": "f16", "float32": "f32", "float64": "f64"}[dtype]


def test_bfloat16_becomes_float32_exactly(tmp_path: Path) -> None:
    """Every bf16 bit pattern, subnormal, infinite and NaN ones too, becomes the float32 that torch makes of it."""
    import torch
    from safetensors.torch import save_file as save_torch

    patterns = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    save_torch({"model.embed_tokens.weight": patterns.reshape(256, 256)}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    ours = checkpoint.matrix(checkpoint.specs[0]).reshape(-1)
    np.testing.assert_array_equal(ours, patterns.float().numpy())
    checkpoint.close()


@pytest.mark.parametrize("shards", [1, 3])
def test_files_hash_to_their_sha256(shards: int, tmp_path: Path) -> None:
    """Every file's digest is hashlib's over the file, and the whole is the digest over these in name order."""
    folder = write(tmp_path / "a", {**llama_tensors(), "unknown": drawn(3, 3)}, shards=shards)
    (folder / "README.md").write_text("a card")
    progress: list[tuple[int, int]] = []
    subject = read(open_checkpoint(folder), [], lambda done, total: progress.append((done, total))).subject
    wanted = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}
    assert {f.name: f.sha256 for f in subject.files} == wanted
    whole = hashlib.sha256(b"".join(bytes.fromhex(wanted[name]) for name in sorted(wanted)))
    assert subject.digest == whole.hexdigest()
    sizes = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    assert progress[-1] == (sizes, sizes)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_tensor_that_is_not_finite_is_reported(value: float, dtype: Any, tmp_path: Path) -> None:
    """One number that is not finite makes its tensor unexamined, a problem, and lowers the coverage by its size."""
    tensors = {name: tensor.astype(dtype) for name, tensor in llama_tensors().items()}
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][5, 3] = value
    done = read(open_checkpoint(write(tmp_path / "a", tensors)), [])
    assert [(p.code, name in p.message) for p in done.problems] == [("NOT_FINITE", True)]
    assert done.subject.parameters - done.subject.recognised == tensors[name].size
    assert [u.name for u in done.subject.unexamined] == [name]


def test_denormal_zero_and_huge_numbers_are_finite(tmp_path: Path) -> None:
    """The largest finite, the smallest and zero numbers of a precision are not mistaken for infinity."""
    tensors = llama_tensors()
    tensors["model.norm.weight"][:] = [
        np.finfo(np.float32).max,
        -np.finfo(np.float32).max,
        1e-45,
        0,
        -0.0,
        1,
        2,
        3,
    ]
    done = read(open_checkpoint(write(tmp_path / "a", tensors)), [])
    assert done.problems == ()
    assert done.subject.recognised == done.subject.parameters


def test_subset_of_wishes_is_honoured(tmp_path: Path) -> None:
    """A sketcher sees only the tensors it wants, also outside the whole pass."""
    checkpoint = open_checkpoint(write(tmp_path / "a"))
    WITNESSES.clear()
    sketches = sketch_only(checkpoint, [Watching(only="v_proj")], "d1")
    assert {s.role for s in WITNESSES[0].blocks} == {"v_proj"}
    assert sketches["watching"].subject == "d1"
    assert sketches["watching"].arrays["seen"].tolist() == [2]
    whole = sketch_with(checkpoint, [Watching(only="v_proj")])
    assert whole["watching"].arrays["seen"].tolist() == [2]
    assert len(whole["watching"].subject) == 64
    for spec, blocks in WITNESSES[0].blocks.items():
        np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), checkpoint.matrix(spec))


@dataclass(frozen=True, kw_only=True)
class Breaking(SketchProbe):
    """A probe that goes wrong at one stage."""

    id = "breaking"
    version = "1"
    title = "Breaking"
    measures = "Nothing."
    stage: str = ""

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:  # noqa: ARG002
        """Raises, abstains, or returns something that goes wrong later."""
        if self.stage == "start":
            raise ValueError("bad start at /home/somebody/secret.py")
        if self.stage == "abstain":
            raise Abstain(Reason.TOO_SMALL, "too small")
        if self.stage == "nothing":
            return None  # type: ignore[return-value]
        return Breaker(self)


@dataclass
class Breaker:
    """Goes wrong where its probe says."""

    probe: Breaking

    def wants(self, spec: TensorSpec) -> bool:
        """Everything."""
        if self.probe.stage == "wants":
            raise KeyError(spec.role)
        return True

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Tries to spoil what others see."""
        if self.probe.stage == "write":
            rows[:] = start
        if self.probe.stage == "see":
            raise ZeroDivisionError(spec.role)

    def finish(self) -> Any:
        """A sketch that cannot be kept."""
        match self.probe.stage:
            case "finish":
                raise Abstain(Reason.NOT_FINITE, "all of it")
            case "other type":
                return {"not": "a sketch"}
            case "objects":
                return self.probe.sketch({"a": np.array([object()])})
            case "NaN fact":
                return self.probe.sketch({}, {"x": float("nan")})
            case "numpy fact":
                return self.probe.sketch({}, {"x": np.int64(3)})  # type: ignore[dict-item]
            case "other probe":
                return Sketch(probe="somebody-else", version="1", parameters={})
        return self.probe.sketch({})


STAGES = {
    "start": "ValueError", "nothing": "TypeError", "wants": "KeyError", "see": "ZeroDivisionError",
    "write": "ValueError", "other type": "TypeError", "objects": "TypeError", "NaN fact": "TypeError",
    "numpy fact": "TypeError", "other probe": "ValueError", "abstain": Reason.TOO_SMALL, "finish": Reason.NOT_FINITE,
}  # fmt: skip


@pytest.mark.parametrize(("stage", "expected"), STAGES.items(), ids=STAGES)
def test_probe_that_goes_wrong_ends_only_its_own_sketch(stage: str, expected: str, tmp_path: Path) -> None:
    """Whatever a probe does while sketching is its own failure or abstention; the pass and the others go on."""
    checkpoint = open_checkpoint(write(tmp_path / "a"))
    WITNESSES.clear()
    done = read(checkpoint, [Breaking(stage=stage), Watching()])
    absent = done.sketches["breaking"].absent
    assert isinstance(absent, Abstention | Failure)
    assert (absent.reason if isinstance(absent, Abstention) else absent.error) == expected
    assert "/home/" not in absent.detail
    assert done.sketches["watching"].absent is None
    for spec, blocks in WITNESSES[0].blocks.items():
        np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), checkpoint.matrix(spec))
    assert done.subject.recognised == done.subject.parameters


def test_file_that_shrinks_while_read_is_an_error(tmp_path: Path) -> None:
    """A file that becomes shorter during the pass raises in the caller's thread and leaves no thread behind."""
    import os
    import threading

    folder = write(tmp_path / "a")
    checkpoint = open_checkpoint(folder)
    os.truncate(folder / "model.safetensors", 2000)
    with pytest.raises(CheckpointError) as shrank:
        read(checkpoint, [])
    assert shrank.value.code == "SHRANK"
    assert "reader" not in {t.name for t in threading.enumerate()}


def test_error_in_progress_leaves_no_thread(tmp_path: Path) -> None:
    """An error in the caller's thread, such as an interrupt, ends the reading thread too."""
    import threading

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(open_checkpoint(write(tmp_path / "a")), [], interrupt)
    assert "reader" not in {t.name for t in threading.enumerate()}


MEASURE = """
import resource, sys
from forensics.checkpoint import open_checkpoint
from forensics.reading import read
sys.path.insert(0, sys.argv[2])
from tests.test_reading import Summing
checkpoint = open_checkpoint(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
done = read(checkpoint, [Summing()])
assert done.sketches["summing"].facts["rows"] == 300_000, done.sketches
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@dataclass(frozen=True, kw_only=True)
class Summing(SketchProbe):
    """Counts the rows of everything."""

    id = "summing"
    version = "1"
    title = "Summing"
    measures = "Nothing."

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:  # noqa: ARG002
        """A counter."""
        return Counter(self)


@dataclass
class Counter:
    """Counts rows."""

    probe: Summing
    rows: int = 0

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002
        """Everything."""
        return True

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:  # noqa: ARG002
        """Counts."""
        assert start == self.rows
        self.rows += len(rows)

    def finish(self) -> Sketch:
        """The count."""
        return self.probe.sketch({}, {"rows": self.rows})


@pytest.mark.slow
def test_memory_stays_bounded_whatever_the_tensor(tmp_path: Path) -> None:
    """Reading one tensor of 600 MB takes less than 150 MB more memory than opening it."""
    save_file(
        {"model.embed_tokens.weight": np.zeros((300_000, 1_000), np.float16)}, tmp_path / "m.safetensors"
    )
    here = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "m.safetensors"), here]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 150e6
