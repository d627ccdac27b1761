"""More architectures as transformers itself writes them: every role checked against what the module computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.activations import ACT2FN

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.checkpoint.layout import bundled_layouts
from forensics.checkpoint.plan import plan_for
from tests.architectures import COMMON, HEADS, KINDS, LAYERS, WIDTH, Kind

FORMS = [(name, form) for name, kind in KINDS.items() for form in kind.forms]


@dataclass(frozen=True)
class Saved:
    """A random model, and the checkpoint that transformers wrote of it, opened by our reader."""

    kind: Kind
    model: Any
    checkpoint: Checkpoint


def built(kind: Kind) -> Any:
    """A model of this kind with every parameter drawn at random, so that nothing is 0 or 1 by chance."""
    config = AutoConfig.for_model(kind.model_type, **{**(COMMON if kind.common else {}), **kind.config})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """One model of each kind, built when first asked for."""
    return {}


@pytest.fixture(scope="module")
def opened(
    models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, bool], Saved]]:
    """Opens a kind in a form, each once."""
    made: dict[tuple[str, bool], Saved] = {}

    def open_form(name: str, original: bool) -> Saved:
        if (name, original) not in made:
            kind = KINDS[name]
            model = models.get(name) or models.setdefault(name, built(kind))
            path = tmp_path_factory.mktemp("kind") / name
            model.save_pretrained(path, save_original_format=original)
            made[name, original] = Saved(kind, model, open_checkpoint(path))
        return made[name, original]

    yield open_form
    for saved in made.values():
        saved.checkpoint.close()


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]}-{'original' if form[1] else 'stacked'}")
def saved(request: pytest.FixtureRequest, opened: Callable[[str, bool], Saved]) -> Saved:
    """Each kind in each form in which it is found."""
    return opened(*request.param)


def test_every_parameter_is_recognised(saved: Saved) -> None:
    """Nothing is left out but what is named here, and the sizes are those the model was built with."""
    kind, checkpoint, shapes = saved.kind, saved.checkpoint, saved.checkpoint.architecture
    left = {u.name for u in checkpoint.plan.unexamined}
    assert {name for name in left if not name.endswith(tuple(kind.left))} == set()
    assert all(any(name.endswith(end) for name in left) for end in kind.left)
    assert shapes.layout == kind.layout
    assert (shapes.layers, shapes.width, shapes.vocabulary) == (LAYERS, WIDTH, kind.vocabulary)
    assert (shapes.heads, shapes.kv_heads, shapes.head_dim) == kind.heads
    assert shapes.experts == kind.experts
    assert checkpoint.problems == []


def test_every_module_parameter_is_filled_exactly(saved: Saved) -> None:
    """`fill` gives back every module parameter bit for bit but for a gain's one rounding, from either form."""
    for name, parameter in saved.model.state_dict().items():
        if name.endswith(tuple(saved.kind.left)) or saved.checkpoint.plan.layout is None:
            continue
        if name == "lm_head.weight" and saved.checkpoint.architecture.tied_embeddings:
            continue
        match = saved.checkpoint.plan.layout.match(name)
        if match is not None and match.rule.roles[0] == "buffer":
            continue
        filled = saved.checkpoint.fill(name, tuple(parameter.shape))
        assert filled is not None, name
        atol = 1e-6 if saved.checkpoint.plan.layout.norm_offset else 0.0
        np.testing.assert_allclose(filled, parameter.numpy(), rtol=0, atol=atol, err_msg=name)


Floats = NDArray[np.float32]
ATTENTION = ("self_attn", "linear_attn", "self_attention", "attention", "attn", "mamba", "mixer")
FEED_FORWARD = ("mlp", "ffn", "feed_forward", "block_sparse_moe", "fc1")


def blocks(model: Any) -> list[Any]:
    """The layers, in order."""
    return list(next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == LAYERS))


def child(block: Any, names: tuple[str, ...]) -> Any:
    """The first child of any of these names, or None."""
    return next((getattr(block, name) for name in names if hasattr(block, name)), None)


def traced(model: Any, modules: dict[str, Any]) -> dict[str, tuple[Floats, Floats]]:
    """What goes into and comes out of each module for one token, as vectors."""
    seen: dict[str, tuple[Floats, Floats]] = {}

    def vector(states: Any) -> Floats:
        states = states[0] if isinstance(states, tuple) else states
        return np.asarray(states.detach().float().reshape(-1).numpy().copy())

    def watch(name: str) -> Any:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            seen.setdefault(name, (vector(args[0] if args else kwargs["hidden_states"]), vector(output)))

        return hook

    handles = [m.register_forward_hook(watch(name), with_kwargs=True) for name, m in modules.items() if m]
    with torch.inference_mode():
        model(input_ids=torch.tensor([[5]]), use_cache=False)
    for handle in handles:
        handle.remove()
    return seen


