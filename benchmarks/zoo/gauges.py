"""Rewriting a model's weights without changing its function.

A transformer has symmetries: the order of its MLP neurons, of its attention heads (key-value groups with
their query heads), of its experts and of its residual channels is arbitrary, and so is whether
projections are stored fused. One table says which axis of which tensor lives in which of these spaces.
Every operation here proves itself by comparing logits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from transformers import PreTrainedModel

TOLERANCE = 1e-3
"""Largest logit difference (float32) that reordered sums may cause."""

_NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
          "post_feedforward_layernorm", "norm", "final_layer_norm", "ln_1", "ln_2", "ln_f")  # fmt: skip

AXES: Mapping[str, tuple[str | None, ...]] = {
    **{f"{name}.{part}": ("residual",) for name in _NORMS for part in ("weight", "bias")},
    "q_norm.weight": (None,),
    "k_norm.weight": (None,),
    "embed_tokens.weight": (None, "residual"),
    "lm_head.weight": (None, "residual"),
    "embed_in.weight": (None, "residual"),
    "wte.weight": (None, "residual"),
    "wpe.weight": (None, "residual"),
    "q_proj.weight": ("query", "residual"),
    "q_proj.bias": ("query",),
    "k_proj.weight": ("key_value", "residual"),
    "k_proj.bias": ("key_value",),
    "v_proj.weight": ("key_value", "residual"),
    "v_proj.bias": ("key_value",),
    "qkv_proj.weight": ("fused", "residual"),
    "o_proj.weight": ("residual", "query"),
    "gate_proj.weight": ("neuron", "residual"),
    "up_proj.weight": ("neuron", "residual"),
    "gate_up_proj.weight": ("gate_up", "residual"),
    "down_proj.weight": ("residual", "neuron"),
    "mlp.gate.weight": ("expert", "residual"),
    "experts.gate_up_proj": ("expert", "gate_up", "residual"),
    "experts.down_proj": ("expert", "residual", "neuron"),
    "shared_expert.gate_proj.weight": ("shared", "residual"),
    "shared_expert.up_proj.weight": ("shared", "residual"),
    "shared_expert.down_proj.weight": ("residual", "shared"),
    "shared_expert_gate.weight": (None, "residual"),
    "query_key_value.weight": ("interleaved", "residual"),
    "query_key_value.bias": ("interleaved",),
    "attention.dense.weight": ("residual", "query"),
    "attention.dense.bias": ("residual",),
    "dense_h_to_4h.weight": ("neuron", "residual"),
    "dense_h_to_4h.bias": ("neuron",),
    "dense_4h_to_h.weight": ("residual", "neuron"),
    "dense_4h_to_h.bias": ("residual",),
    "c_attn.weight": ("residual", "stacked"),
    "c_attn.bias": ("stacked",),
    "attn.c_proj.weight": ("query", "residual"),
    "attn.c_proj.bias": ("residual",),
    "c_fc.weight": ("residual", "neuron"),
    "c_fc.bias": ("neuron",),
    "mlp.c_proj.weight": ("neuron", "residual"),
    "mlp.c_proj.bias": ("residual",),
}
"""By the end of a tensor's name (the longest that fits): the space of each axis, None where order means something.

GPT-2 stores (in, out), all others (out, in). `fused`, `stacked` and `interleaved` are the three ways
of storing queries, keys and values in one matrix.
"""

_FREE = ("residual", "neuron", "shared", "expert")
"""Spaces whose order is one free permutation; the others follow from the order of the heads."""


def axes_of(name: str) -> tuple[str | None, ...]:
    """The spaces of a tensor's axes; KeyError for a tensor the table does not know."""
    parts = name.split(".")
    for first in range(len(parts)):
        ending = ".".join(parts[first:])
        if ending in AXES:
            return AXES[ending]
    raise KeyError(name)


