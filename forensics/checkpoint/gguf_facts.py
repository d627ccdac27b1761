"""What a GGUF header says of its model: sizes under the names of config.json, and the tokenizer as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forensics.checkpoint.config import sanitised
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.tokenizer import TEMPLATE_LIMIT, VOCABULARY_LIMIT, token_bytes
from forensics.checkpoint.tokenizer_steps import bounded, canonical

MODEL_TYPES = {
    "bailingmoe": "bailing_moe", "bailingmoe2": "bailing_moe_v2", "command-r": "cohere",
    "deepseek2": "deepseek_v2", "ernie4_5-moe": "ernie4_5_moe", "exaone-moe": "exaone_moe",
    "falcon-h1": "falcon_h1", "gemma3": "gemma3_text", "gemma3n": "gemma3n_text", "gemma4": "gemma4_text",
    "glm-dsa": "glm_moe_dsa", "glm4moe": "glm4_moe", "gpt-oss": "gpt_oss", "gptneox": "gpt_neox",
    "granitehybrid": "granitemoehybrid", "hunyuan-dense": "hunyuan_v1_dense", "hunyuan-moe": "hunyuan_v1_moe",
    "lfm2moe": "lfm2_moe", "llama-embed": "llama", "llama4": "llama4_text", "minimax-m2": "minimax_m2",
    "mistral3": "ministral3", "phi2": "phi", "qwen2moe": "qwen2_moe", "qwen2vl": "qwen2_vl_text",
    "qwen35": "qwen3_5_text", "qwen35moe": "qwen3_5_moe_text", "qwen3moe": "qwen3_moe", "qwen3next": "qwen3_next",
    "qwen3vl": "qwen3_vl_text", "qwen3vlmoe": "qwen3_vl_moe_text", "starcoder": "gpt_bigcode",
}  # fmt: skip
"""Architectures of GGUF whose model_type in config.json is spelt differently."""
SIZES = {
    "num_hidden_layers": ("block_count",),
    "hidden_size": ("embedding_length",),
    "intermediate_size": ("feed_forward_length",),
    "num_attention_heads": ("attention.head_count",),
    "num_key_value_heads": ("attention.head_count_kv",),
    "head_dim": ("attention.key_length_mla", "attention.key_length"),
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": ("context_length",),
    "num_experts": ("expert_count",),
    "num_experts_per_tok": ("expert_used_count",),
    "moe_intermediate_size": ("expert_feed_forward_length",),
    "shared_expert_intermediate_size": ("expert_shared_feed_forward_length",),
    "n_shared_experts": ("expert_shared_count",),
    "first_k_dense_replace": ("leading_dense_block_count",),
    "q_lora_rank": ("attention.q_lora_rank",),
    "kv_lora_rank": ("attention.kv_lora_rank",),
    "sliding_window": ("attention.sliding_window",),
    "rope_theta": ("rope.freq_base",),
    "rms_norm_eps": ("attention.layer_norm_rms_epsilon",),
    "layer_norm_eps": ("attention.layer_norm_epsilon",),
}
"""Keys of config.json, and GGUF's behind the architecture's name, the first that is there."""
TOKENIZERS = {
    "gpt2": "BPE", "gemma4": "BPE", "llama": "BPE", "t5": "Unigram", "bert": "WordPiece", "rwkv": "RWKV",
    "plamo2": "PLaMo",
}  # fmt: skip
"""Kinds of `tokenizer.ggml.model`, and what tokenizer.json calls the same."""
BYTE_LEVEL = ("gpt2",)
SIGMOID = 2
"""llama.cpp's number for a router with sigmoids."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5
"""Token types (`llama_token_type`) that matter here."""


