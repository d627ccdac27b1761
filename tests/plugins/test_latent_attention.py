"""Attention circuits of latent attention (MLA), wide heads and single heads, on models that transformers builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DeepseekV2Config, DeepseekV3Config, LlamaConfig

from benchmarks.zoo import training
from benchmarks.zoo.build import write_checkpoint
from benchmarks.zoo.corpus import tokens, unigram_entropy
from forensics.checkpoint import open_checkpoint
from forensics.probe import Sketch
from forensics.reading import read
from forensics.readings import Measurement
from plugins.attention_circuits import AttentionCircuits

PROBE, TOKENIZER = AttentionCircuits(), "bpe-1024"
HEADS, NOPE, ROTARY, VALUE, QUERY_RANK, RANK, WIDTH, LAYERS = 4, 12, 8, 12, 40, 32, 64, 4
SIZES: dict[str, Any] = {
    "vocab_size": 1024, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS, "intermediate_size": 96, "max_position_embeddings": 128,
}  # fmt: skip
LATENT: dict[str, Any] = {
    **SIZES, "q_lora_rank": QUERY_RANK, "kv_lora_rank": RANK, "qk_nope_head_dim": NOPE, "qk_rope_head_dim": ROTARY,
    "v_head_dim": VALUE, "first_k_dense_replace": LAYERS, "n_routed_experts": 4, "n_group": 1, "topk_group": 1,
    "num_experts_per_tok": 2,
}  # fmt: skip
CONFIGS = {
    "deepseek-v3": DeepseekV3Config(**LATENT),
    "deepseek-v2-lite": DeepseekV2Config(**{**LATENT, "q_lora_rank": None}),
    "multi-query": LlamaConfig(**{**SIZES, "num_key_value_heads": 1, "head_dim": 16}),
    "one wide head": LlamaConfig(
        **{**SIZES, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": WIDTH}
    ),
}
EXACT = 4e-3
"""What float16 kernels and float32 products cost a correlation."""
ATTENTIONS = [f"model.layers.{layer}.self_attn." for layer in range(LAYERS)]
"""Prefixes of the attention modules."""
State = dict[str, Any]
Rewriting = Callable[[State, torch.Generator], State]


def drawn(kind: str, seed: int) -> Any:
    """An untrained model whose gains are not all one."""
    model = training.fresh(CONFIGS[kind], seed)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 1 and "norm" in name:
                tensor.mul_(0.5 + torch.rand(tensor.shape, generator=draws))
            if "proj" in name:  # as if trained: an initialisation of 0.02 is as good
                tensor.mul_(0.5 + torch.rand(tensor.shape[:1], generator=draws)[:, None])
    return model


def sketched(model: Any, folder: Path) -> Sketch:
    """The probe's sketch of a model as it is saved."""
    write_checkpoint(model, folder, TOKENIZER, "float32")
    checkpoint = open_checkpoint(folder)
    sketch = read(checkpoint, [PROBE]).sketches[PROBE.id]
    checkpoint.close()
    assert sketch.absent is None, sketch.absent
    return sketch


def orthogonal(size: int, draws: torch.Generator) -> torch.Tensor:
    """A random rotation."""
    return torch.linalg.qr(torch.randn(size, size, generator=draws))[0]


def latent_rotated(state: State, draws: torch.Generator) -> State:
    """Inner gains folded into the large factors, and both latents rotated: the same function."""
    for at in ATTENTIONS:
        turn = orthogonal(RANK, draws)
        gain = state[at + "kv_a_layernorm.weight"]
        state[at + "kv_b_proj.weight"] = state[at + "kv_b_proj.weight"] * gain @ turn.T
        first = state[at + "kv_a_proj_with_mqa.weight"]
        state[at + "kv_a_proj_with_mqa.weight"] = torch.cat([turn @ first[:RANK], first[RANK:]])
        state[at + "kv_a_layernorm.weight"] = torch.ones_like(gain)
        if at + "q_a_proj.weight" in state:
            turn, gain = orthogonal(QUERY_RANK, draws), state[at + "q_a_layernorm.weight"]
            state[at + "q_b_proj.weight"] = state[at + "q_b_proj.weight"] * gain @ turn.T
            state[at + "q_a_proj.weight"] = turn @ state[at + "q_a_proj.weight"]
            state[at + "q_a_layernorm.weight"] = torch.ones_like(gain)
    return state


def heads_permuted(state: State, draws: torch.Generator) -> State:
    """Heads in another order in every layer."""
    for at in ATTENTIONS:
        order = torch.randperm(HEADS, generator=draws)
        query = "q_b_proj.weight" if at + "q_b_proj.weight" in state else "q_proj.weight"
        for name in (query, "kv_b_proj.weight"):
            heads = state[at + name].reshape(HEADS, -1, state[at + name].shape[1])
            state[at + name] = heads[order].reshape(state[at + name].shape)
        columns = state[at + "o_proj.weight"].reshape(WIDTH, HEADS, VALUE)
        state[at + "o_proj.weight"] = columns[:, order].reshape(WIDTH, -1)
    return state


def rewritten(kind: str, how: Rewriting, seed: int) -> Any:
    """A model of that seed, rewritten."""
    model = drawn(kind, seed)
    with torch.no_grad():
        state = how({n: t.clone() for n, t in model.state_dict().items()}, torch.Generator().manual_seed(99))
    model.load_state_dict(state)
    return model


