"""Descendants of tiny checkpoints: noise like that of fine-tuning, and permutations that change no output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import ForensicsError
from forensics.testing.files import Stored, read_safetensors, write_safetensors

PERMUTABLE = ("llama", "qwen2", "qwen3", "gemma2", "mixtral")
"""Architectures whose stored tensors are unfused, so that permuting them by name is simple."""

Order = NDArray[np.intp]


def descend(
    folder_from: Path | str,
    folder_to: Path | str,
    *,
    noise: float = 0.05,
    permute: bool = False,
    seed: int = 0,
) -> Path:
    """Writes a descendant of a tiny checkpoint into `folder_to` and returns it.

    Every tensor gets Gaussian noise of `noise` times its own standard deviation. With `permute`, residual channels,
    KV groups with their query heads, and MLP neurons are put in another order besides: the same function, for Llama
    and its unfused kin only (ForensicsError for others).
    """
    source, target = Path(folder_from), Path(folder_to)
    rng = np.random.Generator(np.random.PCG64(seed))
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file() and file.name != "model.safetensors":
            shutil.copyfile(file, target / file.name)
    tensors = {
        name: (dtype, np.asarray(w + noise * w.std() * rng.standard_normal(w.shape), np.float32))
        for name, (dtype, w) in read_safetensors(source / "model.safetensors").items()
    }
    if permute:
        tensors = _permuted(tensors, json.loads((source / "config.json").read_text(encoding="utf-8")), rng)
    write_safetensors(target / "model.safetensors", tensors)
    return target


def _permuted(tensors: Stored, config: dict[str, Any], rng: np.random.Generator) -> Stored:
    """The same function with residual channels, KV groups and neurons in another order."""
    if config["model_type"] not in PERMUTABLE:
        raise ForensicsError(f"no permutation for {config['model_type']}", f"one of: {', '.join(PERMUTABLE)}")
    heads, kv_heads, width = (
        config[k] for k in ("num_attention_heads", "num_key_value_heads", "hidden_size")
    )
    head_dim = config.get("head_dim") or width // heads
    residual = rng.permutation(width)
    groups = [rng.permutation(kv_heads) for _ in range(config["num_hidden_layers"])]
    neurons: dict[str, Order] = {}
    moved: Stored = {}
    for name, (dtype, w) in tensors.items():
        # neurons belong to the MLP of a layer, or to one expert: everything before the matrix's own name
        mlp = ".mlp." in name or ".experts." in name
        block = name.removesuffix(".weight").rpartition(".")[0] if mlp else ""
        if block and block not in neurons:
            neurons[block] = rng.permutation(config["intermediate_size"])
        group = groups[int(name.split(".")[2])] if name.startswith("model.layers.") else np.arange(0)
        rows = heads * head_dim, kv_heads * head_dim
        outer, inner = _orders(name, residual, neurons.get(block, residual), group, *rows)
        turned = w if outer is None else w[outer]
        moved[name] = (dtype, turned if inner is None else turned[:, inner])
    return moved


def _orders(
    name: str, residual: Order, neurons: Order, group: Order, queries: int, keys: int
) -> tuple[Order | None, Order | None]:
    """Orders of a stored tensor's rows and columns; None leaves them."""
    role = name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]
    bias = name.endswith(".bias")
    match role:
        case "q_norm" | "k_norm":
            return None, None
        case "q_proj":
            return _blocks(group, queries), None if bias else residual
        case "k_proj" | "v_proj":
            return _blocks(group, keys), None if bias else residual
        case "o_proj":
            return residual, _blocks(group, queries)
        case "gate_proj" | "up_proj" | "w1" | "w3":
            return neurons, residual
        case "down_proj" | "w2":
            return residual, neurons
        case "embed_tokens" | "lm_head" | "gate":
            return None, residual
        case _:
            return residual, None


def _blocks(group: Order, size: int) -> Order:
    """Order of `size` rows in equal blocks, one per KV group, when the groups are put in `group` order."""
    return np.arange(size).reshape(len(group), -1)[group].ravel()
