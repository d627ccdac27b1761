"""Every supported architecture as transformers itself writes it: roles, splits, gains, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.checkpoint.choosing import choose
from forensics.checkpoint.layout import bundled_layouts, layout_from
from forensics.errors import PluginError

LAYERS, WIDTH, VOCABULARY, NEURONS = 2, 32, 97, 48
COMMON = {
    "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": NEURONS, "vocab_size": VOCABULARY, "max_position_embeddings": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"head_dim": 16},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "phi3": {},
    "gemma2": {"head_dim": 16},
    "gemma3_text": {"head_dim": 16},
    "gpt2": {"n_inner": NEURONS},
    "gpt_neox": {},
    "mixtral": {"num_local_experts": 3},
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 40},
    "qwen3_moe": {**EXPERTS, "head_dim": 16},
}
MIXTURES = ("mixtral", "qwen2_moe", "qwen3_moe")
LAYOUT = {
    "mistral": "llama", "qwen2": "llama", "qwen3": "llama", "gemma3_text": "gemma2", "qwen2_moe": "qwen_moe",
    "qwen3_moe": "qwen_moe",
}  # fmt: skip
FORMS = [(kind, True) for kind in KINDS] + [(kind, False) for kind in (*MIXTURES, "gpt_neox")]


@dataclass
class Seen:
    """What the attention function was given at the first token, where rotary embeddings change nothing."""

    queries: list[NDArray[np.float32]] = field(default_factory=list)
    keys: list[NDArray[np.float32]] = field(default_factory=list)
    values: list[NDArray[np.float32]] = field(default_factory=list)


SEEN = Seen()


def watched_attention(
    module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any
) -> tuple[torch.Tensor, None]:
    """Attention of one token to itself, remembering what it was given."""
    for store, states in ((SEEN.queries, query), (SEEN.keys, key), (SEEN.values, value)):
        store.append(states[0, :, 0].reshape(-1).numpy())
    del module
    repeated = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
    return repeated.transpose(1, 2), None


@dataclass(frozen=True)
class Saved:
    """A random model, and the checkpoint that transformers wrote of it, opened by our reader."""

    kind: str
    original: bool
    model: Any
    checkpoint: Checkpoint


def built(kind: str) -> Any:
    """A model of this kind with every parameter drawn at random, so that nothing is 0 or 1 by chance."""
    AttentionInterface.register("watched", watched_attention)
    config = AutoConfig.for_model(kind, **{**COMMON, **KINDS[kind]})
    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="watched", dtype=torch.float32
    ).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """One model of each kind, built when first asked for."""
    return {}


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]}-{'original' if form[1] else 'stacked'}")
def saved(request: pytest.FixtureRequest, models: dict[str, Any], tmp_path: Path) -> Iterator[Saved]:
    """Each kind in each form in which it is found."""
    kind, original = request.param
    model = models.get(kind) or models.setdefault(kind, built(kind))
    model.save_pretrained(tmp_path / kind, save_original_format=original)
    checkpoint = open_checkpoint(tmp_path / kind)
    yield Saved(kind, original, model, checkpoint)
    checkpoint.close()


def sizes(model: Any) -> tuple[int, int, int]:
    """(heads, kv_heads, head_dim) as the config has them."""
    config = model.config
    heads = config.num_attention_heads
    return (
        heads,
        getattr(config, "num_key_value_heads", heads),
        getattr(config, "head_dim", None) or WIDTH // heads,
    )


def test_every_parameter_is_recognised(saved: Saved) -> None:
    """Nothing is left unexamined, no problem is met, and the sizes are the config's."""
    checkpoint, shapes = saved.checkpoint, saved.checkpoint.architecture
    assert checkpoint.plan.unexamined == ()
    assert checkpoint.problems == []
    assert (shapes.layout, shapes.declared) == (LAYOUT.get(saved.kind, saved.kind), saved.kind)
    heads, kv_heads, head_dim = sizes(saved.model)
    kv_heads = heads if saved.kind.startswith("gpt") else kv_heads
    assert (shapes.layers, shapes.width, shapes.vocabulary) == (LAYERS, WIDTH, VOCABULARY)
    assert (shapes.heads, shapes.kv_heads, shapes.head_dim) == (heads, kv_heads, head_dim)
    assert shapes.experts == (3 if saved.kind in MIXTURES else 0)
    assert shapes.glu == (saved.kind not in {"gpt2", "gpt_neox"})
    assert shapes.rope == (saved.kind != "gpt2")
    assert shapes.norm == ("layer" if saved.kind.startswith("gpt") else "rms")
    assert shapes.tied_embeddings == (saved.model.config.tie_word_embeddings is True)


