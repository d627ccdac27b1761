"""Operations that make a descendant's weights from its parents' without training: pruning and its kin.

All take and return live models in float32; what they lose by rounding is what the real methods lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.zoo.gauges import empty_like, layer_of
from benchmarks.zoo.training import fresh, is_dense

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from transformers import PreTrainedModel

GROUP = 32
"""Input weights that share a scale in 4-bit quantisation."""
EXPERTS = 4
EXPERT_NOISE = 0.02
"""Standard deviation of the noise on a copied expert, relative to the matrix's own."""


def prune(model: PreTrainedModel, fraction: float) -> dict[str, torch.Tensor]:
    """Zero the smallest weights of every attention and MLP matrix in place; the 0/1 masks by name."""
    import torch

    masks = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_dense(name):
                threshold = (
                    parameter.abs().flatten().kthvalue(max(1, int(fraction * parameter.numel()))).values
                )
                masks[name] = (parameter.abs() > threshold).to(parameter.dtype)
                parameter.mul_(masks[name])
    return masks


def drop_layers(model: PreTrainedModel, dropped: Sequence[int]) -> PreTrainedModel:
    """Depth pruning: the same model without some layers, renumbered, with a configuration to match."""
    from transformers import AutoModelForCausalLM

    kept = [i for i in range(model.config.num_hidden_layers) if i not in dropped]
    settings = model.config.to_dict()
    types = settings.pop("layer_types", None)
    config = type(model.config)(**settings | {"num_hidden_layers": len(kept)})
    if types is not None:
        config.layer_types = [types[i] for i in kept]
    state = {}
    for name, tensor in model.state_dict().items():
        layer = layer_of(name)
        if layer is None:
            state[name] = tensor
        elif layer in kept:
            state[name.replace(f".{layer}.", f".{kept.index(layer)}.", 1)] = tensor
    shorter: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    shorter.load_state_dict(state)
    return shorter


def quantise(model: PreTrainedModel, bits: int) -> None:
    """Round to nearest in place and store dequantised.

    8 bits: one symmetric scale per row. 4 bits: scale and zero point per `GROUP` weights of a row.
    """
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_dense(name):
                rounded = _per_row(parameter) if bits == 8 else _per_group(parameter)
                parameter.copy_(rounded.reshape(parameter.shape))


def _per_row(weight: torch.Tensor) -> torch.Tensor:
    scale = weight.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round() * scale


def _per_group(weight: torch.Tensor) -> torch.Tensor:
    size = GROUP if weight.shape[-1] % GROUP == 0 else weight.shape[-1]
    groups = weight.reshape(-1, size)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = (high - low).clamp_min(1e-12) / 15
    return ((groups - low) / scale).round().clamp(0, 15) * scale + low


def average(models: Sequence[PreTrainedModel]) -> PreTrainedModel:
    """The linear merge of models of one configuration."""
    states = [model.state_dict() for model in models]
    merged = empty_like(models[0])
    merged.load_state_dict({name: sum(s[name] for s in states) / len(states) for name in states[0]})
    return merged


def upcycle(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A dense model as a mixture: every expert a noised copy of its MLP, the router new.

    Llama and Mistral become Mixtral; Qwen2 becomes Qwen2-MoE, whose small shared expert is new too.
    """
    import torch

    config = _mixture_config(model.config)
    mixture = fresh(config, seed)
    draws = torch.Generator().manual_seed(seed)
    old, state = model.state_dict(), mixture.state_dict()
    for name, tensor in old.items():
        if name in state:
            state[name] = tensor
    for layer in range(config.num_hidden_layers):
        mlp = f"model.layers.{layer}.mlp"
        gate_up = torch.cat([old[f"{mlp}.{part}_proj.weight"] for part in ("gate", "up")])
        state[f"{mlp}.experts.gate_up_proj"] = _noised_copies(gate_up, draws)
        state[f"{mlp}.experts.down_proj"] = _noised_copies(old[f"{mlp}.down_proj.weight"], draws)
    mixture.load_state_dict(state)
    return mixture.eval()


def _noised_copies(matrix: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    import torch

    noise = torch.randn((EXPERTS, *matrix.shape), generator=draws)
    return matrix + EXPERT_NOISE * matrix.std() * noise


def _mixture_config(dense: Any) -> Any:
    from transformers import AutoConfig

    old: Mapping[str, Any] = dense.to_dict()
    shared = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
              "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_parameters",
              "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")  # fmt: skip
    settings = {key: old[key] for key in shared if key in old}
    settings |= {"num_experts_per_tok": 2, "output_router_logits": True}
    if old["model_type"] == "qwen2":
        more = {"num_experts": EXPERTS, "moe_intermediate_size": old["intermediate_size"],
                "shared_expert_intermediate_size": 64, "norm_topk_prob": True}  # fmt: skip
        return AutoConfig.for_model("qwen2_moe", **settings, **more)
    return AutoConfig.for_model("mixtral", **settings, num_local_experts=EXPERTS, sliding_window=None)
