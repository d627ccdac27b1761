"""Canonical tensors under the names, orientations and fusions of an architecture's own files, and its config.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SEPARATE = {
    "input_norm": "input_layernorm.weight",
    "mlp_norm": "post_attention_layernorm.weight",
    **{f"{m}_proj": f"self_attn.{m}_proj.weight" for m in "qkvo"},
    **{f"{m}_bias": f"self_attn.{m}_proj.bias" for m in "qkv"},
    **{f"{m}_norm": f"self_attn.{m}_norm.weight" for m in "qk"},
    **{f"{m}_proj": f"mlp.{m}_proj.weight" for m in ("gate", "up", "down")},
}
"""Llama and its kin, inside `model.layers.N.`."""
GEMMA2 = {
    **SEPARATE,
    "attn_post_norm": "post_attention_layernorm.weight",
    "mlp_norm": "pre_feedforward_layernorm.weight",
    "mlp_post_norm": "post_feedforward_layernorm.weight",
}
MIXTRAL = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
GPT2 = {
    "input_norm": "ln_1.weight", "input_norm_bias": "ln_1.bias", "mlp_norm": "ln_2.weight",
    "mlp_norm_bias": "ln_2.bias", "o_proj": "attn.c_proj.weight", "o_bias": "attn.c_proj.bias",
    "up_proj": "mlp.c_fc.weight", "up_bias": "mlp.c_fc.bias", "down_proj": "mlp.c_proj.weight",
    "down_bias": "mlp.c_proj.bias",
}  # fmt: skip
GPT_NEOX = {
    "input_norm": "input_layernorm.weight", "input_norm_bias": "input_layernorm.bias",
    "mlp_norm": "post_attention_layernorm.weight", "mlp_norm_bias": "post_attention_layernorm.bias",
    "o_proj": "attention.dense.weight", "o_bias": "attention.dense.bias",
    "up_proj": "mlp.dense_h_to_4h.weight", "up_bias": "mlp.dense_h_to_4h.bias",
    "down_proj": "mlp.dense_4h_to_h.weight", "down_bias": "mlp.dense_4h_to_h.bias",
}  # fmt: skip
OUTSIDE = {
    "gpt2": {
        "embed_tokens": "wte.weight", "pos_embed": "wpe.weight", "final_norm": "ln_f.weight",
        "final_norm_bias": "ln_f.bias",
    },
    "gpt_neox": {
        "embed_tokens": "gpt_neox.embed_in.weight", "lm_head": "embed_out.weight",
        "final_norm": "gpt_neox.final_layer_norm.weight", "final_norm_bias": "gpt_neox.final_layer_norm.bias",
    },
}  # fmt: skip
LLAMA_OUTSIDE = {
    "embed_tokens": "model.embed_tokens.weight",
    "final_norm": "model.norm.weight",
    "lm_head": "lm_head.weight",
}
PREFIX = {"gpt2": "h.{}.", "gpt_neox": "gpt_neox.layers.{}."}


def stored_outside(architecture: str, drawn: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Names and values of what stands outside the layers; Gemma stores gains less one."""
    names = OUTSIDE.get(architecture, LLAMA_OUTSIDE)
    for role, values in drawn.items():
        yield names[role], values - 1 if architecture == "gemma2" and role == "final_norm" else values


def stored_layer(
    architecture: str, layer: int, drawn: Mapping[str, Array], heads: int
) -> Iterator[tuple[str, Array]]:
    """Names and values of one layer's tensors as that architecture's files hold them."""
    prefix = PREFIX.get(architecture, "model.layers.{}.").format(layer)
    for name, values in _layer(architecture, dict(drawn), heads):
        yield prefix + name, values


def _layer(architecture: str, drawn: dict[str, Array], heads: int) -> Iterator[tuple[str, Array]]:
    """As `stored_layer`, without the prefix."""
    match architecture:
        case "gpt2":
            fused = np.concatenate([drawn.pop(f"{m}_proj") for m in "qkv"])
            yield "attn.c_attn.weight", fused.T
            yield "attn.c_attn.bias", np.concatenate([drawn.pop(f"{m}_bias") for m in "qkv"])
            yield from ((GPT2[r], w.T if r.endswith("_proj") else w) for r, w in drawn.items())
        case "gpt_neox":
            for kind, name in (("proj", "weight"), ("bias", "bias")):
                parts = [drawn.pop(f"{m}_{kind}") for m in "qkv"]
                split = [p.reshape(heads, len(p) // heads, -1) for p in parts]
                fused = np.concatenate(split, axis=1).reshape(sum(map(len, parts)), -1)
                yield f"attention.query_key_value.{name}", fused if kind == "proj" else fused[:, 0]
            yield from ((GPT_NEOX[r], w) for r, w in drawn.items())
        case "phi3":
            yield "self_attn.qkv_proj.weight", np.concatenate([drawn.pop(f"{m}_proj") for m in "qkv"])
            fused = np.concatenate([drawn.pop("gate_proj"), drawn.pop("up_proj")])
            yield "mlp.gate_up_proj.weight", fused
            yield from ((SEPARATE[r], w) for r, w in drawn.items())
        case "gemma2":
            yield from ((GEMMA2[r], w - 1 if r.endswith("_norm") else w) for r, w in drawn.items())
        case "mixtral":
            for role, values in drawn.items():
                stem, _, expert = role.partition(".")
                inside = f"experts.{expert}.{MIXTRAL[stem]}.weight" if expert else "gate.weight"
                moe = expert or role == "router"
                yield f"block_sparse_moe.{inside}" if moe else SEPARATE[role], values
        case _:
            yield from ((SEPARATE[r], w) for r, w in drawn.items())


def config_of(architecture: str, class_name: str, sizes: Mapping[str, int], dtype: str) -> dict[str, Any]:
    """A config.json that transformers' own class accepts. `sizes`: layers, width, heads, kv_heads, … as in `Shape`."""
    common = {"architectures": [class_name], "model_type": architecture, "vocab_size": sizes["vocabulary"]}
    common["torch_dtype"] = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[dtype]
    if architecture == "gpt2":
        own = {
            "n_layer": sizes["layers"], "n_embd": sizes["width"], "n_head": sizes["heads"],
            "n_inner": sizes["neurons"], "n_positions": 128,
        }  # fmt: skip
        return {**common, **own, "activation_function": "gelu_new", "tie_word_embeddings": True}
    common |= {
        "num_hidden_layers": sizes["layers"], "hidden_size": sizes["width"], "intermediate_size": sizes["neurons"],
        "num_attention_heads": sizes["heads"], "max_position_embeddings": 128, "tie_word_embeddings": False,
    }  # fmt: skip
    if architecture == "gpt_neox":
        return {**common, "rotary_pct": 0.25, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
    common |= {"num_key_value_heads": sizes["kv_heads"], "rms_norm_eps": 1e-6, "pad_token_id": None}
    special: dict[str, dict[str, Any]] = {
        "gemma2": {
            "head_dim": sizes["head_dim"], "query_pre_attn_scalar": sizes["head_dim"], "tie_word_embeddings": True,
            "hidden_activation": "gelu_pytorch_tanh",
        },
        "qwen3": {"head_dim": sizes["head_dim"], "hidden_act": "silu"},
        "mixtral": {"num_local_experts": sizes["experts"], "num_experts_per_tok": 2, "hidden_act": "silu"},
    }  # fmt: skip
    return {**common, **special.get(architecture, {"hidden_act": "silu"})}
