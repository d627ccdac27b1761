"""Tiny Llama-like checkpoints as numpy arrays, written in every way a folder can be sound or spoilt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 12, "vocab_size": 10,
}  # fmt: skip
Tensors = dict[str, NDArray[Any]]


def llama_tensors(seed: int = 0, layers: int = 2, width: int = 8) -> Tensors:
    """Random float32 tensors of a Llama with `layers` layers: 2 heads, 1 key-value head, 12 neurons, 10 tokens."""
    random = np.random.Generator(np.random.PCG64(seed))

    def drawn(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, dtype=np.float32)

    tensors: Tensors = {"model.embed_tokens.weight": drawn(10, width), "lm_head.weight": drawn(10, width)}
    for layer in range(layers):
        place = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{place}.{norm}.weight"] = drawn(width)
        for role, rows in (("q", width), ("k", width // 2), ("v", width // 2), ("o", width)):
            tensors[f"{place}.self_attn.{role}_proj.weight"] = drawn(rows, width)
        tensors |= {f"{place}.mlp.{role}_proj.weight": drawn(12, width) for role in ("gate", "up")}
        tensors[f"{place}.mlp.down_proj.weight"] = drawn(width, 12)
    tensors["model.norm.weight"] = drawn(width)
    return tensors


def write(
    folder: Path,
    tensors: Mapping[str, NDArray[Any]] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    shards: int = 1,
) -> Path:
    """A checkpoint folder of these tensors (a Llama by default), in one file or several under an index."""
    tensors = llama_tensors() if tensors is None else dict(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    if shards == 1:
        save_file(dict(tensors), folder / "model.safetensors")
        return folder
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for index in range(shards):
        shard = f"model-{index + 1:05}-of-{shards:05}.safetensors"
        mine = names[index::shards]
        save_file({name: tensors[name] for name in mine}, folder / shard)
        weight_map |= dict.fromkeys(mine, shard)
    write_index(folder, weight_map)
    return folder


def write_index(folder: Path, weight_map: Mapping[str, Any], **rest: Any) -> None:
    """An index file with this map."""
    index = {"metadata": {}, "weight_map": dict(weight_map), **rest}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
