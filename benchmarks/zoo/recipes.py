"""What the zoo holds, as data: the recipes of the bases, and the descendants.

A *recipe* fixes everything about a model but its seed, so two bases of one recipe are twins that share
nothing but habits. A descendant's *treatment* is a line of operations, read left to right, for instance
``fine-tune code-a 100; permute; quantise 4``; the operations are those of `operations.OPERATIONS`.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig

BASE_STEPS = 320
"""Optimiser steps of a base, at 2,048 tokens each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything about a base but its seed."""

    architecture: str
    """The `model_type` of transformers."""
    tokenizer: str
    slice: str
    """The corpus slice it is trained on."""
    config: Mapping[str, Any]
    dtype: str = "bfloat16"
    """The dtype it is published in; training is float32 throughout."""
    shard_bytes: int | None = None
    """Where to split the weights into shards with an index, or None for one file."""
    steps: int = BASE_STEPS
    learning_rate: float = 3e-3


def _sizes(width: int, layers: int, heads: int, kv_heads: int, mlp: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": width // heads,
        "intermediate_size": mlp,
        "max_position_embeddings": 256,
        **more,
    }


_GPT2 = {
    "n_embd": 96, "n_layer": 6, "n_head": 6, "n_positions": 256,
    "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
_NEOX = {
    "hidden_size": 96, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 384,
    "max_position_embeddings": 256, "use_parallel_residual": True,
}  # fmt: skip
_NARROW_NEOX = _NEOX | {
    "hidden_size": 64, "num_hidden_layers": 5, "num_attention_heads": 4, "intermediate_size": 256,
    "use_parallel_residual": False,
}  # fmt: skip
_ROUTED = {"num_experts_per_tok": 2, "output_router_logits": True}

RECIPES: Mapping[str, Recipe] = {
    "llama-96": Recipe(
        architecture="llama", tokenizer="bpe-1024", slice="prose-a", config=_sizes(96, 6, 6, 2, 256)
    ),
    "llama-128": Recipe(
        architecture="llama", tokenizer="bpe-2048", slice="code-a", dtype="float32", shard_bytes=1_500_000,
        config=_sizes(128, 4, 4, 2, 320, tie_word_embeddings=True),
    ),
    "llama-256": Recipe(
        architecture="llama", tokenizer="bpe-1536", slice="prose-a", config=_sizes(256, 4, 8, 4, 640)
    ),
    "qwen2-96": Recipe(
        architecture="qwen2", tokenizer="bpe-1536", slice="prose-b",
        config=_sizes(96, 6, 6, 2, 224, tie_word_embeddings=False),
    ),
    "qwen2-128": Recipe(
        architecture="qwen2", tokenizer="bpe-1024", slice="code-b", dtype="float16",
        config=_sizes(128, 4, 8, 2, 320, tie_word_embeddings=True),
    ),
    "qwen3-96": Recipe(
        architecture="qwen3", tokenizer="bpe-2048", slice="code-b",
        config=_sizes(96, 5, 4, 2, 256) | {"head_dim": 32},
    ),
    "gpt2-96": Recipe(
        architecture="gpt2", tokenizer="bpe-1536", slice="code-a", dtype="float32", config=_GPT2
    ),
    "neox-96": Recipe(
        architecture="gpt_neox", tokenizer="bpe-1280", slice="code-b", dtype="float16", config=_NEOX
    ),
    "gemma2-80": Recipe(
        architecture="gemma2", tokenizer="bpe-2048", slice="prose-a",
        config=_sizes(80, 5, 4, 2, 224, query_pre_attn_scalar=20, sliding_window=128),
    ),
    "gemma3-96": Recipe(
        architecture="gemma3_text", tokenizer="bpe-1536", slice="prose-a",
        config=_sizes(96, 5, 4, 1, 256, query_pre_attn_scalar=24, sliding_window=128),
    ),
    "mistral-128": Recipe(
        architecture="mistral", tokenizer="bpe-2048", slice="prose-b", shard_bytes=1_000_000,
        config=_sizes(128, 4, 8, 4, 320, sliding_window=None),
    ),
    "mistral-64": Recipe(
        architecture="mistral", tokenizer="bpe-1280", slice="code-a", dtype="float32",
        config=_sizes(64, 8, 4, 2, 192, sliding_window=None),
    ),
    "mixtral-96": Recipe(
        architecture="mixtral", tokenizer="bpe-1024", slice="prose-b",
        config=_sizes(96, 4, 6, 2, 128, num_local_experts=4, **_ROUTED),
    ),
    "qwen2moe-96": Recipe(
        architecture="qwen2_moe", tokenizer="bpe-1536", slice="prose-a",
        config=_sizes(96, 4, 6, 2, 256, num_experts=4, moe_intermediate_size=96,
                      shared_expert_intermediate_size=96, norm_topk_prob=True, **_ROUTED),
    ),
    "llama-64": Recipe(
        architecture="llama", tokenizer="bpe-1536", slice="code-b",
        config=_sizes(64, 6, 4, 2, 176, tie_word_embeddings=True),
    ),
    "neox-64": Recipe(
        architecture="gpt_neox", tokenizer="bpe-1024", slice="prose-b", dtype="float32", config=_NARROW_NEOX
    ),
    "olmo2-96": Recipe(
        architecture="olmo2", tokenizer="bpe-1280", slice="prose-a", config=_sizes(96, 5, 6, 6, 256)
    ),
    "stablelm-96": Recipe(
        architecture="stablelm", tokenizer="bpe-1536", slice="code-a", dtype="float16",
        config=_sizes(96, 5, 6, 2, 240, partial_rotary_factor=0.5),
    ),
    "cohere-96": Recipe(
        architecture="cohere", tokenizer="bpe-2048", slice="prose-b",
        config=_sizes(96, 5, 6, 2, 256, logit_scale=1.0),
    ),
    "gpt2-192": Recipe(
        architecture="gpt2", tokenizer="bpe-1280", slice="prose-a", config=_GPT2 | {"n_embd": 192, "n_layer": 4}
    ),
    "qwen3-256": Recipe(
        architecture="qwen3", tokenizer="bpe-1024", slice="prose-b", config=_sizes(256, 4, 8, 2, 640)
    ),
}  # fmt: skip

BASES: Mapping[str, str] = {
    "llama-a": "llama-96", "llama-b": "llama-96", "llama-c": "llama-96",
    "llama-w": "llama-128", "llama-v": "llama-128", "llama-x": "llama-256", "llama-y": "llama-256",
    "llama-s": "llama-64", "llama-t": "llama-64",
    "qwen2-a": "qwen2-96", "qwen2-b": "qwen2-96", "qwen2-c": "qwen2-96",
    "qwen2-w": "qwen2-128", "qwen2-v": "qwen2-128",
    "qwen3-a": "qwen3-96", "qwen3-b": "qwen3-96", "qwen3-x": "qwen3-256", "qwen3-y": "qwen3-256",
    "gpt2-a": "gpt2-96", "gpt2-b": "gpt2-96", "gpt2-w": "gpt2-192", "gpt2-v": "gpt2-192",
    "neox-a": "neox-96", "neox-b": "neox-96", "neox-s": "neox-64", "neox-t": "neox-64",
    "gemma2-a": "gemma2-80", "gemma2-b": "gemma2-80", "gemma3-a": "gemma3-96", "gemma3-b": "gemma3-96",
    "mistral-a": "mistral-128", "mistral-b": "mistral-128", "mistral-n": "mistral-64", "mistral-m": "mistral-64",
    "mixtral-a": "mixtral-96", "mixtral-b": "mixtral-96",
    "qwen2moe-a": "qwen2moe-96", "qwen2moe-b": "qwen2moe-96",
    "olmo2-a": "olmo2-96", "olmo2-b": "olmo2-96",
    "stablelm-a": "stablelm-96", "stablelm-b": "stablelm-96",
    "cohere-a": "cohere-96", "cohere-b": "cohere-96",
}  # fmt: skip
"""Base to recipe; each base is an initialisation of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descendant:
    """One checkpoint that really descends from its parents."""

    name: str
    kind: str
    treatment: str
    parents: tuple[str, ...] = field(default=())
    """Usually the base alone; for a merge, the checkpoints averaged."""

    @property
    def base(self) -> str:
        """The base, which the name begins with."""
        return self.name.split(".")[0]


@cache
def descendants() -> Mapping[str, Descendant]:
    """The table `descendants.csv` beside this file; parents are named only where they are not the base."""
    found = {}
    with (Path(__file__).parent / "descendants.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            parents = tuple(row["parents"].split()) or (row["name"].split(".")[0],)
            found[row["name"]] = Descendant(
                name=row["name"], kind=row["kind"], treatment=row["treatment"], parents=parents
            )
    return found


@cache
def seeds() -> Mapping[str, int]:
    """Every seed of the zoo, by checkpoint."""
    listed: dict[str, int] = json.loads((Path(__file__).parent / "seeds.json").read_text())
    return listed


def config_of(recipe: Recipe) -> PretrainedConfig:
    """The transformers configuration of a recipe, with the special tokens of its tokenizer."""
    from transformers import AutoConfig

    from benchmarks.zoo.corpus import TOKENIZERS, tokenizer

    made = tokenizer(recipe.tokenizer)
    special = {"bos_token_id": made.bos_token_id, "eos_token_id": made.eos_token_id}
    return AutoConfig.for_model(
        recipe.architecture,
        vocab_size=TOKENIZERS[recipe.tokenizer][0],
        pad_token_id=made.pad_token_id,
        **special,
        **recipe.config,
    )
