"""Adapters: merged as they are read, equal to a merge on disk; alone, described; hostile, refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from forensics.case import Named, Request
from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.errands import Errands
from forensics.errors import CheckpointError
from forensics.reading import read
from tests.tiny import Tensors, llama_tensors, write

Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"
EMBED = "model.embed_tokens"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "base_model_name_or_path": "some/base"}


def factors(rows: int, columns: int, rank: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A of shape (rank, columns) and B of shape (rows, rank)."""
    random = np.random.Generator(np.random.PCG64(seed))
    a = random.standard_normal((rank, columns), dtype=np.float32)
    return a, random.standard_normal((rows, rank), dtype=np.float32)


def written(folder: Path, tensors: Mapping[str, NDArray[Any]], **config: Any) -> Path:
    """An adapter folder; names get peft's prefix."""
    folder.mkdir()
    save_file({f"base_model.model.{n}": t for n, t in tensors.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    return folder


def updates(rank: int = 2) -> Tensors:
    """Updates of one attention and one MLP matrix."""
    found: Tensors = {}
    for index, (module, rows, columns) in enumerate(((Q, 8, 8), (DOWN, 8, 12))):
        a, b = factors(rows, columns, rank, index)
        found |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
    return found


def assert_equal(merged: Checkpoint, tensors: Tensors, tmp_path: Path) -> None:
    """Every canonical tensor of `merged` is that of a checkpoint of `tensors`."""
    expected = open_checkpoint(write(tmp_path / "expected", tensors))
    assert {(s.role, s.layer) for s in merged.specs} == {(s.role, s.layer) for s in expected.specs}
    for spec in expected.specs:
        mine = merged.find(spec.role, spec.layer)
        assert mine is not None
        np.testing.assert_allclose(merged.matrix(mine), expected.matrix(spec), rtol=1e-5, atol=1e-6)


SCALES: dict[str, tuple[dict[str, Any], float, float]] = {
    "alpha over r": ({}, 3.0, 3.0),
    "rank-stabilised": ({"use_rslora": True}, 6 / math.sqrt(2), 6 / math.sqrt(2)),
    "alpha of one module": ({"alpha_pattern": {"down_proj": 4}}, 3.0, 2.0),
    "alpha of the longer end": ({"alpha_pattern": {"down_proj": 4, "mlp.down_proj": 8}}, 3.0, 4.0),
    "ranks are read from the tensors": ({"r": 64, "rank_pattern": {"q_proj": 7}}, 3.0, 3.0),
}


@pytest.mark.parametrize(("config", "at_q", "at_down"), SCALES.values(), ids=SCALES)
def test_merged_adapter_equals_a_merge_on_disk(
    config: dict[str, Any], at_q: float, at_down: float, tmp_path: Path
) -> None:
    """W + s B A is read, with s from α, the tensors' rank and the patterns; everything else is the base's."""
    base, change = llama_tensors(), updates()
    adapter = written(tmp_path / "adapter", change, **config)
    checkpoint = open_checkpoint(adapter, base=str(write(tmp_path / "base", base)))
    for module, scale in ((Q, at_q), (DOWN, at_down)):
        product = change[f"{module}.lora_B.weight"] @ change[f"{module}.lora_A.weight"]
        base[f"{module}.weight"] = base[f"{module}.weight"] + np.float32(scale) * product
    assert_equal(checkpoint, base, tmp_path)
    done = read(checkpoint, [])
    assert done.subject.recognised == done.subject.parameters
    assert "f32+lora" in done.subject.dtypes
    assert done.subject.form == "merged"
    assert {f.name for f in done.subject.files if f.sha256} >= {
        "adapter_model.safetensors", "base/model.safetensors",
    }  # fmt: skip
    assert "ADAPTER_MERGED" in {p.code for p in checkpoint.problems}


def test_embedding_updates_magnitudes_and_whole_tensors_are_merged(tmp_path: Path) -> None:
    """Embedding updates are transposed, magnitudes scale rows to their length, saved modules replace the base's."""
    base, change = llama_tensors(), updates()
    a, b = factors(8, 10, 2, 9)
    magnitude = np.linspace(0.5, 2.0, 8, dtype=np.float32)
    head = llama_tensors(7)["lm_head.weight"]
    change |= {
        f"{EMBED}.lora_embedding_A": a, f"{EMBED}.lora_embedding_B": b, "lm_head.weight": head,
        f"{Q}.lora_magnitude_vector": magnitude,
    }  # fmt: skip
    adapter = written(tmp_path / "adapter", change, use_dora=True, modules_to_save=["lm_head"])
    checkpoint = open_checkpoint(adapter, base=str(write(tmp_path / "base", base)))
    base[f"{EMBED}.weight"] = base[f"{EMBED}.weight"] + 3 * (b @ a).T
    base["lm_head.weight"] = head
    base[f"{DOWN}.weight"] += 3 * change[f"{DOWN}.lora_B.weight"] @ change[f"{DOWN}.lora_A.weight"]
    changed = base[f"{Q}.weight"] + 3 * change[f"{Q}.lora_B.weight"] @ change[f"{Q}.lora_A.weight"]
    base[f"{Q}.weight"] = magnitude[:, None] * changed / np.linalg.norm(changed, axis=1, keepdims=True)
    assert_equal(checkpoint, base, tmp_path)


def test_adapter_alone_is_described_and_nothing_is_concluded_from_it(tmp_path: Path) -> None:
    """Without its base there is no recognised weight; rank, modules, size and the claimed base are told."""
    checkpoint = open_checkpoint(written(tmp_path / "adapter", updates()))
    done = read(checkpoint, [])
    assert (done.subject.recognised, done.subject.parameters) == (0, 2 * 8 + 8 * 2 + 2 * 12 + 8 * 2)
    (told,) = [p.message for p in checkpoint.problems if p.code == "ADAPTER_ALONE"]
    for words in ("'some/base'", "2 updates of rank 2", "down_proj, q_proj", "Frobenius", "--base"):
        assert words in told


def hollow(tensors: Tensors) -> Tensors:
    """Updates of rank 0."""
    return {n: t[:0] if "_A" in n else t[:, :0] for n, t in tensors.items()}


HOSTILE: dict[str, tuple[Tensors, dict[str, Any], str]] = {
    "rank 0": (hollow(updates()), {}, "ADAPTER_RANK"),
    "factors that do not fit": ({**updates(), f"{Q}.lora_A.weight": np.ones((3, 8), np.float32)}, {}, "ADAPTER_SHAPE"),
    "one factor only": ({f"{Q}.lora_A.weight": np.ones((2, 8), np.float32)}, {}, "ADAPTER_SHAPE"),
    "no alpha": (updates(), {"lora_alpha": None}, "ADAPTER_SCALE"),
    "infinite alpha": (updates(), {"lora_alpha": 10**400}, "ADAPTER_SCALE"),
    "a pattern that is an expression": (updates(), {"alpha_pattern": {"(a+)+$": 3}}, "ADAPTER_SCALE"),
}  # fmt: skip


@pytest.mark.parametrize(("tensors", "config", "code"), HOSTILE.values(), ids=HOSTILE)
def test_update_that_makes_no_sense_is_told(
    tensors: Tensors, config: dict[str, Any], code: str, tmp_path: Path
) -> None:
    """What cannot be merged is named with its code and leaves the base's rows alone."""
    adapter = written(tmp_path / "adapter", tensors, **config)
    checkpoint = open_checkpoint(adapter, base=str(write(tmp_path / "base")))
    assert code in {p.code for p in checkpoint.problems}
    assert all(np.isfinite(checkpoint.matrix(s)).all() for s in checkpoint.specs)


def test_other_kinds_of_adapters_are_refused(tmp_path: Path) -> None:
    """Only low-rank updates are merged; another kind is refused by its name."""
    with pytest.raises(CheckpointError) as refused:
        open_checkpoint(written(tmp_path / "adapter", updates(), peft_type="IA3"), base="anything")
    assert (refused.value.code, "'IA3'" in refused.value.message) == ("ADAPTER_KIND", True)


def test_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    """Where no name fits, the base is another one; where a shape does not fit, that tensor is left unexamined."""
    stranger = written(
        tmp_path / "a", {f"h.0.attn.c_attn.lora_{x}.weight": np.ones((2, 2), np.float32) for x in "AB"}
    )
    base = write(tmp_path / "base")
    with pytest.raises(CheckpointError) as refused:
        open_checkpoint(stranger, base=str(base))
    assert refused.value.code == "ADAPTER_BASE_MISMATCH"
    a, b = factors(16, 8, 2, 1)
    wide = written(tmp_path / "b", {f"{Q}.lora_A.weight": a, f"{Q}.lora_B.weight": b})
    checkpoint = open_checkpoint(wide, base=str(base))
    (left,) = checkpoint.plan.unexamined
    assert (left.name, "does not fit" in left.reason) == (f"{Q}.weight", True)


def test_base_that_is_missing_is_told_by_name(tmp_path: Path) -> None:
    """A base that is not there is an error about the base, not about the adapter."""
    with pytest.raises(CheckpointError) as refused:
        open_checkpoint(written(tmp_path / "adapter", updates()), base=str(tmp_path / "none"))
    assert (refused.value.code, "none, the base named for adapter" in refused.value.message) == (
        "MISSING",
        True,
    )


@pytest.mark.parametrize("rows", [9, 12])
def test_whole_tensor_of_another_shape_is_told_and_not_merged(rows: int, tmp_path: Path) -> None:
    """A saved head with more or fewer tokens than the base's replaces nothing, and a problem names it."""
    change = updates() | {"lm_head.weight": np.ones((rows, 8), np.float32)}
    adapter = written(tmp_path / "adapter", change, modules_to_save=["lm_head"])
    checkpoint = open_checkpoint(adapter, base=str(write(tmp_path / "base")))
    told = [p.message for p in checkpoint.problems if p.code == "ADAPTER_BASE_MISMATCH"]
    assert len(told) == 1
    assert "lm_head.weight" in told[0]


def test_time_to_read_an_adapter_counts_its_base(tmp_path: Path) -> None:
    """The base's bytes are read too, those in its folders included, so they lengthen the time limit."""
    adapter, base = written(tmp_path / "adapter", updates()), tmp_path / "base"
    (base / "shards").mkdir(parents=True)
    with (base / "shards" / "model.safetensors").open("wb") as file:
        file.truncate(10**11)
    named = Named(label="a", path=adapter)
    alone, merged = (Errands(request=Request(suspect=named, candidates=(), base=b)) for b in ("", str(base)))
    assert alone.reading_limit(str(adapter)) < 1_000
    assert merged.reading_limit(str(adapter)) > 5_000