def layer_of(name: str) -> int | None:
    """The layer a tensor belongs to, or None outside the stack."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else None


def _place(name: str, space: str) -> tuple[int | None, str]:
    """A space is per layer, but for the residual stream, which is one for the whole model."""
    return (None if space == "residual" else layer_of(name), space)


def _sizes(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[tuple[int | None, str], int]]:
    for name, tensor in state.items():
        for space, size in zip(axes_of(name), tensor.shape, strict=True):
            if space in (*_FREE, "query"):
                yield _place(name, space), size


def _blocks(order: torch.Tensor, width: int) -> torch.Tensor:
    """The element order that moves whole blocks of `width`."""
    import torch

    return (order[:, None] * width + torch.arange(width)).flatten()


def _head_orders(config: Any, size: int, draws: torch.Generator) -> dict[str, torch.Tensor]:
    """Consistent orders of every attention space: groups move together, query heads within groups."""
    import torch

    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    per_group, head_dim = heads // groups, size // heads
    group_order = torch.randperm(groups, generator=draws)
    inside = torch.stack([torch.randperm(per_group, generator=draws) for _ in range(groups)])
    head_order = (group_order[:, None] * per_group + inside).flatten()
    query, key_value = _blocks(head_order, head_dim), _blocks(group_order, head_dim)
    queries, keys = len(query), len(key_value)
    return {
        "query": query,
        "key_value": key_value,
        "interleaved": _blocks(head_order, 3 * head_dim),
        "stacked": torch.cat([query, query + queries, query + 2 * queries]),
        "fused": torch.cat([query, key_value + queries, key_value + queries + keys]),
    }


def random_orders(
    state: Mapping[str, torch.Tensor], config: Any, seed: int
) -> dict[tuple[int | None, str], torch.Tensor]:
    """A random order for every space of a model."""
    import torch

    draws = torch.Generator().manual_seed(seed)
    orders: dict[tuple[int | None, str], torch.Tensor] = {}
    for (layer, space), size in dict(_sizes(state)).items():
        if space == "query":
            heads = _head_orders(config, size, draws)
            orders |= {(layer, of): order for of, order in heads.items()}
        else:
            orders[layer, space] = order = torch.randperm(size, generator=draws)
            if space == "neuron":
                orders[layer, "gate_up"] = torch.cat([order, order + size])
    return orders


def permute(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The same function with neurons, heads, experts and residual channels in another order.

    Residual channels may be reordered under LayerNorm too: mean and variance do not see the order.
    """
    state = model.state_dict()
    orders = random_orders(state, model.config, seed)
    moved = {}
    for name, tensor in state.items():
        moved[name] = tensor
        for axis, space in enumerate(axes_of(name)):
            if space is not None:
                moved[name] = moved[name].index_select(axis, orders[_place(name, space)])
    twin = empty_like(model)
    twin.load_state_dict(moved)
    assert_same_function(model, twin)
    return twin


def empty_like(model: PreTrainedModel) -> PreTrainedModel:
    """A model of the same configuration, whose weights are about to be loaded."""
    from transformers import AutoModelForCausalLM

    made: PreTrainedModel = AutoModelForCausalLM.from_config(model.config).eval()
    return made


def as_phi3(model: PreTrainedModel) -> PreTrainedModel:
    """A Llama or Mistral under another architecture's name: phi3, which stores its projections fused."""
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    old = model.config.to_dict()
    named = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_parameters",
             "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")  # fmt: skip
    config = Phi3Config(
        **{key: old[key] for key in named},
        original_max_position_embeddings=old["max_position_embeddings"],
        sliding_window=None,
    )
    state = dict(model.state_dict())
    for layer in range(config.num_hidden_layers):
        attention, mlp = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
        parts = [state.pop(f"{attention}.{part}_proj.weight") for part in "qkv"]
        state[f"{attention}.qkv_proj.weight"] = torch.cat(parts)
        gates = [state.pop(f"{mlp}.{part}_proj.weight") for part in ("gate", "up")]
        state[f"{mlp}.gate_up_proj.weight"] = torch.cat(gates)
    renamed = Phi3ForCausalLM(config).eval()
    renamed.load_state_dict(state)
    assert_same_function(model, renamed)
    return renamed


def assert_same_function(one: PreTrainedModel, other: PreTrainedModel) -> float:
    """The largest logit difference on random tokens, which must stay below `TOLERANCE`."""
    import torch

    draws = torch.Generator().manual_seed(0)
    rows = torch.randint(0, one.config.vocab_size, (4, 48), generator=draws)
    with torch.no_grad():
        logits = [m.eval().float()(input_ids=rows, use_cache=False).logits for m in (one, other)]
    difference = float((logits[0] - logits[1]).abs().max())
    assert difference < TOLERANCE, f"the function changed: logits differ by {difference}"
    return difference
