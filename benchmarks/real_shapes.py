"""Checkpoints of real shapes and random weights, for speed and memory: `python -m benchmarks.real_shapes DIR`.

The shapes are those of public models; the numbers are drawn, so nothing is downloaded. A pair is a model and a copy
with noise added, in bf16, sharded, with a byte-level tokenizer of the full vocabulary size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

SHARD_BYTES = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Qwen2-like model."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    neurons: int
    vocabulary: int
    tied: bool


SHAPES = {
    "0.5b": Shape(width=896, layers=24, heads=14, kv_heads=2, neurons=4864, vocabulary=151_936, tied=True),
    "7b": Shape(width=3584, layers=28, heads=28, kv_heads=4, neurons=18_944, vocabulary=152_064, tied=False),
}


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """(name, shape, mean) of every tensor; gains have mean 1."""
    head_dim = shape.width // shape.heads
    keys = shape.kv_heads * head_dim
    yield "model.embed_tokens.weight", (shape.vocabulary, shape.width), 0.0
    for layer in range(shape.layers):
        block = f"model.layers.{layer}."
        yield block + "input_layernorm.weight", (shape.width,), 1.0
        yield block + "mlp.down_proj.weight", (shape.width, shape.neurons), 0.0
        yield block + "mlp.gate_proj.weight", (shape.neurons, shape.width), 0.0
        yield block + "mlp.up_proj.weight", (shape.neurons, shape.width), 0.0
        yield block + "post_attention_layernorm.weight", (shape.width,), 1.0
        for name, rows in (("k", keys), ("q", shape.width), ("v", keys)):
            yield block + f"self_attn.{name}_proj.bias", (rows,), 0.0
            yield block + f"self_attn.{name}_proj.weight", (rows, shape.width), 0.0
        yield block + "self_attn.o_proj.weight", (shape.width, shape.width), 0.0
    yield "model.norm.weight", (shape.width,), 1.0
    if not shape.tied:
        yield "lm_head.weight", (shape.vocabulary, shape.width), 0.0


def write(folder: Path, shape: Shape, seed: int, noise: float) -> None:
    """One checkpoint; equal seeds give equal weights, `noise` is added relative to their standard deviation."""
    folder.mkdir(parents=True, exist_ok=True)
    shard: dict[str, torch.Tensor] = {}
    used, number, weight_map = 0, 0, {}

    def flush() -> None:
        nonlocal shard, used, number
        name = f"model-{number:05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, name))
        shard, used, number = {}, 0, number + 1

    for index, (name, size, mean) in enumerate(tensors(shape)):
        drawn = torch.randn(size, generator=torch.Generator().manual_seed(seed * 100_003 + index))
        if noise:
            drawn += noise * torch.randn(size, generator=torch.Generator().manual_seed(-1 - index))
        shard[name] = (mean + 0.02 * drawn).to(torch.bfloat16)
        used += shard[name].nbytes
        if used > SHARD_BYTES:
            flush()
    if shard:
        flush()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    (folder / "config.json").write_text(json.dumps(config(shape)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(shape.vocabulary)))


def config(shape: Shape) -> dict[str, object]:
    """config.json as transformers writes it for such a model."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.neurons,
        "vocab_size": shape.vocabulary,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
    }


def tokenizer(size: int) -> dict[str, object]:
    """A byte-level vocabulary of made-up strings."""
    vocabulary = {f"tok{i:x}": i for i in range(size)}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    return {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "ByteLevel"}, "model": model}


def main() -> None:
    """Writes `base` and `descendant` under the folder given."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--shape", choices=sorted(SHAPES), default="0.5b")
    given = arguments.parse_args()
    for name, noise in (("base", 0.0), ("descendant", 0.1)):
        write(given.folder / name, SHAPES[given.shape], seed=1, noise=noise)
        print(given.folder / name)


if __name__ == "__main__":
    main()