def test_canonical_shapes_are_out_by_in(saved: Saved) -> None:
    """Matrices are (out, in) with the config's sizes, whatever the file's orientation, fusion or stacking."""
    checkpoint, shapes = saved.checkpoint, saved.checkpoint.architecture
    neurons = 24 if saved.kind.startswith("qwen") and saved.kind in MIXTURES else NEURONS
    wide, narrow = shapes.heads * shapes.head_dim, shapes.kv_heads * shapes.head_dim
    wanted = {
        "q_proj": (wide, WIDTH), "k_proj": (narrow, WIDTH), "v_proj": (narrow, WIDTH), "o_proj": (WIDTH, wide),
        "up_proj": (neurons, WIDTH), "gate_proj": (neurons, WIDTH), "down_proj": (WIDTH, neurons),
        "input_norm": (WIDTH, 1), "mlp_norm": (WIDTH, 1),
    }  # fmt: skip
    if not shapes.glu:
        del wanted["gate_proj"]
    for layer in range(LAYERS):
        for role, shape in wanted.items():
            is_expert = shapes.experts and role in {"up_proj", "gate_proj", "down_proj"}
            for expert in range(3) if is_expert else [None]:
                spec = checkpoint.find(role, layer, expert)
                assert spec is not None, (role, layer, expert)
                assert (spec.rows, spec.columns) == shape
                assert np.isfinite(checkpoint.matrix(spec)).all()


def test_every_module_parameter_is_filled_exactly(saved: Saved) -> None:
    """`fill` gives back every module parameter bit for bit but for the gain's one rounding, from either form."""
    for name, parameter in saved.model.named_parameters():
        filled = saved.checkpoint.fill(name, tuple(parameter.shape))
        assert filled is not None, name
        if name.endswith("norm.weight") and saved.kind.startswith("gemma"):
            np.testing.assert_allclose(filled, parameter.detach().numpy(), atol=1e-6)
        else:
            np.testing.assert_array_equal(filled, parameter.detach().numpy(), err_msg=name)
    assert saved.checkpoint.fill("model.layers.0.no_such.weight", (3, 3)) is None


def test_wrong_shape_is_not_filled(saved: Saved) -> None:
    """A module parameter of another shape than the file's gets nothing."""
    name, parameter = next(iter(saved.model.named_parameters()))
    assert saved.checkpoint.fill(name, (parameter.shape[0] + 1, parameter.shape[1])) is None


def matrix(checkpoint: Checkpoint, role: str, layer: int) -> NDArray[np.float32]:
    """A canonical matrix that must be there."""
    spec = checkpoint.find(role, layer)
    assert spec is not None, role
    return checkpoint.matrix(spec)


