"""Checkpoints of real shapes and random weights, for speed and memory: `python -m benchmarks.real_shapes DIR`.

The shapes are those of public models; the numbers are drawn, so nothing is downloaded. A pair is a model and a copy
with noise added, in bf16, sharded, with a byte-level tokenizer of the full vocabulary size. Numbers come from one
bank of normal draws, read at another place for every piece, so that 15 GB take seconds and never lie in memory.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

SHARD_BYTES = 4_000_000_000
BANK = 1 << 24
"""Normal draws in the bank."""
PIECE = 1 << 22
"""Numbers written at a time."""

Named = tuple[str, tuple[int, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Qwen2-like model, or of a Qwen3-like mixture whose experts are stacked in two tensors a layer."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    neurons: int
    vocabulary: int
    tied: bool
    head_dim: int = 128
    experts: int = 0


SHAPES = {
    "0.5b": Shape(
        width=896, layers=24, heads=14, kv_heads=2, head_dim=64, neurons=4864, vocabulary=151_936, tied=True
    ),
    "1.5b": Shape(
        width=1536, layers=28, heads=12, kv_heads=2, neurons=8960, vocabulary=151_936, tied=True
    ),
    "7b": Shape(
        width=3584, layers=28, heads=28, kv_heads=4, neurons=18_944, vocabulary=152_064, tied=False
    ),
    "30b-a3b": Shape(
        width=2048, layers=48, heads=32, kv_heads=4, neurons=768, vocabulary=151_936, tied=False, experts=128
    ),
    "wide": Shape(
        width=8192, layers=2, heads=64, kv_heads=8, neurons=1024, vocabulary=150_000, tied=False
    ),
}  # fmt: skip


def tensors(shape: Shape) -> Iterator[Named]:
    """(name, shape, mean) of every tensor; gains have mean 1."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "model.embed_tokens.weight", (shape.vocabulary, shape.width), 0.0
    for layer in range(shape.layers):
        block = f"model.layers.{layer}."
        yield block + "input_layernorm.weight", (shape.width,), 1.0
        yield from _mlp(shape, block)
        yield block + "post_attention_layernorm.weight", (shape.width,), 1.0
        for name, rows in (("k", keys), ("q", queries), ("v", keys)):
            if not shape.experts:
                yield block + f"self_attn.{name}_proj.bias", (rows,), 0.0
            yield block + f"self_attn.{name}_proj.weight", (rows, shape.width), 0.0
        yield block + "self_attn.o_proj.weight", (shape.width, queries), 0.0
    yield "model.norm.weight", (shape.width,), 1.0
    if not shape.tied:
        yield "lm_head.weight", (shape.vocabulary, shape.width), 0.0


def _mlp(shape: Shape, block: str) -> Iterator[Named]:
    neurons, width, experts = shape.neurons, shape.width, shape.experts
    if experts:
        yield block + "mlp.gate.weight", (experts, width), 0.0
        yield block + "mlp.experts.down_proj", (experts, width, neurons), 0.0
        yield block + "mlp.experts.gate_up_proj", (experts, 2 * neurons, width), 0.0
        return
    yield block + "mlp.down_proj.weight", (width, neurons), 0.0
    for name in ("gate", "up"):
        yield block + f"mlp.{name}_proj.weight", (neurons, width), 0.0


def write(folder: Path, shape: Shape, seed: int = 1, noise: float = 0.0) -> Path:
    """One checkpoint; equal seeds give equal weights, `noise` is added relative to their standard deviation."""
    folder.mkdir(parents=True, exist_ok=True)
    bank = torch.randn(BANK + PIECE, generator=torch.Generator().manual_seed(20_260))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(_shards(shape)):
        name = f"model-{number + 1:05d}.safetensors"
        _write_shard(folder / name, shard, bank, seed, noise)
        weight_map |= dict.fromkeys((tensor for tensor, _, _ in shard), name)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    (folder / "config.json").write_text(json.dumps(config(shape)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(shape.vocabulary)))
    return folder


def _size(extents: tuple[int, ...]) -> int:
    return int(torch.Size(extents).numel())


def _shards(shape: Shape) -> Iterator[list[Named]]:
    shard: list[Named] = []
    for one in tensors(shape):
        if shard and 2 * sum(_size(extents) for _, extents, _ in (*shard, one)) > SHARD_BYTES:
            yield shard
            shard = []
        shard.append(one)
    yield shard


def _write_shard(path: Path, shard: list[Named], bank: torch.Tensor, seed: int, noise: float) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, extents, _ in shard:
        offsets = [at, at := at + 2 * _size(extents)]
        header[name] = {"dtype": "BF16", "shape": list(extents), "data_offsets": offsets}
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for name, extents, mean in shard:
            places = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
            spread = 0.015 + 0.01 * float(torch.rand((), generator=places))
            for start in range(0, _size(extents), PIECE):
                count = min(PIECE, _size(extents) - start)
                first, second = torch.randint(BANK, (2,), generator=places).tolist()
                drawn = mean + spread * bank[first : first + count]
                if noise:
                    drawn += noise * spread * bank[second : second + count]
                file.write(drawn.to(torch.bfloat16).view(torch.int16).numpy().data)


def config(shape: Shape) -> dict[str, object]:
    """config.json as transformers writes it for such a model."""
    mixture = {"num_experts": shape.experts, "moe_intermediate_size": shape.neurons} if shape.experts else {}
    return {
        "architectures": ["Qwen3MoeForCausalLM" if mixture else "Qwen2ForCausalLM"],
        "model_type": "qwen3_moe" if mixture else "qwen2",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.neurons,
        "vocab_size": shape.vocabulary,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        **mixture,
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
    arguments.add_argument("--layers", type=int, help="keep so many layers of the shape")
    given = arguments.parse_args()
    shape = SHAPES[given.shape]
    shape = replace(shape, layers=given.layers or shape.layers)
    for name, noise in (("base", 0.0), ("descendant", 0.1)):
        print(write(given.folder / name, shape, noise=noise))


if __name__ == "__main__":
    main()