def multiplied_out(model: Any) -> Any:
    """The same attention with a matrix for every head: rotary key repeated in all, values padded with zeros."""
    wide = NOPE + ROTARY
    plain = training.fresh(LlamaConfig(**{**SIZES, "head_dim": wide}), 0)
    state, old = plain.state_dict(), model.state_dict()
    with torch.no_grad():
        for name in set(state) & set(old):
            if state[name].shape == old[name].shape:
                state[name] = old[name].clone()
        for at in ATTENTIONS:
            if at + "q_a_proj.weight" in old:
                gained = old[at + "q_b_proj.weight"] * old[at + "q_a_layernorm.weight"]
                state[at + "q_proj.weight"] = gained @ old[at + "q_a_proj.weight"]
            first = old[at + "kv_a_proj_with_mqa.weight"]
            large = old[at + "kv_b_proj.weight"] * old[at + "kv_a_layernorm.weight"] @ first[:RANK]
            heads = large.reshape(HEADS, NOPE + VALUE, WIDTH)
            rotary = first[RANK:].expand(HEADS, ROTARY, WIDTH)
            padding = torch.zeros(HEADS, wide - VALUE, WIDTH)
            state[at + "k_proj.weight"] = torch.cat([heads[:, :NOPE], rotary], 1).reshape(-1, WIDTH)
            state[at + "v_proj.weight"] = torch.cat([heads[:, NOPE:], padding], 1).reshape(-1, WIDTH)
            columns = old[at + "o_proj.weight"].reshape(WIDTH, HEADS, VALUE)
            out = torch.cat([columns, torch.zeros(WIDTH, HEADS, wide - VALUE)], 2)
            state[at + "o_proj.weight"] = out.reshape(WIDTH, -1)
    plain.load_state_dict(state)
    return plain


def all_circuits(found: Measurement) -> np.ndarray:
    """Correlations of q, k, v and o in every matched layer."""
    return np.array([row[2:] for row in found.tables[0].rows], float)


@pytest.mark.parametrize("kind", ["deepseek-v3", "deepseek-v2-lite"])
@pytest.mark.parametrize("how", [latent_rotated, heads_permuted], ids=["rotated", "permuted"])
def test_rewritten_latent_attention_reads_as_the_same(tmp_path: Path, kind: str, how: Rewriting) -> None:
    """A rotated latent with folded gains, or permuted heads, leave every circuit of every layer at 1."""
    sides = sketched(rewritten(kind, how, 1), tmp_path / "a"), sketched(drawn(kind, 1), tmp_path / "b")
    found = all_circuits(PROBE.compare(*sides))
    assert found.shape == (LAYERS, 4)
    assert found == pytest.approx(np.ones((LAYERS, 4)), abs=EXACT)


@pytest.mark.parametrize("kind", ["deepseek-v3", "deepseek-v2-lite"])
def test_heads_multiplied_out_read_as_the_same(tmp_path: Path, kind: str) -> None:
    """Latent attention written as ordinary attention, rotary key repeated in all heads, reads 1 throughout."""
    model = drawn(kind, 2)
    sides = sketched(multiplied_out(model), tmp_path / "a"), sketched(model, tmp_path / "b")
    assert all_circuits(PROBE.compare(*sides)) == pytest.approx(np.ones((LAYERS, 4)), abs=EXACT)


@pytest.mark.parametrize("kind", CONFIGS)
def test_unrelated_models_read_near_zero(tmp_path: Path, kind: str) -> None:
    """Two seeds of one recipe read near 0 in all four circuits."""
    sides = [sketched(drawn(kind, seed), tmp_path / str(seed)) for seed in (3, 4)]
    found = PROBE.compare(*sides)
    assert all_circuits(found).shape == (LAYERS, 4)
    assert abs(found.value) < 0.1


@pytest.mark.parametrize("kind", ["multi-query", "one wide head"])
def test_few_heads_are_seen_in_any_basis_of_the_stream(tmp_path: Path, kind: str) -> None:
    """One key head for all, or one head as wide as the model, reads 1 after the residual stream was permuted."""
    model = drawn(kind, 5)
    original = sketched(model, tmp_path / "a")
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(0))
    state = {n: t.clone() for n, t in model.state_dict().items()}
    for name, tensor in state.items():
        writes = name.endswith(("o_proj.weight", "down_proj.weight")) or tensor.ndim == 1
        state[name] = tensor[order] if writes else tensor[:, order]
    model.load_state_dict(state)
    found = all_circuits(PROBE.compare(sketched(model, tmp_path / "b"), original))
    assert found == pytest.approx(np.ones((LAYERS, 4)), abs=EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_trained_models_separate(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained to real loss, a fine-tuned child reads far above a twin of one recipe, which reads near 0."""
    training.prepare_process()
    monkeypatch.setattr(training, "SEQUENCES", 16)
    monkeypatch.setattr(training, "LENGTH", 32)
    models = {}
    for name, seed, text, steps, rate in (
        ("base", 1, "prose-a", 100, 4e-3), ("twin", 2, "prose-a", 100, 4e-3), ("child", 9, "code-a", 30, 1e-3),
    ):  # fmt: skip
        model = models["base"] if name == "child" else training.fresh(CONFIGS[kind], seed)
        schedule = training.Schedule(steps=steps, learning_rate=rate, seed=seed)
        if name == "child":
            base = sketched(model, tmp_path / "base")
        training.train(model, tokens(TOKENIZER, text)[0], schedule)
        models[name] = model
        if name == "twin":
            loss = training.held_out_loss(model, tokens(TOKENIZER, text)[1])
            assert loss < unigram_entropy(TOKENIZER, text), "trained too little to be a test"
    child, twin = (sketched(models[name], tmp_path / name) for name in ("child", "twin"))
    assert PROBE.compare(child, base).value > 0.5
    assert abs(PROBE.compare(twin, base).value) < 0.1
