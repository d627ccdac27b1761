"""GGUF's names against gguf's own table: what each architecture may hold is known here, or left on purpose."""

from __future__ import annotations

import gguf
import pytest

from forensics.checkpoint.choosing import choose
from forensics.checkpoint.gguf_facts import MODEL_TYPES, gguf_config
from forensics.checkpoint.gguf_file import open_gguf
from forensics.checkpoint.layout import Layout, bundled_layouts
from forensics.checkpoint.plan import plan_for
from tests.ggufs import Bytes, composed, tensor

GGUF_LAYOUTS = {layout.name: layout for layout in bundled_layouts() if layout.name.startswith("gguf")}
NO_DECODER = {
    "clip", "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3",
    "eurobert", "t5", "t5encoder", "wavtokenizer-dec", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7",
}  # fmt: skip
"""Encoders, towers and recurrent models without a layout."""
LEFT = {
    "dense_2", "dense_3", "token_embd_norm", "altup_unembd_proj", "altup_proj", "per_layer_model_proj",
    "per_layer_proj_norm",
    *(f"blk.{{bid}}.{part}" for part in (
        # what Gemma 3n and 4 add to every layer
        "altup_correct_coef", "altup_correct_scale", "altup_predict_coef", "altup_router", "altup_router_norm",
        "inp_gate", "laurel_l", "laurel_post_norm", "laurel_r", "layer_output_scale", "post_ffw_norm_1",
        "post_ffw_norm_2", "post_norm", "pre_ffw_norm_2", "proj",
        # layers for multi-token prediction, and an indexer for sparse attention
        "nextn.eh_proj", "nextn.embed_tokens", "nextn.enorm", "nextn.hnorm", "nextn.shared_head_head",
        "nextn.shared_head_norm", "indexer.attn_k", "indexer.attn_q_b", "indexer.k_norm", "indexer.proj",
        # latent attention's second factor, cut and turned by the converter
        "attn_k_b", "attn_v_b",
        # decay rates kept as -exp(A), grouped norms, linear attention whose value heads are put in another order
        "ssm_a", "ssm_norm", "ssm_b_norm", "ssm_c_norm", "ssm_dt_norm", "ssm_alpha", "ssm_ba", "ssm_beta",
        "ssm_conv1d", "ssm_conv1d_k", "ssm_conv1d_q", "ssm_conv1d_v", "ssm_dt", "ssm_f_a", "ssm_f_b", "ssm_g_a",
        "ssm_g_b", "ssm_in", "ssm_out", "attn_gate", "attn_qkv",
        # of one architecture each
        "attn_output_norm", "layer_output_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm", "ffn",
        "ffn_down_chexps", "ffn_gate_chexps", "ffn_up_chexps", "ffn_latent_down", "ffn_latent_up", "ffn_norm_exps",
        "shortconv.conv", "shortconv.in_proj", "shortconv.out_proj", "vis_attn_output", "vis_attn_qkv", "vis_down",
        "vis_gate", "vis_up")),
    "position_embd",
}  # fmt: skip
"""What is left unexamined in some architecture, and listed as such."""
PAIRED = {
    "llama", "granite", "granitemoe", "granitehybrid", "smollm3", "arcee", "minicpm", "internlm2", "baichuan",
    "xverse", "deci", "olmo", "arctic", "deepseek", "bailingmoe", "llada", "mistral3", "llama-embed", "chameleon",
}  # fmt: skip
"""Architectures whose converter puts the rows of rotary pairs beside each other (llama.cpp's `permute`)."""
SUPPORTED = sorted(set(gguf.MODEL_ARCH_NAMES.values()) - NO_DECODER)


def of(architecture: str) -> list[Layout]:
    """The layouts that an architecture's model_type asks for."""
    kind = gguf_config({"general.architecture": architecture}).get("model_type")
    return [layout for layout in GGUF_LAYOUTS.values() if kind in layout.model_types]


@pytest.mark.parametrize("architecture", SUPPORTED)
def test_every_architecture_has_its_layout(architecture: str) -> None:
    """One layout, or two that its tensors tell apart; and its pairs are undone just where there are pairs."""
    layouts = of(architecture)
    assert layouts
    assert len(layouts) == 1 or any(layout.requires for layout in layouts)
    queries = [layout.match("blk.0.attn_q.weight") for layout in layouts]
    assert {bool(q and q.rule.paired) for q in queries} == {architecture in PAIRED}


def test_every_tensor_of_every_architecture_is_known_or_left_on_purpose() -> None:
    """By the table from which llama.cpp's converters take their names; nothing stands in the list without need."""
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    lost = set()
    for architecture in SUPPORTED:
        for number in gguf.MODEL_TENSORS[numbers[architecture]]:
            template = gguf.TENSOR_NAMES[number]
            names = [template.format(bid=7) + ending for ending in (".weight", ".bias", "")]
            if not any(layout.match(name) for layout in of(architecture) for name in names):
                lost.add(template)
    assert lost == LEFT


def test_the_names_of_architectures_are_ggufs() -> None:
    """What is renamed exists, and the renamed are not layouts' own spellings."""
    assert set(MODEL_TYPES) <= set(gguf.MODEL_ARCH_NAMES.values())


def test_an_unknown_architecture_is_not_unpaired() -> None:
    """llama.cpp's own default: pairs lie in two halves unless it says otherwise."""
    names = [
        (f"blk.0.{n}.weight", 64) for n in ("attn_norm", "attn_q", "attn_k", "attn_v", "ffn_norm", "ffn_up")
    ]
    chosen, share = choose([("token_embd.weight", 64), *names], "a model of tomorrow", bundled_layouts())
    assert share == 1
    assert chosen is not None
    assert chosen.name == "gguf"


def test_a_layer_for_further_tokens_is_set_aside() -> None:
    """Its marks are `nextn` tensors; as in transformers' files it is no layer of the model."""
    names = [f"blk.{i}.{n}.weight" for i in range(3) for n in ("attn_norm", "ffn_norm")]
    names += ["blk.2.nextn.eh_proj.weight", "token_embd.weight"]
    raw = composed([], [tensor(n, [8], 0, 32 * i) for i, n in enumerate(names)], bytes(32 * len(names)))
    plan = plan_for([open_gguf(Bytes(raw))], {"model_type": "glm4_moe"}, bundled_layouts())
    assert {s.layer for s in plan.specs} == {0, 1, None}
    assert plan.unexamined[0].name == "blk.2.*"


def test_marks_of_further_tokens_among_other_names_are_no_traceback() -> None:
    """Names of two families mixed by hostile hands are read as far as they go."""
    names = [f"h.{i}.ln_1.weight" for i in range(6)] + [
        "wte.weight",
        "layers.0.x.weight",
        "layers.5.enorm.weight",
    ]
    raw = composed([], [tensor(n, [8], 0, 32 * i) for i, n in enumerate(names)], bytes(32 * len(names)))
    plan = plan_for([open_gguf(Bytes(raw))], {"model_type": "gpt2"}, bundled_layouts())
    assert any(u.name.startswith("h.5.ln_1.weight") for u in plan.unexamined)
    assert {s.layer for s in plan.specs} == {0, 1, 2, 3, 4, None}
