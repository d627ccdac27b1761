"""Architectures that transformers does not build, wrappers, and what lies beside: written from published names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from forensics.checkpoint import Checkpoint, open_checkpoint, plan
from forensics.checkpoint.choosing import choose
from forensics.checkpoint.codec import Plain
from forensics.checkpoint.generic import generic_layout
from forensics.checkpoint.layout import bundled_layouts, layout_from, supported
from forensics.checkpoint.stored import Entry, Stored
from forensics.errors import PluginError
from forensics.reading import read

Floats = NDArray[np.float32]
Tensors = dict[str, Floats]
WIDTH, TOKENS, NEURONS, HEADS, GROUPS, SIZE = 16, 20, 24, 4, 2, 4
CONFIG: dict[str, Any] = {
    "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "num_key_value_heads": GROUPS,
    "vocab_size": TOKENS,
}  # fmt: skip


class Drawn:
    """Random matrices, no two alike."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __call__(self, *shape: int) -> Floats:
        """The next one."""
        return self.generator.standard_normal(shape).astype(np.float32)


def written(
    folder: Path, tensors: Mapping[str, Floats], config: Mapping[str, Any], name: str = "config.json"
) -> Checkpoint:
    """A folder of one safetensors file and a config, opened."""
    folder.mkdir(exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / name).write_text(json.dumps(config))
    return open_checkpoint(folder)


def held(checkpoint: Checkpoint, role: str, layer: int | None = None, expert: int | None = None) -> Floats:
    """A canonical tensor that must be there; vectors as vectors."""
    spec = checkpoint.find(role, layer, expert)
    assert spec is not None, (role, layer, expert)
    whole = checkpoint.matrix(spec)
    return whole[:, 0] if spec.columns == 1 else whole


def canonical(drawn: Drawn) -> Tensors:
    """Queries, keys and values of one layer, and their biases, as they should come out."""
    wide, narrow = HEADS * SIZE, GROUPS * SIZE
    return {
        "q_proj": drawn(wide, WIDTH), "k_proj": drawn(narrow, WIDTH), "v_proj": drawn(narrow, WIDTH),
        "q_bias": drawn(wide), "k_bias": drawn(narrow), "v_bias": drawn(narrow), "o_proj": drawn(WIDTH, wide),
        "gate_proj": drawn(NEURONS, WIDTH), "up_proj": drawn(NEURONS, WIDTH), "down_proj": drawn(WIDTH, NEURONS),
        "input_norm": drawn(WIDTH), "mlp_norm": drawn(WIDTH),
    }  # fmt: skip


def by_group(q: Floats, k: Floats, v: Floats) -> Floats:
    """Fused as InternLM2 does: each key head's queries, then its key, then its value."""
    parts = [q.reshape(GROUPS, -1, *q.shape[1:]), k.reshape(GROUPS, SIZE, *k.shape[1:])]
    return np.concatenate([*parts, v.reshape(GROUPS, SIZE, *v.shape[1:])], axis=1).reshape(-1, *q.shape[1:])


