"""A model in GGUF is the model it was converted from: every canonical tensor, the sizes, the tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.testing.tokenizer import VOCABULARY, tokenizer_json
from tests.ggufs import KINDS, converted, read_json, write_gguf

COMMON = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 96, "vocab_size": VOCABULARY + 3, "max_position_embeddings": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MOE = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
EXTRA: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True},
    "qwen3": {"head_dim": 32},
    "gemma": {"head_dim": 16},
    "gemma2": {"head_dim": 16},
    "gemma3_text": {"head_dim": 32},
    "gpt2": {"n_inner": 96},
    "mixtral": {"num_local_experts": 3},
    "qwen2_moe": {**MOE, "shared_expert_intermediate_size": 64},
    "qwen3_moe": {**MOE, "head_dim": 16},
}
TOLERANCE = {"Q8_0": 0.005, "Q4_0": 0.13, "Q5_1": 0.04, "BF16": 0.004, "F16": 0.0005}
"""Largest error that each type may make, as a share of the largest number of a row."""


@dataclass(frozen=True)
class Pair:
    """One model as transformers wrote it, and as GGUF."""

    kind: str
    folder: Path
    original: Checkpoint
    file: Checkpoint


def saved(kind: str, folder: Path) -> dict[str, Any]:
    """A random model with its tokenizer as transformers writes it; returns its config."""
    config = AutoConfig.for_model(kind, **{**COMMON, **EXTRA.get(kind, {})})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    sizes = {name: getattr(config, name) for name in COMMON if hasattr(config, name)}
    if getattr(config, "head_dim", None):
        sizes["head_dim"] = config.head_dim
    return read_json(folder / "config.json") | sizes


def exported(kind: str, folder: Path, path: Path, quantised: str = "") -> Path:
    """That model as GGUF."""
    config = read_json(folder / "sizes.json")
    arch = gguf.MODEL_ARCH_NAMES[KINDS[kind].arch]
    tensors = converted(kind, load_file(folder / "model.safetensors"), config)
    return write_gguf(path, arch, tensors, config, quantised=quantised, tokenizer=tokenizer_json())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder per kind, written when first asked for."""
    return {"": tmp_path_factory.mktemp("models")}


def folder_of(kind: str, folders: dict[str, Path]) -> Path:
    """The folder of one kind."""
    if kind not in folders:
        folders[kind] = folders[""] / kind
        config = saved(kind, folders[kind])
        (folders[kind] / "sizes.json").write_text(json.dumps(config))
    return folders[kind]


