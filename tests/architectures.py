"""Tiny models of every architecture that transformers can build and our layouts describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LAYERS, WIDTH, VOCABULARY, NEURONS, HEADS = 2, 32, 97, 48, 4
COMMON: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "intermediate_size": NEURONS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ALONE = {key: value for key, value in COMMON.items() if key != "num_key_value_heads"}
EXPERTS = {
    "num_experts": 3,
    "num_local_experts": 3,
    "n_routed_experts": 3,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "moe_num_experts": 3,
    "moe_k": 2,
}
LATENT = {
    "q_lora_rank": 12,
    "kv_lora_rank": 10,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "num_key_value_heads": HEADS,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "head_dim": 4,
}
LINEAR = {
    "head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 10,
    "layer_types": ["linear_attention", "full_attention"],
}


@dataclass(frozen=True)
class Kind:
    """One architecture: how to build a tiny one, and what its layout is called."""

    model_type: str
    layout: str
    config: dict[str, Any]
    common: bool = True
    """Whether the common sizes apply under their common names."""
    forms: tuple[bool, ...] = (True,)
    """Whether saved as the family's authors do, as transformers' modules are, or both."""
    heads: tuple[int, int, int] = (HEADS, 2, 8)
    experts: int = 0
    left: frozenset[str] = frozenset()
    """Last words of names that are left out."""
    vocabulary: int = VOCABULARY


BOTH = (True, False)
GPT = {
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "vocab_size": VOCABULARY,
    "n_positions": 64,
    "n_inner": NEURONS,
}
MIXTURE = {**EXPERTS, "num_hidden_layers": LAYERS}
KINDS = {
    "deepseek_v2": Kind(
        "deepseek_v2", "deepseek", {**EXPERTS, **LATENT}, forms=BOTH, heads=(4, 4, 10), experts=3
    ),
    "deepseek_v2-lite": Kind(
        "deepseek_v2", "deepseek", {**EXPERTS, **LATENT, "q_lora_rank": None}, heads=(4, 4, 10), experts=3
    ),
    "deepseek_v3": Kind(
        "deepseek_v3", "deepseek", {**EXPERTS, **LATENT}, forms=BOTH, heads=(4, 4, 10), experts=3
    ),
    "minicpm3": Kind("minicpm3", "deepseek", {**LATENT}, heads=(4, 4, 10)),
    "glm4_moe_lite": Kind(
        "glm4_moe_lite",
        "deepseek",
        {**EXPERTS, **LATENT, "mlp_layer_types": ["dense", "sparse"]},
        heads=(4, 4, 10),
        experts=3,
    ),
    "deepseek_v32": Kind(
        "deepseek_v32",
        "deepseek",
        {**EXPERTS, **LATENT, "index_n_heads": 2, "index_head_dim": 8, "index_topk": 4},
        heads=(4, 4, 10),
        experts=3,
    ),
    "afmoe": Kind(
        "afmoe",
        "sandwich",
        {**EXPERTS, "head_dim": 16, "num_dense_layers": 1, "layer_types": ["full_attention"] * 2},
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "gemma4_text": Kind(
        "gemma4_text",
        "gemma4",
        {
            "head_dim": 8,
            "global_head_dim": 8,
            "layer_types": ["full_attention"] * 2,
            "num_global_key_value_heads": 2,
            "hidden_size_per_layer_input": 4,
            "vocab_size_per_layer_input": VOCABULARY,
        },
        left=frozenset(
            {
                "layer_scalar",
                "per_layer_input_gate.weight",
                "per_layer_projection.weight",
                "post_per_layer_input_norm.weight",
                "per_layer_model_projection.weight",
                "per_layer_projection_norm.weight",
            }
        ),
    ),
    "gpt_oss": Kind(
        "gpt_oss",
        "gpt_oss",
        {**EXPERTS, "head_dim": 16, "layer_types": ["full_attention"] * 2},
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "llama4_text": Kind(
        "llama4_text",
        "llama4",
        {**EXPERTS, "intermediate_size_mlp": 40, "interleave_moe_layer_step": 2, "head_dim": 8},
        forms=BOTH,
        experts=3,
    ),
    "qwen3_next": Kind(
        "qwen3_next",
        "qwen3_next",
        {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 40},
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "qwen3_5_text": Kind("qwen3_5_text", "qwen3_next", {**LINEAR}, heads=(4, 2, 16)),
    "qwen3_5_moe_text": Kind(
        "qwen3_5_moe_text",
        "qwen3_next",
        {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 40},
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "falcon-7b": Kind(
        "falcon", "falcon", {**ALONE, "ffn_hidden_size": NEURONS, "multi_query": True}, False, heads=(4, 1, 8)
    ),
    "falcon-rw": Kind(
        "falcon",
        "falcon",
        {
            **ALONE,
            "ffn_hidden_size": NEURONS,
            "multi_query": False,
            "parallel_attn": False,
            "bias": True,
            "alibi": True,
        },
        False,
        heads=(4, 4, 8),
    ),
    "falcon-40b": Kind(
        "falcon",
        "falcon",
        {**ALONE, "ffn_hidden_size": NEURONS, "new_decoder_architecture": True, "num_kv_heads": 2},
        False,
    ),
    "bloom": Kind(
        "bloom",
        "bloom",
        {"hidden_size": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "vocab_size": VOCABULARY},
        False,
        heads=(4, 4, 8),
    ),
    "opt": Kind(
        "opt", "opt", {**ALONE, "ffn_dim": NEURONS, "word_embed_proj_dim": WIDTH}, False, heads=(4, 4, 8)
    ),
    "opt-350m": Kind(
        "opt",
        "opt_post",
        {**ALONE, "ffn_dim": NEURONS, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
        False,
        heads=(4, 4, 8),
        left=frozenset(
            {
                "project_in.weight",
                "project_out.weight",
                "self_attn_layer_norm.weight",
                "self_attn_layer_norm.bias",
                "final_layer_norm.weight",
                "final_layer_norm.bias",
            }
        ),
    ),
    "mpt": Kind(
        "mpt",
        "mpt",
        {
            "d_model": WIDTH,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "vocab_size": VOCABULARY,
            "expansion_ratio": 2,
        },
        False,
        heads=(4, 4, 8),
    ),
    "glm": Kind("glm", "glm", {"head_dim": 8, "attention_bias": True}),
    "glm4": Kind("glm4", "glm4", {"head_dim": 8}),
    "glm4_moe": Kind(
        "glm4_moe",
        "glm_moe",
        {**EXPERTS, "head_dim": 16, "use_qk_norm": True, "n_shared_experts": 1, "first_k_dense_replace": 1},
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "dots1": Kind(
        "dots1",
        "glm_moe",
        {
            **EXPERTS,
            "head_dim": 16,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        },
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "ernie4_5_moe": Kind(
        "ernie4_5_moe",
        "glm_moe",
        {**EXPERTS, "moe_layer_start_index": 1, "moe_num_shared_experts": 1},
        forms=BOTH,
        experts=3,
    ),
    "ernie4_5": Kind("ernie4_5", "llama", {"head_dim": 8}),
    "hunyuan_v1_dense": Kind("hunyuan_v1_dense", "hunyuan", {"head_dim": 8}),
    "hunyuan_v1_moe": Kind(
        "hunyuan_v1_moe", "hunyuan_moe", {**EXPERTS, "head_dim": 8, "moe_topk": [2, 2]}, forms=BOTH, experts=3
    ),
    "seed_oss": Kind("seed_oss", "llama", {"head_dim": 16}, heads=(4, 2, 16)),
    "ministral3": Kind("ministral3", "llama", {"head_dim": 16}, heads=(4, 2, 16)),
    "arcee": Kind("arcee", "llama", {}),
    "apertus": Kind(
        "apertus",
        "apertus",
        {},
        left=frozenset({"act_fn.alpha_p", "act_fn.alpha_n", "act_fn.beta", "act_fn.eps"}),
    ),
    "bitnet": Kind("bitnet", "bitnet", {}),
    "cohere": Kind("cohere", "cohere", {}),
    "cohere-plus": Kind("cohere", "cohere", {"use_qk_norm": True}),
    "cohere2": Kind("cohere2", "cohere", {}),
    "olmo": Kind("olmo", "olmo", {}),
    "olmo2": Kind("olmo2", "olmo2", {}),
    "olmo3": Kind("olmo3", "olmo2", {"layer_types": ["full_attention"] * 2}),
    "olmoe": Kind("olmoe", "olmoe", {**EXPERTS, "intermediate_size": 24}, forms=BOTH, experts=3),
    "exaone4": Kind("exaone4", "exaone4", {"layer_types": ["full_attention"] * 2}),
    "phi": Kind("phi", "phi", {}),
    "phimoe": Kind(
        "phimoe",
        "phimoe",
        {**EXPERTS, "intermediate_size": 24, "attention_bias": True, "lm_head_bias": True},
        forms=BOTH,
        experts=3,
    ),
    "gptj": Kind("gptj", "gptj", {**GPT, "rotary_dim": 4}, False, heads=(4, 4, 8)),
    "gpt_neo": Kind(
        "gpt_neo",
        "gpt_neo",
        {
            "hidden_size": WIDTH,
            "num_layers": LAYERS,
            "num_heads": HEADS,
            "intermediate_size": NEURONS,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 64,
            "attention_types": [[["global", "local"], 1]],
        },
        False,
        heads=(4, 4, 8),
    ),
    "starcoder": Kind("gpt_bigcode", "gpt_bigcode", {**GPT, "multi_query": True}, False, heads=(4, 1, 8)),
    "santacoder": Kind("gpt_bigcode", "gpt_bigcode", {**GPT, "multi_query": False}, False, heads=(4, 4, 8)),
    "starcoder2": Kind("starcoder2", "starcoder2", {"use_bias": True}),
    "stablelm": Kind("stablelm", "stablelm", {}),
    "nemotron": Kind("nemotron", "nemotron", {"head_dim": 8}),
    "minimax": Kind(
        "minimax",
        "minimax",
        {**EXPERTS, "head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "block_size": 8},
        forms=BOTH,
        experts=3,
    ),
    "minimax_m2": Kind(
        "minimax_m2",
        "minimax_m2",
        {**EXPERTS, "head_dim": 16, "intermediate_size": 24, "rotary_dim": 8},
        forms=BOTH,
        heads=(4, 2, 16),
        experts=3,
    ),
    "granitemoe": Kind("granitemoe", "granitemoe", {**EXPERTS}, forms=BOTH, experts=3),
    "mamba": Kind(
        "mamba",
        "mamba",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY, "state_size": 4},
        False,
        heads=(0, 0, 0),
    ),
    "jamba": Kind(
        "jamba",
        "jamba",
        {
            **EXPERTS,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "use_mamba_kernels": False,
            "mamba_d_state": 4,
        },
        forms=BOTH,
        experts=3,
        left=frozenset({"dt_layernorm.weight", "b_layernorm.weight", "c_layernorm.weight"}),
    ),
}