def paired(rows: Floats) -> Floats:
    """Rows of rotary pairs put beside each other, head by head, as Meta stores them."""
    heads = rows.reshape(-1, 2, SIZE // 2, *rows.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)


def compared(checkpoint: Checkpoint, wanted: Mapping[int, Tensors]) -> None:
    """Fails unless every wanted canonical tensor is there, bit for bit."""
    for layer, tensors in wanted.items():
        for role, values in tensors.items():
            np.testing.assert_array_equal(held(checkpoint, role, layer), values, err_msg=f"{role} {layer}")


def outside(drawn: Drawn, embed: str, norm: str, head: str) -> Tensors:
    """Embeddings, last norm and output embeddings under a family's names."""
    return {embed: drawn(TOKENS, WIDTH), norm: drawn(WIDTH), head: drawn(TOKENS, WIDTH)}


def internlm2(layers: Mapping[int, Tensors]) -> Tensors:
    """As in modeling_internlm2.py."""
    found: Tensors = {}
    for n, t in layers.items():
        at = f"model.layers.{n}"
        found |= {
            f"{at}.attention.wqkv.weight": by_group(t["q_proj"], t["k_proj"], t["v_proj"]),
            f"{at}.attention.wqkv.bias": by_group(t["q_bias"], t["k_bias"], t["v_bias"]),
            f"{at}.attention.wo.weight": t["o_proj"], f"{at}.feed_forward.w1.weight": t["gate_proj"],
            f"{at}.feed_forward.w3.weight": t["up_proj"], f"{at}.feed_forward.w2.weight": t["down_proj"],
            f"{at}.attention_norm.weight": t["input_norm"], f"{at}.ffn_norm.weight": t["mlp_norm"],
        }  # fmt: skip
    return found


def chatglm(layers: Mapping[int, Tensors]) -> Tensors:
    """As in modeling_chatglm.py of ChatGLM2 to GLM-4."""
    found: Tensors = {}
    for n, t in layers.items():
        at = f"transformer.encoder.layers.{n}"
        found |= {
            f"{at}.self_attention.query_key_value.weight": np.concatenate([t["q_proj"], t["k_proj"], t["v_proj"]]),
            f"{at}.self_attention.query_key_value.bias": np.concatenate([t["q_bias"], t["k_bias"], t["v_bias"]]),
            f"{at}.self_attention.dense.weight": t["o_proj"], f"{at}.input_layernorm.weight": t["input_norm"],
            f"{at}.mlp.dense_h_to_4h.weight": np.concatenate([t["gate_proj"], t["up_proj"]]),
            f"{at}.mlp.dense_4h_to_h.weight": t["down_proj"], f"{at}.post_attention_layernorm.weight": t["mlp_norm"],
        }  # fmt: skip
    return found


def meta(layers: Mapping[int, Tensors]) -> Tensors:
    """As in Meta's and Mistral's consolidated files."""
    found: Tensors = {}
    for n, t in layers.items():
        at = f"layers.{n}"
        found |= {
            f"{at}.attention.wq.weight": paired(t["q_proj"]), f"{at}.attention.wq.bias": paired(t["q_bias"]),
            f"{at}.attention.wk.weight": paired(t["k_proj"]), f"{at}.attention.wk.bias": paired(t["k_bias"]),
            f"{at}.attention.wv.weight": t["v_proj"], f"{at}.attention.wv.bias": t["v_bias"],
            f"{at}.attention.wo.weight": t["o_proj"], f"{at}.feed_forward.w1.weight": t["gate_proj"],
            f"{at}.feed_forward.w3.weight": t["up_proj"], f"{at}.feed_forward.w2.weight": t["down_proj"],
            f"{at}.attention_norm.weight": t["input_norm"], f"{at}.ffn_norm.weight": t["mlp_norm"],
        }  # fmt: skip
    return found


def llama(layers: Mapping[int, Tensors], prefix: str = "model.") -> Tensors:
    """As transformers writes Llama and Qwen2."""
    found: Tensors = {}
    for n, t in layers.items():
        at = f"{prefix}layers.{n}"
        found |= {f"{at}.self_attn.{r}.weight": t[r] for r in ("q_proj", "k_proj", "v_proj", "o_proj")}
        found |= {f"{at}.self_attn.{r[0]}_proj.bias": t[r] for r in ("q_bias", "k_bias", "v_bias")}
        found |= {f"{at}.mlp.{r}.weight": t[r] for r in ("gate_proj", "up_proj", "down_proj")}
        found |= {f"{at}.input_layernorm.weight": t["input_norm"]}
        found |= {f"{at}.post_attention_layernorm.weight": t["mlp_norm"]}
    return found


def baichuan(layers: Mapping[int, Tensors]) -> Tensors:
    """As in modeling_baichuan.py; queries, keys and values are equally many."""
    split = ("q_proj.weight", "k_proj.weight", "v_proj.weight", ".bias")
    fused = {
        f"model.layers.{n}.self_attn.W_pack.weight": np.concatenate(
            [t[r] for r in ("q_proj", "k_proj", "v_proj")]
        )
        for n, t in layers.items()
    }
    return {n: t for n, t in llama(layers).items() if not n.endswith(split)} | fused


FAMILIES: dict[str, tuple[Any, tuple[str, str, str], dict[str, Any]]] = {
    "internlm2": (internlm2, ("model.tok_embeddings.weight", "model.norm.weight", "output.weight"), {}),
    "chatglm": (
        chatglm,
        (
            "transformer.embedding.word_embeddings.weight",
            "transformer.encoder.final_layernorm.weight",
            "transformer.output_layer.weight",
        ),
        {"num_key_value_heads": None, "multi_query_group_num": GROUPS, "kv_channels": SIZE, "num_layers": 2},
    ),
    "meta": (meta, ("tok_embeddings.weight", "norm.weight", "output.weight"), {}),
    "llama": (llama, ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"), {}),
    "baichuan": (
        baichuan,
        ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"),
        {"num_key_value_heads": HEADS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_published_names_give_the_canonical_tensors(family: str, tmp_path: Path) -> None:
    """Every canonical tensor comes out bit for bit from the family's own names and fusion, with sizes to match."""
    drawn = Drawn()
    layers = {n: canonical(drawn) for n in range(2)}
    if family == "baichuan":
        for tensors in layers.values():
            tensors |= {r: drawn(HEADS * SIZE, WIDTH) for r in ("k_proj", "v_proj")}
            for role in ("q_bias", "k_bias", "v_bias"):
                del tensors[role]
    write, ends, more = FAMILIES[family]
    whole = {n: dict.fromkeys(("q_bias", "k_bias", "v_bias"), drawn(1)) | t for n, t in layers.items()}
    tensors = write(whole) | outside(drawn, *ends)
    checkpoint = written(tmp_path / "a", tensors, CONFIG | {"model_type": family} | more)
    compared(checkpoint, layers)
    shapes = checkpoint.architecture
    kv = HEADS if family == "baichuan" else GROUPS
    assert (shapes.layout, shapes.layers, shapes.heads, shapes.kv_heads, shapes.head_dim) == (
        family,
        2,
        HEADS,
        kv,
        SIZE,
    )
    assert (checkpoint.plan.unexamined, checkpoint.problems) == ((), [])
    assert {"embed_tokens", "final_norm", "lm_head"} <= {s.role for s in checkpoint.specs}
    checkpoint.close()


def test_params_json_serves_where_there_is_no_config(tmp_path: Path) -> None:
    """Meta's params.json gives the head counts by which rotary pairs are taken apart."""
    drawn = Drawn()
    layers = {0: canonical(drawn), 1: canonical(drawn)}
    tensors = meta(layers) | outside(drawn, *FAMILIES["meta"][1])
    params = {"dim": WIDTH, "n_layers": 2, "n_heads": HEADS, "n_kv_heads": GROUPS, "vocab_size": -1}
    checkpoint = written(tmp_path / "a", tensors, params, "params.json")
    compared(checkpoint, layers)
    assert checkpoint.problems == []
    checkpoint.close()


def test_rotary_pairs_of_unknown_heads_are_left_out(tmp_path: Path) -> None:
    """Without head counts, paired rows are listed, never handed out in the wrong order."""
    drawn = Drawn()
    checkpoint = written(
        tmp_path / "a", meta({0: canonical(drawn)}) | outside(drawn, *FAMILIES["meta"][1]), {}
    )
    left = {u.name for u in checkpoint.plan.unexamined}
    assert left == {f"layers.0.attention.{w}.{k}" for w in ("wq", "wk") for k in ("weight", "bias")}
    checkpoint.close()


def mixture(n: int, drawn: Drawn, shared: str) -> Tensors:
    """A mixture's MLP of two experts, with a router and a shared expert."""
    at = f"model.layers.{n}.mlp"
    found = {f"{at}.gate.weight": drawn(2, WIDTH)}
    for place in (f"{at}.experts.0", f"{at}.experts.1", f"{at}.{shared}"):
        found |= {f"{place}.{r}.weight": drawn(6, WIDTH) for r in ("gate_proj", "up_proj")}
        found |= {f"{place}.down_proj.weight": drawn(WIDTH, 6)}
    return found


def latent(n: int, drawn: Drawn, prefix: str = "model.") -> Tensors:
    """Latent attention of four heads: 6 + 2 query and key dimensions, 4 value dimensions, ranks 5 and 7."""
    at = f"{prefix}layers.{n}.self_attn"
    return {
        f"{at}.q_a_proj.weight": drawn(5, WIDTH), f"{at}.q_a_layernorm.weight": drawn(5),
        f"{at}.q_b_proj.weight": drawn(32, 5), f"{at}.kv_a_proj_with_mqa.weight": drawn(9, WIDTH),
        f"{at}.kv_a_layernorm.weight": drawn(7), f"{at}.kv_b_proj.weight": drawn(40, 7),
        f"{at}.o_proj.weight": drawn(WIDTH, 16),
    }  # fmt: skip


def pangu_pro(drawn: Drawn) -> Tensors:
    """Pangu Pro MoE: Qwen's names, biases in attention, grouped experts with a scale."""
    layers = {n: canonical(drawn) for n in range(2)}
    found = {k: v for k, v in llama(layers).items() if ".mlp." not in k}
    for n in range(2):
        found |= mixture(n, drawn, "shared_expert")
        found |= {
            f"model.layers.{n}.mlp.router_scale": drawn(1, 2),
            f"model.layers.{n}.self_attn.o_proj.bias": drawn(WIDTH),
        }
    return found | outside(drawn, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")


SANDWICH = {
    "input_layernorm": "input_norm", "post_attention_layernorm": "attn_post_norm", "pre_mlp_layernorm": "mlp_norm",
    "post_mlp_layernorm": "mlp_post_norm",
}  # fmt: skip


def pangu_ultra(drawn: Drawn) -> Tensors:
    """Pangu Ultra MoE: DeepSeek's names with sandwich norms."""
    found = outside(drawn, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")
    for n in range(2):
        found |= latent(n, drawn) | mixture(n, drawn, "shared_experts")
        found |= {f"model.layers.{n}.{norm}.weight": drawn(WIDTH) for norm in SANDWICH}
    return found


def test_pangu_pro_moe(tmp_path: Path) -> None:
    """Pangu Pro MoE is read whole: biases, router, its scale, experts and shared expert."""
    tensors = pangu_pro(Drawn())
    checkpoint = written(tmp_path / "a", tensors, CONFIG | {"model_type": "PanguProMoE"})
    assert checkpoint.plan.unexamined == ()
    assert checkpoint.architecture.experts == 2
    at = "model.layers.1.mlp"
    np.testing.assert_array_equal(
        held(checkpoint, "shared_up_proj", 1), tensors[f"{at}.shared_expert.up_proj.weight"]
    )
    np.testing.assert_array_equal(
        held(checkpoint, "gate_proj", 1, 1), tensors[f"{at}.experts.1.gate_proj.weight"]
    )
    np.testing.assert_array_equal(held(checkpoint, "router", 1), tensors[f"{at}.gate.weight"])
    np.testing.assert_array_equal(held(checkpoint, "router_scale", 1), tensors[f"{at}.router_scale"])
    checkpoint.close()


@pytest.mark.parametrize("declared", ["pangu_ultra_moe", "deepseek_v3", "llama", ""])
def test_sandwich_norms_are_told_from_pre_norms(declared: str, tmp_path: Path) -> None:
    """Pangu Ultra's post_attention_layernorm is the norm behind attention, whatever the config declares."""
    tensors = pangu_ultra(Drawn())
    checkpoint = written(tmp_path / "a", tensors, CONFIG | {"model_type": declared})
    assert (checkpoint.architecture.layout, checkpoint.plan.unexamined) == ("pangu_ultra", ())
    for norm, role in SANDWICH.items():
        np.testing.assert_array_equal(held(checkpoint, role, 1), tensors[f"model.layers.1.{norm}.weight"])
    shapes = checkpoint.architecture
    assert (shapes.heads, shapes.kv_heads, shapes.head_dim) == (4, 4, 8)
    checkpoint.close()


def deepseek(drawn: Drawn, layers: int) -> Tensors:
    """DeepSeek-V3 with `layers` ordinary layers."""
    found = outside(drawn, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")
    for n in range(layers):
        found |= latent(n, drawn) | mixture(n, drawn, "shared_experts")
        found |= {f"model.layers.{n}.{norm}.weight": drawn(WIDTH) for norm in list(SANDWICH)[:2]}
        found |= {f"model.layers.{n}.mlp.gate.e_score_correction_bias": drawn(2)}
    return found


def marks(n: int, drawn: Drawn) -> Tensors:
    """What only a layer for multi-token prediction has."""
    at = f"model.layers.{n}"
    return {
        f"{at}.eh_proj.weight": drawn(WIDTH, 2 * WIDTH), f"{at}.enorm.weight": drawn(WIDTH),
        f"{at}.hnorm.weight": drawn(WIDTH), f"{at}.shared_head.norm.weight": drawn(WIDTH),
    }  # fmt: skip


def test_multi_token_prediction_is_no_layer(tmp_path: Path) -> None:
    """A last layer that predicts further tokens is listed as one, not counted in depth, and lowers the coverage."""
    drawn = Drawn()
    tensors = deepseek(drawn, 4) | marks(3, drawn)
    checkpoint = written(
        tmp_path / "a", tensors, CONFIG | {"model_type": "deepseek_v3", "num_hidden_layers": 3}
    )
    assert (checkpoint.architecture.layers, checkpoint.problems) == (3, [])
    assert {s.layer for s in checkpoint.specs} == {None, 0, 1, 2}
    (left,) = checkpoint.plan.unexamined
    assert left.name == "model.layers.3.*"
    assert left.reason.startswith("multi-token prediction layer: ")
    subject = read(checkpoint, []).subject
    hidden = sum(v.size for k, v in tensors.items() if ".layers.3." in k)
    assert (subject.parameters, subject.recognised) == (
        sum(v.size for v in tensors.values()),
        subject.parameters - hidden,
    )
    checkpoint.close()


@pytest.mark.parametrize(
    "marked", [[0], [0, 1, 2, 3], [1, 2, 3], [2, 3]], ids=["first", "all", "most", "half"]
)
def test_marks_hide_no_ordinary_layer(marked: list[int], tmp_path: Path) -> None:
    """Planted marks of multi-token prediction cannot hide a first layer or every layer; half is the most."""
    drawn = Drawn()
    tensors = deepseek(drawn, 4)
    for n in marked:
        tensors |= marks(n, drawn)
    checkpoint = written(
        tmp_path / "a", tensors, CONFIG | {"model_type": "deepseek_v3", "num_hidden_layers": 1}
    )
    assert checkpoint.architecture.layers == (2 if marked == [2, 3] else 4)
    checkpoint.close()


def test_a_module_of_its_own_for_further_tokens_is_one_entry(tmp_path: Path) -> None:
    """Qwen3-Next's `mtp.` is one entry among the unexamined, whatever it holds."""
    drawn = Drawn()
    further = {f"mtp.layers.0.{n}.weight": drawn(WIDTH, WIDTH) for n in ("mlp.up_proj", "self_attn.q_proj")}
    tensors = llama({n: canonical(drawn) for n in range(2)}) | outside(drawn, *FAMILIES["llama"][1])
    checkpoint = written(
        tmp_path / "a", tensors | further | {"mtp.fc.weight": drawn(4, 4)}, CONFIG | {"model_type": "qwen2"}
    )
    (left,) = checkpoint.plan.unexamined
    assert (left.name, left.reason) == ("mtp.*", "multi-token prediction layer: 3 tensors, 528 parameters")
    checkpoint.close()


WRAPPERS = {
    "llava": ("language_model.model.", "language_model.lm_head.weight", "vision_tower.vision_model.encoder"),
    "llava in transformers 5": ("model.language_model.", "lm_head.weight", "model.vision_tower.encoder"),
    "qwen2_vl": ("model.", "lm_head.weight", "visual.blocks"),
    "qwen3_5": ("model.language_model.", "lm_head.weight", "model.visual.blocks"),
    "internvl": ("language_model.model.", "language_model.lm_head.weight", "vision_model.encoder"),
    "minicpm-v": ("llm.model.", "llm.lm_head.weight", "vpm.encoder"),
    "qwen2_5_omni": ("thinker.model.", "thinker.lm_head.weight", "thinker.audio_tower"),
}


def multimodal(kind: str, drawn: Drawn, tower: int) -> Tensors:
    """A Llama of two layers under a wrapper's names, with a tower of `tower` layers of 256 elements."""
    prefix, head, beside = WRAPPERS[kind]
    found = llama({n: canonical(drawn) for n in range(2)}, prefix)
    found |= outside(drawn, f"{prefix}embed_tokens.weight", f"{prefix}norm.weight", head)
    return found | {f"{beside}.layers.{n}.self_attn.q_proj.weight": drawn(16, 16) for n in range(tower)}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrappers_are_seen_through(kind: str, tmp_path: Path) -> None:
    """The language model in a multimodal wrapper is read whole; the tower is told, with its share, and not counted."""
    tensors = multimodal(kind, Drawn(), 3)
    config = {
        "model_type": kind,
        "text_config": CONFIG | {"model_type": "llama"},
        "vision_config": {"hidden_size": 8},
    }
    checkpoint = written(tmp_path / "a", tensors, config)
    shapes = checkpoint.architecture
    assert (shapes.layout, shapes.declared, shapes.layers, shapes.heads) == ("llama", "llama", 2, HEADS)
    assert not shapes.tied_embeddings
    (left,) = checkpoint.plan.unexamined
    assert left.reason == "not a part of the language model: 3 tensors, 768 parameters"
    assert WRAPPERS[kind][2].startswith(left.name.removesuffix(".*"))
    (problem,) = checkpoint.problems
    total = sum(v.size for v in tensors.values())
    assert problem.code == "BESIDE_LANGUAGE"
    assert f"{768 / total:.1%} of the parameters" in problem.message
    subject = read(checkpoint, []).subject
    assert subject.parameters == subject.recognised == total - 768
    checkpoint.close()


def test_a_tower_larger_than_the_language_model_is_counted(tmp_path: Path) -> None:
    """Whoever hides real weights under `vision_tower.` behind a small decoy pays with coverage."""
    tensors = multimodal("llava", Drawn(), 30)
    checkpoint = written(tmp_path / "a", tensors, CONFIG | {"model_type": "llava"})
    subject = read(checkpoint, []).subject
    assert subject.parameters == sum(v.size for v in tensors.values())
    assert subject.recognised < subject.parameters / 2
    assert "counted in the coverage" in checkpoint.problems[0].message
    assert "not counted" not in checkpoint.problems[0].message
    checkpoint.close()


def test_absurd_layer_numbers_are_left_out(tmp_path: Path) -> None:
    """A number in a name makes nothing as long as it says: layers beyond any model's are listed, not read."""
    drawn = Drawn()
    tensors = llama({0: canonical(drawn), 1: canonical(drawn), 99_999: canonical(drawn)})
    tensors |= outside(drawn, *FAMILIES["llama"][1])
    checkpoint = written(tmp_path / "a", tensors, {"model_type": "llama", "num_hidden_layers": 1_000_000_000})
    assert checkpoint.architecture.layers == 2
    assert {u.reason for u in checkpoint.plan.unexamined} == {"no model has so many layers or experts"}
    checkpoint.close()


def test_decoy_config_cannot_turn_gpt2(tmp_path: Path) -> None:
    """GPT-BigCode's names are GPT-2's, its matrices are not transposed: shapes decide, not the declared type."""
    drawn, at = Drawn(), "transformer.h.{}"
    found = {"transformer.wte.weight": drawn(TOKENS, WIDTH)}
    for n in range(2):
        place = at.format(n)
        found |= {
            f"{place}.attn.c_attn.weight": drawn(WIDTH, 3 * WIDTH),
            f"{place}.attn.c_proj.weight": drawn(WIDTH, WIDTH),
        }
        found |= {
            f"{place}.mlp.c_fc.weight": drawn(WIDTH, NEURONS),
            f"{place}.mlp.c_proj.weight": drawn(NEURONS, WIDTH),
        }
    config = {"n_embd": WIDTH, "n_head": HEADS, "n_layer": 2, "model_type": "gpt_bigcode"}
    checkpoint = written(tmp_path / "a", found, config)
    assert checkpoint.architecture.layout == "gpt2"
    np.testing.assert_array_equal(held(checkpoint, "up_proj", 1), found["transformer.h.1.mlp.c_fc.weight"].T)
    turned = {k: v.T for k, v in found.items() if "layers" not in k and "wte" not in k}
    checkpoint.close()
    checkpoint = written(tmp_path / "b", found | turned, config | {"model_type": "gpt2"})
    assert checkpoint.architecture.layout == "gpt_bigcode"
    np.testing.assert_array_equal(held(checkpoint, "up_proj", 1), turned["transformer.h.1.mlp.c_fc.weight"])
    checkpoint.close()


def test_one_planted_name_changes_no_layout() -> None:
    """A single tensor of another family, with that family declared, does not make a Llama of 16 layers a Gemma."""
    names = [(n, 10) for n in llama({n: canonical(Drawn()) for n in range(16)})]
    planted = [*names, ("model.layers.0.pre_feedforward_layernorm.weight", 1)]
    layout, _ = choose(planted, "gemma2", bundled_layouts())
    assert layout is not None
    assert layout.name == "llama"


def unheard_of(drawn: Drawn) -> Tensors:
    """An architecture that nobody described, of two layers."""
    found = {"net.token_embedding.weight": drawn(TOKENS, WIDTH), "net.final_norm.weight": drawn(WIDTH)}
    for n in range(2):
        at = f"net.block.{n}"
        found |= {
            f"{at}.attention.query.weight": drawn(WIDTH, WIDTH), f"{at}.attention.query.bias": drawn(WIDTH),
            f"{at}.attention.key.weight": drawn(8, WIDTH), f"{at}.attention.fused_qkv.weight": drawn(48, WIDTH),
            f"{at}.attention.out_proj.weight": drawn(WIDTH, WIDTH), f"{at}.ln_1.weight": drawn(WIDTH),
            f"{at}.mlp.up_proj.weight": drawn(NEURONS, WIDTH), f"{at}.mlp.down_proj.weight": drawn(WIDTH, NEURONS),
            f"{at}.pre_mlp_layernorm.weight": drawn(WIDTH), f"{at}.mlp.w1.weight": drawn(NEURONS, WIDTH),
            f"{at}.cross_attention.value.weight": drawn(8, WIDTH),
        }  # fmt: skip
    return found


def test_unknown_architecture_is_recognised_as_far_as_names_are_plain(tmp_path: Path) -> None:
    """What means one thing everywhere gets its role; fused, ambiguous and cross-attention tensors are listed."""
    tensors = unheard_of(Drawn())
    checkpoint = written(tmp_path / "a", tensors, {"model_type": "unheard_of"})
    shapes = checkpoint.architecture
    assert (shapes.layout, shapes.layers, shapes.width, shapes.norm) == ("generic", 2, WIDTH, "unknown")
    roles = {
        "query.weight": "q_proj", "query.bias": "q_bias", "key.weight": "k_proj", "out_proj.weight": "o_proj",
        "up_proj.weight": "up_proj", "down_proj.weight": "down_proj", "pre_mlp_layernorm.weight": "mlp_norm",
    }  # fmt: skip
    for name, role in roles.items():
        (values,) = (v for k, v in tensors.items() if k.startswith("net.block.1.") and k.endswith(name))
        np.testing.assert_array_equal(held(checkpoint, role, 1), values)
    left = {u.name.removeprefix("net.block.1.") for u in checkpoint.plan.unexamined if ".1." in u.name}
    assert left == {
        "attention.fused_qkv.weight",
        "ln_1.weight",
        "mlp.w1.weight",
        "cross_attention.value.weight",
    }
    checkpoint.close()


def stored(name: str, shape: tuple[int, ...]) -> Stored:
    """A tensor of which only name and shape matter."""
    entry = Entry(name=name, dtype="F32", shape=shape, begin=0, end=4)
    return Stored(name=name, shape=shape, precision="f32", file=0, entry=entry, codec=None)


UNSURE = {
    "squares alone show no orientation": {
        "attention.q_proj.weight": (8, 8),
        "attention.o_proj.weight": (8, 8),
    },
    "an MLP of the residual width": {"mlp.up_proj.weight": (8, 8), "mlp.down_proj.weight": (8, 8)},
    "an MLP stored transposed": {"mlp.up_proj.weight": (8, 12), "mlp.down_proj.weight": (12, 8)},
    "a fused gate and input": {"mlp.up_proj.weight": (24, 8), "mlp.down_proj.weight": (8, 12)},
    "queries that read something else": {"attention.q_proj.weight": (8, 6)},
    "a projection outside attention": {"router.q_proj.weight": (12, 8)},
    "two that claim one role": {"attention.q_proj.weight": (12, 8), "attention.wq.weight": (12, 8)},
    "a norm alone": {"input_layernorm.weight": (8,)},
}


@pytest.mark.parametrize("inside", UNSURE.values(), ids=UNSURE)
def test_what_is_unsure_gets_no_role(inside: dict[str, tuple[int, ...]]) -> None:
    """The generic layout says nothing about a tensor whose meaning or orientation names and shape leave open."""
    tensors = [stored("word_embeddings.weight", (30, 8))]
    tensors += [stored(f"block.{n}.{name}", shape) for n in range(2) for name, shape in inside.items()]
    layout = generic_layout(tensors)
    assert layout is None or not any(layout.match(f"block.1.{name}") for name in inside)


WORDS = st.lists(
    st.sampled_from(
        [
            "attn",
            "mlp",
            "experts",
            "0",
            "7",
            "q_proj",
            "wte",
            "up_proj",
            "down_proj",
            "weight",
            "bias",
            "{layer}",
            "",
            "é",
            "norm",
        ]
    ),
    max_size=7,
).map(".".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WORDS, st.lists(st.integers(0, 9), max_size=3)), max_size=30))
def test_generic_layout_never_fails(names: list[tuple[str, list[int]]]) -> None:
    """Any names and shapes give a layout or none, and one role at most for each tensor."""
    layout = generic_layout([stored(name, tuple(shape)) for name, shape in names])
    if layout is not None:
        found = [
            m for n, s in {(n, tuple(s)) for n, s in names} if (m := layout.match(n)) and m.layer is not None
        ]
        assert all(len(m.rule.roles) == 1 for m in found)


def test_omni_configs_are_unwrapped_twice(tmp_path: Path) -> None:
    """A thinker's text config inside a wrapper's config gives the sizes."""
    config = {
        "model_type": "qwen2_5_omni",
        "thinker_config": {"model_type": "t", "text_config": CONFIG | {"model_type": "qwen2"}},
    }
    checkpoint = written(tmp_path / "a", multimodal("qwen2_5_omni", Drawn(), 1), config)
    assert (checkpoint.architecture.declared, checkpoint.architecture.heads) == ("qwen2", HEADS)
    checkpoint.close()


def test_layouts_may_not_be_like_nothing() -> None:
    """A layout that is like one that there is not is refused; one like a bundled layout takes over its templates."""
    raw = {
        "name": "x",
        "model_types": ["x"],
        "norm": "rms",
        "like": "llama",
        "tensors": {"extra.weight": "sinks"},
    }
    layout = layout_from(raw)
    assert layout.match("model.layers.0.mlp.up_proj.weight") is not None
    assert layout.match("extra.weight") is not None
    with pytest.raises(PluginError):
        layout_from({**raw, "like": "nobody"})
    with pytest.raises(PluginError):
        layout_from({**raw, "like": 3})


def test_supported_families_are_listed() -> None:
    """Every bundled layout is listed once, and the families asked for are among their model types."""
    listed = supported()
    assert len({name for name, _ in listed}) == len(listed) == len(bundled_layouts())
    every = {kind for _, kinds in listed for kind in kinds}
    assert {
        "deepseek_v3",
        "gpt_oss",
        "llama4_text",
        "qwen3_next",
        "falcon",
        "internlm2",
        "PanguProMoE",
        "baichuan",
    } <= every


def test_queries_without_gates_stay_whole(tmp_path: Path) -> None:
    """Where Qwen3.5 has no gate on its heads, every row of the query projection is a query."""
    drawn = Drawn()
    tensors = llama({n: canonical(drawn) for n in range(2)}) | outside(drawn, *FAMILIES["llama"][1])
    tensors = {k: v for k, v in tensors.items() if not k.endswith(".bias")}
    linear = {
        "A_log": (2,),
        "conv1d.weight": (8, 1, 4),
        "in_proj_qkv.weight": (8, WIDTH),
        "out_proj.weight": (WIDTH, 4),
    }
    tensors |= {f"model.layers.2.linear_attn.{name}": drawn(*shape) for name, shape in linear.items()}
    checkpoint = written(
        tmp_path / "a", tensors, CONFIG | {"model_type": "qwen3_5_text", "num_hidden_layers": 3}
    )
    assert checkpoint.architecture.layout == "qwen3_next"
    np.testing.assert_array_equal(
        held(checkpoint, "q_proj", 1), tensors["model.layers.1.self_attn.q_proj.weight"]
    )
    assert checkpoint.find("attn_gate_proj", 1) is None
    assert (held(checkpoint, "linear_q_proj", 2).shape, held(checkpoint, "linear_v_proj", 2).shape) == (
        (2, 16),
        (4, 16),
    )
    checkpoint.close()


def test_tiny_stacks_make_no_endless_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks of thousands of one-element experts are left out once their parts are too many."""
    monkeypatch.setattr(plan, "PARTS_LIMIT", 8_000)
    names = [f"model.layers.{n}.mlp.experts.down_proj" for n in range(4)]
    tensors = [replace(stored(name, (4_000, 1, 1)), codec=Plain("F32", 1)) for name in names]
    planned = plan.plan_for([], {}, bundled_layouts(), tensors)
    assert len(planned.specs) == 8_000
    assert [(u.name, u.reason) for u in planned.unexamined] == [
        (name, "too many parts") for name in names[2:]
    ]