def test_norms_stand_where_their_roles_say(saved: Saved) -> None:
    """An input_norm feeds attention, an mlp_norm the MLP, post-norms take what these give; gains are effective."""
    layout, checkpoint = saved.checkpoint.plan.layout, saved.checkpoint
    assert layout is not None
    by_name = dict(saved.model.named_modules())
    for number, block in enumerate(blocks(saved.model)):
        norms = {}
        for name, _ in saved.model.named_parameters():
            match = layout.match(name)
            module = by_name[name.rpartition(".")[0]]
            if match and match.layer == number and any(module is m for m in block.modules()):
                norms[match.rule.roles[0]] = module
        modules = {role: m for role, m in norms.items() if role.endswith("norm")}
        modules |= {"attention": child(block, ATTENTION), "mlp": child(block, FEED_FORWARD)}
        seen = traced(saved.model, modules)
        agree(seen["attention"][0], seen["input_norm"][1]) if "input_norm" in seen else None
        first = "mlp_norm" if "mlp_norm" in seen else "input_norm"
        if "mlp" in seen and first in seen:
            agree(seen["mlp"][0], seen[first][1])
        if "attn_post_norm" in seen:
            agree(seen["attn_post_norm"][0], seen["attention"][1])
        if "mlp_post_norm" in seen:
            agree(seen["mlp_post_norm"][0], seen["mlp"][1])
        for role in ("input_norm", "mlp_norm", "attn_post_norm", "mlp_post_norm"):
            if role in seen:
                bias = checkpoint.vector(f"{role}_bias", number)
                agree(
                    normed(checkpoint, seen[role][0], checkpoint.vector(role, number), bias),
                    seen[role][1],
                    3e-3,
                )


def agree(ours: Floats, theirs: Floats, tolerance: float = 2e-4) -> None:
    """Fails unless two vectors are equal within `tolerance`, absolute and relative."""
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def normed(checkpoint: Checkpoint, x: Floats, gain: Floats | None, bias: Floats | None) -> Floats:
    """The norm that the record names, with an effective gain."""
    assert gain is not None
    centred = x - x.mean() if checkpoint.architecture.norm == "layer" else x
    scaled = centred / np.sqrt((centred**2).mean() + 1e-6) * gain
    return np.asarray(scaled + (0 if bias is None else bias), dtype=np.float32)


def matrix(checkpoint: Checkpoint, role: str, layer: int, expert: int | None = None) -> Floats:
    """A canonical matrix that must be there."""
    spec = checkpoint.find(role, layer, expert)
    assert spec is not None, (role, layer, expert)
    return checkpoint.matrix(spec)


def applied(checkpoint: Checkpoint, role: str, layer: int, x: Floats, expert: int | None = None) -> Floats:
    """A canonical linear map with its bias, if it has one."""
    bias = checkpoint.find(role.replace("_proj", "_bias"), layer, expert)
    return matrix(checkpoint, role, layer, expert) @ x + (
        0 if bias is None else checkpoint.matrix(bias)[:, 0]
    )


def noise(width: int, seed: int = 3) -> Floats:
    """A vector to put through a module."""
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


FUSED = ("falcon-7b", "falcon-rw", "falcon-40b", "bloom", "mpt", "starcoder", "santacoder", "minimax")
SPLITTERS: dict[str, Callable[[Any, Any], tuple[Any, ...]]] = {
    "falcon": lambda attention, fused: attention._split_heads(fused),
    "bloom": lambda attention, fused: attention._reshape(fused),
    "mpt": lambda _, fused: fused.chunk(3, dim=2),
    "minimax": lambda _, fused: fused.reshape(1, 1, HEADS, 24).split(8, dim=3),
}
"""How the published modules take their fused projection apart."""


def bigcode(attention: Any, fused: Any) -> tuple[Any, ...]:
    """As GPTBigCodeAttention.forward does."""
    if attention.multi_query:
        return tuple(fused.split((attention.embed_dim, attention.kv_dim, attention.kv_dim), dim=2))
    return tuple(fused.view(1, 1, HEADS, 24).split(8, dim=3))


@pytest.mark.parametrize("name", FUSED)
def test_fused_attention_is_cut_as_the_module_cuts_it(
    name: str, opened: Callable[[str, bool], Saved]
) -> None:
    """Queries, keys and values by our cut equal what the module's own splitting of its fused projection gives."""
    saved = opened(name, True)
    attention = child(blocks(saved.model)[0], ATTENTION)
    fused = child(attention, ("query_key_value", "Wqkv", "c_attn", "qkv_proj"))
    x = noise(WIDTH)
    with torch.inference_mode():
        whole = fused(torch.from_numpy(x)[None, None])
        split = SPLITTERS.get(saved.kind.model_type, bigcode)
        parts = [part.reshape(-1).numpy() for part in split(attention, whole)]
    prefix = "linear_" if name == "minimax" else ""
    if name == "falcon-40b":  # its module repeats keys and values for every query of the group
        parts[1:] = [part.reshape(2, -1, 8)[:, 0].reshape(-1) for part in parts[1:]]
    for kind, theirs in zip("qkv", parts, strict=True):
        agree(applied(saved.checkpoint, f"{prefix}{kind}_proj", 0, x), theirs)