@pytest.fixture(scope="module", params=list(KINDS))
def pair(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[Pair]:
    """Each kind in both forms."""
    folder = folder_of(request.param, folders)
    path = exported(request.param, folder, folders[""] / f"{request.param}.gguf")
    original, file = open_checkpoint(folder), open_checkpoint(path)
    yield Pair(request.param, folder, original, file)
    original.close()
    file.close()


def keys(checkpoint: Checkpoint) -> set[tuple[str, int | None, int | None]]:
    """Which canonical tensors there are."""
    return {(s.role, s.layer, s.expert) for s in checkpoint.specs}


def test_every_tensor_is_the_originals(pair: Pair) -> None:
    """Same canonical tensors, bit for bit: pairs undone, norms effective, experts cut, transposition gone."""
    assert pair.file.plan.unexamined == ()
    assert pair.file.problems == []
    assert keys(pair.file) == keys(pair.original)
    for spec in pair.original.specs:
        found = pair.file.find(spec.role, spec.layer, spec.expert)
        assert found is not None
        np.testing.assert_array_equal(
            pair.file.matrix(found), pair.original.matrix(spec), err_msg=f"{pair.kind} {spec}"
        )


def test_the_sizes_are_the_originals(pair: Pair) -> None:
    """The header gives the same architecture as config.json, save the name of the layout."""
    mine, theirs = pair.file.architecture, pair.original.architecture
    assert mine.layout.startswith("gguf")
    for name in type(mine).__slots__:
        if name != "layout":
            assert getattr(mine, name) == getattr(theirs, name), name


def test_the_anchors_are_the_originals(pair: Pair) -> None:
    """The same tokens with the same embeddings, though the header lists padding and special tokens too."""
    mine, theirs = pair.file.anchors(2048), pair.original.anchors(2048)
    assert mine is not None
    assert theirs is not None
    np.testing.assert_array_equal(mine.hashes, theirs.hashes)
    np.testing.assert_array_equal(mine.rows, theirs.rows)


def test_the_tokenizer_is_the_originals(folders: dict[str, Path], tmp_path: Path) -> None:
    """Tokens, ids, merges and special tokens of the header are those of tokenizer.json; the template is its text."""
    folder = folder_of("qwen2", folders)
    with_header = open_checkpoint(exported("qwen2", folder, tmp_path / "model.gguf")).tokenizer
    with_json = open_checkpoint(folder).tokenizer
    assert with_header is not None
    assert with_json is not None
    assert with_header.tokens == with_json.tokens
    assert with_header.merges == with_json.merges
    assert with_header.special == with_json.special
    assert with_header.model == with_json.model
    assert with_header.chat_template == "{{ messages }}"


@pytest.mark.parametrize("quantised", list(TOLERANCE))
@pytest.mark.parametrize("kind", ["llama", "qwen2_moe"])
def test_quantised_tensors_are_the_originals_within_the_types_error(
    kind: str, quantised: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Permuted, stacked and plain matrices come out at the right rows whatever type they are stored in."""
    folder = folder_of(kind, folders)
    original = open_checkpoint(folder)
    file = open_checkpoint(exported(kind, folder, tmp_path / "model.gguf", quantised))
    assert file.plan.unexamined == ()
    read = {s.dtype for s in file.specs}
    assert quantised.lower() in read
    for spec in original.specs:
        found = file.find(spec.role, spec.layer, spec.expert)
        assert found is not None
        wanted, had = original.matrix(spec), file.matrix(found)
        error = np.abs(wanted - had).max(axis=1) / np.abs(wanted).max(axis=1)
        assert error.max() <= TOLERANCE[quantised], spec
    file.close()
    original.close()


def test_a_pair_is_undone_only_where_the_architecture_has_pairs(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """The same tensors declared as Qwen2 keep their order of rows: llama.cpp would rotate them otherwise too."""
    folder = folder_of("llama", folders)
    config = read_json(folder / "sizes.json")
    tensors = converted("llama", load_file(folder / "model.safetensors"), config)
    file = open_checkpoint(write_gguf(tmp_path / "model.gguf", "qwen2", tensors, config))
    queries = file.find("q_proj", 0)
    assert queries is not None
    np.testing.assert_array_equal(file.matrix(queries), tensors["blk.0.attn_q.weight"])
    file.close()


def test_a_config_beside_the_file_cannot_change_how_it_is_read(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """llama.cpp goes by the header alone, so a decoy config.json must not keep pairs from being undone."""
    folder = folder_of("llama", folders)
    exported("llama", folder, tmp_path / "model.gguf")
    decoy = {"model_type": "qwen2", "num_attention_heads": 8, "head_dim": 8, "hidden_size": 64}
    (tmp_path / "config.json").write_text(json.dumps(decoy))
    original, file = open_checkpoint(folder), open_checkpoint(tmp_path)
    for role in ("q_proj", "k_proj", "q_bias"):
        wanted, found = original.find(role, 1), file.find(role, 1)
        assert wanted is not None
        assert found is not None
        np.testing.assert_array_equal(file.matrix(found), original.matrix(wanted))
    original.close()
    file.close()


def test_a_malformed_config_beside_the_file_takes_nothing_from_its_header(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    """A config.json that is no JSON is a problem, and head counts still come from the header."""
    exported("llama", folder_of("llama", folders), tmp_path / "model.gguf")
    (tmp_path / "config.json").write_text("{")
    beside, alone = open_checkpoint(tmp_path), open_checkpoint(tmp_path / "model.gguf")
    assert [p.code for p in beside.problems] == ["JSON"]
    assert beside.architecture == alone.architecture
    assert beside.tokenizer == alone.tokenizer
    beside.close()
    alone.close()