def applied(checkpoint: Checkpoint, role: str, layer: int, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A canonical linear map with its bias, if it has one."""
    bias = checkpoint.vector(role.replace("_proj", "_bias"), layer)
    return matrix(checkpoint, role, layer) @ x + (0 if bias is None else bias)


def normed(
    states: NDArray[np.float32], gain: NDArray[np.float32] | None, head_dim: int
) -> NDArray[np.float32]:
    """RMS norm of each head with an effective gain; the states themselves where there is none."""
    if gain is None:
        return states
    heads = states.reshape(-1, head_dim)
    return (heads / np.sqrt((heads**2).mean(axis=1, keepdims=True) + 1e-6) * gain).reshape(-1)


def walked(model: Any) -> dict[str, list[NDArray[np.float32]]]:
    """One token through the model: what enters each block, its attention and its MLP, and what attention gives."""
    seen: dict[str, list[NDArray[np.float32]]]
    seen = {name: [] for name in ("block", "attention", "attended", "mlp", "neurons")}
    for store in (SEEN.queries, SEEN.keys, SEEN.values):
        store.clear()

    def entering(name: str) -> Any:
        def keep(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states = args[0] if args else kwargs["hidden_states"]
            seen[name].append(states.reshape(-1).numpy().copy())

        return keep

    def leaving(_module: Any, _args: Any, output: Any) -> None:
        seen["attended"].append(
            (output[0] if isinstance(output, tuple) else output).reshape(-1).numpy().copy()
        )

    decoder = model.base_model
    blocks = decoder.h if hasattr(decoder, "h") else decoder.layers
    for block in blocks:
        attention = next(getattr(block, n) for n in ("self_attn", "attention", "attn") if hasattr(block, n))
        block.register_forward_pre_hook(entering("block"), with_kwargs=True)
        attention.register_forward_pre_hook(entering("attention"), with_kwargs=True)
        attention.register_forward_hook(leaving)
        block.mlp.register_forward_pre_hook(entering("mlp"), with_kwargs=True)
        for name in ("down_proj", "dense_4h_to_h", "c_proj"):
            if hasattr(block.mlp, name):
                getattr(block.mlp, name).register_forward_pre_hook(entering("neurons"), with_kwargs=True)
    with torch.inference_mode():
        model(input_ids=torch.tensor([[5]]), use_cache=False)
    return seen


def agree(ours: NDArray[np.float32], theirs: NDArray[np.float32], tolerance: float = 2e-4) -> None:
    """Fails unless two vectors are equal within `tolerance`, absolute and relative."""
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_canonical_tensors_do_what_the_module_does(saved: Saved) -> None:
    """Queries, keys, values, attention output, effective gains and neurons equal the module's own, layer by layer."""
    checkpoint, shapes = saved.checkpoint, saved.checkpoint.architecture
    seen = walked(built(saved.kind))
    for layer in range(LAYERS):
        x, gain = seen["block"][layer], checkpoint.vector("input_norm", layer)
        assert gain is not None
        if shapes.norm == "layer":
            bias = checkpoint.vector("input_norm_bias", layer)
            assert bias is not None
            own = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + bias
        else:
            own = x / np.sqrt((x**2).mean() + 1e-6) * gain
        agree(own, seen["attention"][layer], 2e-3)
        x = seen["attention"][layer]
        query = normed(
            applied(checkpoint, "q_proj", layer, x), checkpoint.vector("q_norm", layer), shapes.head_dim
        )
        key = normed(
            applied(checkpoint, "k_proj", layer, x), checkpoint.vector("k_norm", layer), shapes.head_dim
        )
        agree(query, SEEN.queries[layer])
        agree(key, SEEN.keys[layer])
        agree(applied(checkpoint, "v_proj", layer, x), SEEN.values[layer])
        groups = shapes.heads // shapes.kv_heads
        value = np.repeat(SEEN.values[layer].reshape(shapes.kv_heads, -1), groups, axis=0).reshape(-1)
        agree(applied(checkpoint, "o_proj", layer, value), seen["attended"][layer])
        if not shapes.experts:
            own = neurons(saved, checkpoint, layer, seen["mlp"][layer])
            agree(own, seen["neurons"][layer])


def neurons(saved: Saved, checkpoint: Checkpoint, layer: int, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What enters the last matrix of a dense MLP."""
    from transformers.activations import ACT2FN

    config = saved.model.config
    name = next(
        n for n in ("hidden_activation", "hidden_act", "activation_function") if getattr(config, n, None)
    )
    inner = applied(checkpoint, "up_proj", layer, x)
    gate = applied(checkpoint, "gate_proj", layer, x) if checkpoint.architecture.glu else inner
    active = ACT2FN[getattr(config, name)](torch.from_numpy(gate)).numpy()
    return active * inner if checkpoint.architecture.glu else active


def test_rows_of_any_block_size_make_the_same_tensor(saved: Saved) -> None:
    """Every canonical tensor read in tiny blocks is the tensor read at once, each row given exactly once."""
    for spec in saved.checkpoint.specs[:40]:
        whole = saved.checkpoint.matrix(spec)
        parts = list(saved.checkpoint.rows(spec, block_bytes=3 * 4 * spec.columns))
        assert [start for start, _ in parts] == [
            int(n) for n in np.cumsum([0, *(len(b) for _, b in parts[:-1])])
        ]
        np.testing.assert_array_equal(np.concatenate([block for _, block in parts]), whole)


def test_decoy_config_does_not_hide_tensors(tmp_path: Path) -> None:
    """Where config.json names another family than the tensors show, the tensors win."""
    built("gemma2").save_pretrained(tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    config.write_text(config.read_text().replace('"gemma2"', '"llama"'))
    checkpoint = open_checkpoint(tmp_path / "a")
    assert checkpoint.architecture.layout == "gemma2"
    assert checkpoint.plan.unexamined == ()
    checkpoint.close()
    llama = [("model.embed_tokens.weight", 10), ("model.layers.0.input_layernorm.weight", 1)]
    layout, share = choose(llama, "gemma2", bundled_layouts())
    assert layout is not None
    assert (layout.name, share) == ("llama", 1.0)


def test_unknown_names_are_listed_not_refused(tmp_path: Path) -> None:
    """A checkpoint of no known architecture opens, with everything unexamined."""
    from safetensors.torch import save_file

    save_file({"blocks.0.mixer.in": torch.ones(2, 2)}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert (checkpoint.architecture.layout, checkpoint.specs) == ("unknown", ())
    assert [u.name for u in checkpoint.plan.unexamined] == ["blocks.0.mixer.in"]
    checkpoint.close()


ODD = {
    "stacked experts of one dimension": ("model.layers.0.mlp.experts.down_proj", (6,)),
    "stacked experts of two dimensions": ("model.layers.0.mlp.experts.gate_up_proj", (6, 4)),
    "odd halves": ("model.layers.0.mlp.experts.gate_up_proj", (2, 3, 4)),
    "five thousand experts": ("model.layers.0.mlp.experts.down_proj", (5000, 1, 1)),
    "scalar": ("model.layers.0.mlp.gate.weight", ()),
    "five dimensions": ("model.layers.0.mlp.gate.weight", (1, 1, 1, 1, 2)),
    "no rows": ("model.layers.0.mlp.gate.weight", (0, 4)),
    "no columns": ("model.layers.0.mlp.gate.weight", (4, 0)),
    "fused queries that fit no heads": ("model.layers.0.self_attn.qkv_proj.weight", (8, 4)),
    "fused queries of unknown groups": ("model.layers.0.self_attn.qkv_proj.weight", (24, 32)),
    "odd fused gate": ("model.layers.0.mlp.gate_up_proj.weight", (7, 4)),
    "interleaved without heads": ("gpt_neox.layers.0.attention.query_key_value.weight", (12, 4)),
    "packed integers": ("model.layers.0.self_attn.q_proj.weight", (4, 4)),
}


@pytest.mark.parametrize(("name", "shape"), ODD.values(), ids=ODD)
def test_odd_tensor_is_listed_with_a_reason(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """A tensor whose shape or precision does not fit its name is unexamined with a reason, never a crash."""
    from safetensors.torch import save_file

    dtype = torch.int32 if name.endswith("q_proj.weight") else torch.float32
    save_file({name: torch.ones(shape, dtype=dtype)}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert checkpoint.specs == ()
    assert [u.name for u in checkpoint.plan.unexamined] == [name]
    checkpoint.close()


def test_two_tensors_of_a_role_are_left_out(tmp_path: Path) -> None:
    """Two stored tensors for one role give no canonical tensor and two remarks: a loader may take either."""
    from safetensors.torch import save_file

    save_file({"model.norm.weight": torch.ones(4), "norm.weight": torch.zeros(4)}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert checkpoint.specs == ()
    assert [u.reason for u in checkpoint.plan.unexamined] == [
        "second tensor for the same role",
        "first of two tensors for the same role",
    ]
    checkpoint.close()


@pytest.mark.parametrize(
    ("heads", "kept"), [(4, (4, 2, 8)), (3, (0, 0, 0)), (2**40, (0, 0, 0)), (0, (0, 0, 0))]
)
def test_declared_heads_must_fit_the_shapes(heads: int, kept: tuple[int, int, int], tmp_path: Path) -> None:
    """Head counts that do not fit the query and key matrices are not believed."""
    import json

    built("llama").save_pretrained(tmp_path / "a")
    path = tmp_path / "a" / "config.json"
    config = json.loads(path.read_text())
    config |= {"num_attention_heads": heads, "head_dim": None}
    path.write_text(json.dumps(config))
    checkpoint = open_checkpoint(tmp_path / "a")
    shapes = checkpoint.architecture
    assert (shapes.heads, shapes.kv_heads, shapes.head_dim) == kept
    checkpoint.close()


SOUND: dict[str, Any] = {
    "name": "x",
    "model_types": ["x"],
    "norm": "rms",
    "tensors": {"n.{layer}.w": "q_proj"},
}
MALFORMED: dict[str, Any] = {
    "no name": {k: v for k, v in SOUND.items() if k != "name"},
    "unknown role": {**SOUND, "tensors": {"w": "query"}},
    "unknown split": {**SOUND, "tensors": {"w": {"roles": ["q_proj"], "split": "thirds"}}},
    "too few roles": {**SOUND, "tensors": {"w": {"roles": ["q_proj"], "split": "qkv"}}},
    "tensors are a list": {**SOUND, "tensors": ["w"]},
    "layer twice": {**SOUND, "tensors": {"n.{layer}.{layer}": "q_proj"}},
    "meaning is a number": {**SOUND, "tensors": {"w": 3}},
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_layout_is_a_plugin_error(raw: Any) -> None:
    """A layout that misspells something is refused with a PluginError."""
    with pytest.raises(PluginError):
        layout_from(raw)
    assert layout_from(SOUND).match("model.n.3.w") is not None
