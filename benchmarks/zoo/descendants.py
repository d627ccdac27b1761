"""Operations that make a descendant's weights from its parents' without training: pruning and its kin.

All take and return live models in float32; what they lose by rounding is what the real methods lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.zoo.gauges import empty_like, layer_of
from benchmarks.zoo.training import fresh, is_dense
from forensics.errors import ForensicsError

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
    """Depth pruning: the same model without some layers."""
    return with_layers(model, [i for i in range(model.config.num_hidden_layers) if i not in dropped])


def dropped(model: PreTrainedModel) -> list[int]:
    """All layers but one or two in the middle."""
    layers = model.config.num_hidden_layers
    gone = {layers // 2, layers // 2 - 1} if layers > 5 else {layers // 2}
    return [i for i in range(layers) if i not in gone]


def repeated(model: PreTrainedModel) -> list[int]:
    """All layers, the middle two of them twice, as depth up-scaling does."""
    layers = model.config.num_hidden_layers
    return [*range(layers // 2 + 1), *range(layers // 2 - 1, layers)]


def with_layers(model: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """The same model of these layers in this order, renumbered, with a configuration to match."""
    from transformers import AutoModelForCausalLM

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
        for place, old in enumerate(kept):
            if old == layer:
                state[name.replace(f".{layer}.", f".{place}.", 1)] = tensor
    other: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    other.load_state_dict(state)
    return other


def narrowed(model: PreTrainedModel) -> PreTrainedModel:
    """Width pruning: the half of every MLP's neurons (or expert's) whose output columns are largest."""
    from transformers import AutoModelForCausalLM

    settings = model.config.to_dict()
    key = next(k for k in ("moe_intermediate_size", "intermediate_size", "n_inner") if k in settings)
    if settings["model_type"] == "qwen2_moe":
        raise ForensicsError("the zoo does not narrow shared experts")
    full = settings[key] or 4 * model.config.hidden_size
    config = type(model.config)(**settings | {key: full // 2})
    narrow: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    old, state = model.state_dict(), {}
    for name, tensor in narrow.state_dict().items():
        state[name] = old[name]
        if tensor.shape != old[name].shape:
            chosen = _largest(old, name, full)
            state[name] = _shrunk(old[name], tensor.shape, chosen, full)
    narrow.load_state_dict(state)
    return narrow


def _largest(state: Mapping[str, torch.Tensor], name: str, full: int) -> torch.Tensor:
    """Neurons kept, (n,) or (experts, n): those with the largest output columns, in their old order."""
    stem = name.split("mlp.", maxsplit=1)[0] + "mlp."
    ending = next(
        e
        for e in ("experts.down_proj", "down_proj.weight", "c_proj.weight", "dense_4h_to_h.weight")
        if stem + e in state
    )
    out = state[stem + ending]
    norms = out.norm(dim=-1 if ending == "c_proj.weight" else -2)
    return norms.topk(full // 2).indices.sort().values


def _shrunk(tensor: torch.Tensor, shape: Sequence[int], chosen: torch.Tensor, full: int) -> torch.Tensor:
    """The chosen neurons along every axis that became shorter; fused gate and up halves alike."""
    import torch

    if chosen.ndim == 2:  # experts
        fused = [torch.cat([c, c + full]) if tensor.shape[1] == 2 * full else c for c in chosen]
        axis = next(a for a in (1, 2) if tensor.shape[a] != shape[a])
        return torch.stack([t.index_select(axis - 1, c) for t, c in zip(tensor, fused, strict=True)])
    for axis, size in enumerate(shape):
        if tensor.shape[axis] != size:
            tensor = tensor.index_select(axis, chosen)
    return tensor


def noised(model: PreTrainedModel, share: float, seed: int) -> PreTrainedModel:
    """Gaussian noise of `share` standard deviations on every attention and MLP matrix, in place."""
    import torch

    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_dense(name):
                parameter.add_(share * parameter.std() * torch.randn(parameter.shape, generator=draws))
    return model


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

    config = mixture_config(model.config)
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


def mixture_config(dense: Any) -> Any:
    """The configuration of the mixture that a dense model of this one is upcycled to; experts as wide as its MLP."""
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