def gguf_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The header's sizes as config.json would have them, sanitised; without architecture an empty map.

    `architecture` keeps GGUF's own word; a size that differs from layer to layer is left out.
    """
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        return {}
    found: dict[str, Any] = {"architecture": architecture[:64]}
    for name, keys in SIZES.items():
        values = (_single(metadata.get(f"{architecture}.{key}")) for key in keys)
        value = next((v for v in values if v is not None), None)
        if value is not None:
            found[name] = value
    tokens = metadata.get("tokenizer.ggml.tokens")
    if "vocab_size" not in found and isinstance(tokens, list) and tokens:
        found["vocab_size"] = len(tokens)
    sigmoid = metadata.get(f"{architecture}.expert_gating_func") == SIGMOID
    found["model_type"] = _model_type(architecture, experts=bool(found.get("num_experts")), sigmoid=sigmoid)
    config: dict[str, Any] = sanitised(found)
    return {name: value for name, value in config.items() if value is not None}


def _model_type(architecture: str, *, experts: bool, sigmoid: bool) -> str:
    """The model_type of config.json for one of GGUF's architectures.

    Mixtral goes as a Llama with experts, DeepSeek-V3 as a V2 whose router has sigmoids.
    """
    if architecture == "llama":
        return "mixtral" if experts else "llama"
    if architecture == "deepseek2" and sigmoid:
        return "deepseek_v3"
    return MODEL_TYPES.get(architecture, architecture.replace("-", "_"))[:64]


def _single(value: object) -> int | float | None:
    """A number, or the one number that a list of them repeats."""
    if isinstance(value, list):
        return _single(value[0]) if value and all(v == value[0] for v in value) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def gguf_tokenizer(metadata: Mapping[str, Any]) -> TokenizerFacts | None:
    """The vocabulary on bytes, as of the tokenizer.json it was made from; None where the file has none.

    Tokens behind the last ordinary one that are special, added or unused are left out of `tokens`, as tokenizer.json
    keeps added tokens apart from the vocabulary and knows no padding up to the rows of the embeddings.
    """
    kind, listed = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.tokens")
    if not isinstance(kind, str) or not isinstance(listed, list) or not listed:
        return None
    texts = [t if isinstance(t, str) else "" for t in listed[:VOCABULARY_LIMIT]]
    types = _types(metadata, len(texts))
    byte_level = kind in BYTE_LEVEL
    apart = (CONTROL, USER_DEFINED, UNUSED)
    last = max((i for i, t in enumerate(types) if t not in apart), default=len(texts) - 1)
    tokens = {
        token_bytes(text, byte_level=byte_level): index
        for index, (text, type_) in enumerate(zip(texts, types, strict=True))
        if index <= last and type_ != UNUSED
    }
    template, pre = metadata.get("tokenizer.chat_template"), metadata.get("tokenizer.ggml.pre")
    return TokenizerFacts(
        model=TOKENIZERS.get(kind, kind[:40]),
        tokens=tokens,
        merges=_merges(metadata.get("tokenizer.ggml.merges"), byte_level=byte_level),
        special={texts[i][:200]: i for i, t in enumerate(types) if t in (UNKNOWN, CONTROL, USER_DEFINED)},
        pre_tokenizer=canonical({"type": "GGUF", "name": bounded(pre)}) if isinstance(pre, str) else "",
        chat_template=template[:TEMPLATE_LIMIT] if isinstance(template, str) else None,
        source="GGUF header",
    )


def _types(metadata: Mapping[str, Any], count: int) -> list[int]:
    """The type of each token; all are ordinary where the file does not say."""
    said = metadata.get("tokenizer.ggml.token_type")
    types = [t if isinstance(t, int) else NORMAL for t in said[:count]] if isinstance(said, list) else []
    return types + [NORMAL] * (count - len(types))


def _merges(listed: object, *, byte_level: bool) -> tuple[tuple[bytes, bytes], ...]:
    pairs = []
    for merge in listed[:VOCABULARY_LIMIT] if isinstance(listed, list) else []:
        parts = merge.split(" ") if isinstance(merge, str) else []
        if len(parts) == 2:
            left, right = (token_bytes(p, byte_level=byte_level) for p in parts)
            pairs.append((left, right))
    return tuple(pairs)