@pytest.mark.parametrize("name", ["qwen3_next", "qwen3_5_text"])
def test_linear_attention_is_cut_as_the_module_cuts_it(
    name: str, opened: Callable[[str, bool], Saved]
) -> None:
    """Queries, keys, values, gate, strength and decay of the linear layers are the module's own."""
    saved = opened(name, True)
    module, x = blocks(saved.model)[0].linear_attn, noise(WIDTH)
    states = torch.from_numpy(x)[None, None]
    with torch.inference_mode():
        if name == "qwen3_next":
            fused = module.in_proj_qkvz(states), module.in_proj_ba(states)
            parts = dict(zip("qkvzba", module.fix_query_key_value_ordering(*fused), strict=True))
        else:
            parts = dict(zip("qkv", module.in_proj_qkv(states).split([12, 12, 40], dim=-1), strict=True))
            parts |= {
                "z": module.in_proj_z(states),
                "b": module.in_proj_b(states),
                "a": module.in_proj_a(states),
            }
    for kind, theirs in parts.items():
        agree(applied(saved.checkpoint, f"linear_{kind}_proj", 0, x), theirs.reshape(-1).numpy())
    gain = saved.checkpoint.vector("linear_norm", 0)
    assert gain is not None
    np.testing.assert_array_equal(gain, module.norm.weight.detach().numpy())


def test_gated_attention_keeps_queries_and_gates_apart(opened: Callable[[str, bool], Saved]) -> None:
    """Of Qwen3-Next's query projection the one half are queries and the other gates, head by head."""
    saved = opened("qwen3_next", True)
    module, x = blocks(saved.model)[1].self_attn, noise(WIDTH)
    with torch.inference_mode():
        both = module.q_proj(torch.from_numpy(x)[None, None]).view(1, 1, HEADS, 32)
        query, gate = (part.reshape(-1).numpy() for part in both.chunk(2, dim=-1))
    agree(applied(saved.checkpoint, "q_proj", 1, x), query)
    agree(applied(saved.checkpoint, "attn_gate_proj", 1, x), gate)


STACKED = [(name, form) for name, kind in KINDS.items() for form in kind.forms if kind.experts]


@pytest.mark.parametrize(("name", "original"), STACKED)
def test_experts_gates_are_told_from_inputs(
    name: str, original: bool, opened: Callable[[str, bool], Saved]
) -> None:
    """Each expert computed from its canonical gate, input and output gives what the module's expert gives."""
    saved = opened(name, original)
    mlp = child(blocks(saved.model)[1], FEED_FORWARD)
    experts, x = mlp.experts, noise(WIDTH)
    states = torch.from_numpy(x)[None]
    for expert in range(3):
        with torch.inference_mode():
            if saved.kind.layout == "llama4":
                theirs = experts(states.repeat(3, 1))[expert]
            else:
                theirs = experts(states, torch.tensor([[expert]]), torch.ones(1, 1))
        gate = torch.from_numpy(applied(saved.checkpoint, "gate_proj", 1, x, expert))
        up = applied(saved.checkpoint, "up_proj", 1, x, expert)
        if saved.kind.layout == "gpt_oss":
            inner = (gate.clamp(max=7.0) * torch.sigmoid(gate.clamp(max=7.0) * 1.702)).numpy() * (
                up.clip(-7, 7) + 1
            )
        else:
            inner = ACT2FN["silu"](gate).numpy() * up
        agree(applied(saved.checkpoint, "down_proj", 1, inner, expert), theirs.reshape(-1).numpy(), 1e-3)


@pytest.mark.parametrize("name", ["glm", "glm4"])
def test_fused_gates_are_told_from_inputs(name: str, opened: Callable[[str, bool], Saved]) -> None:
    """The halves of a fused gate and input are the module's own."""
    saved = opened(name, True)
    mlp, x = blocks(saved.model)[0].mlp, noise(WIDTH)
    with torch.inference_mode():
        theirs = mlp(torch.from_numpy(x)[None, None]).reshape(-1).numpy()
    gate = ACT2FN["silu"](torch.from_numpy(applied(saved.checkpoint, "gate_proj", 0, x))).numpy()
    agree(
        applied(saved.checkpoint, "down_proj", 0, gate * applied(saved.checkpoint, "up_proj", 0, x)), theirs
    )


@pytest.mark.parametrize("name", KINDS)
def test_layout_is_seen_without_a_config(name: str, opened: Callable[[str, bool], Saved]) -> None:
    """The tensors alone name the layout, so that no decoy config is needed or believed."""
    saved = opened(name, True)
    assert saved.checkpoint.listing is not None
    plan = plan_for(saved.checkpoint.files, {}, bundled_layouts())
    assert plan.layout is not None
    assert plan.layout.name == saved.kind.layout
