"""Builds a checkpoint's model with transformers' own classes. No code of the checkpoint's own is ever run.

The model is built from an allow-list of bounded config values, without weights: `layered` fills it block by block
through the house's own reader; `from_pretrained`, remote code and network are never involved (decision 18). Whatever
cannot be built is an abstention with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from forensics.checkpoint.layout import bundled_layouts
from forensics.probe import Abstain
from forensics.readings import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forensics.checkpoint import Checkpoint

SIZES = {
    "hidden_size": 65_536,
    "n_embd": 65_536,
    "intermediate_size": 1_048_576,
    "n_inner": 1_048_576,
    "moe_intermediate_size": 1_048_576,
    "shared_expert_intermediate_size": 1_048_576,
    "num_hidden_layers": 512,
    "n_layer": 512,
    "num_attention_heads": 1_024,
    "n_head": 1_024,
    "num_key_value_heads": 1_024,
    "head_dim": 4_096,
    "query_pre_attn_scalar": 65_536,
    "vocab_size": 2_097_152,
    "max_position_embeddings": 16_777_216,
    "original_max_position_embeddings": 16_777_216,
    "n_positions": 16_777_216,
    "num_local_experts": 1_024,
    "num_experts": 1_024,
    "num_experts_per_tok": 1_024,
    "decoder_sparse_step": 512,
    "sliding_window": 16_777_216,
    "sliding_window_pattern": 512,
    "max_window_layers": 512,
}
"""Whole numbers from 1 up to these limits; anything else is refused, not repaired."""

NUMBERS = (
    "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "rope_theta", "rope_local_base_freq", "rotary_emb_base",
    "rotary_pct", "partial_rotary_factor", "attn_logit_softcapping", "final_logit_softcapping",
    "embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling",
)  # fmt: skip
FLAGS = (
    "attention_bias",
    "mlp_bias",
    "qkv_bias",
    "tie_word_embeddings",
    "use_sliding_window",
    "norm_topk_prob",
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "use_parallel_residual",
)
ACTIVATIONS = (
    "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "swish",
)  # fmt: skip
ACTIVATION_KEYS = ("hidden_act", "hidden_activation", "activation_function")
RUNS = frozenset(
    {
        "aquila", "deepseek", "gemma", "gemma2", "gemma3", "gemma3_text", "gpt2", "gpt_neox", "granite", "internlm",
        "llama", "ministral", "mistral", "mixtral", "olmoe", "phi3", "qwen2", "qwen2_5", "qwen2_moe", "qwen3",
        "qwen3_moe", "smollm3", "yi",
    }
)  # fmt: skip
"""Model types whose whole meaning lies in the values kept here. Other families have settings of their own (queries
normed or not, how much is rotated, which experts a token gets), without which another model would run."""
LAYER_TYPES = ("full_attention", "sliding_attention")
ROPE_KEYS = ("rope_parameters", "rope_scaling")
ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")
EXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What transformers and torch raise for a config or tokens that make no sense."""


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a sanitised config.json that may reach a model class, checked value by value.

    Raises Abstain (unsupported) for a size that is no whole number within `SIZES`; unknown keys are left out.
    """
    kept: dict[str, Any] = {}
    for key, limit in SIZES.items():
        value = config.get(key)
        if value is None or (key == "sliding_window" and value == 0):  # Qwen writes 0 for "none"
            continue
        if type(value) is not int or not 0 < value <= limit:
            raise Abstain(Reason.UNSUPPORTED, f"config.json sets {key} to {str(value)[:40]!r}")
        kept[key] = value
    kept |= {key: float(config[key]) for key in NUMBERS if _is_number(config.get(key))}
    kept |= {key: config[key] for key in FLAGS if isinstance(config.get(key), bool)}
    kept |= {key: config[key] for key in ACTIVATION_KEYS if config.get(key) in ACTIVATIONS}
    kept |= {key: rope for key in ROPE_KEYS if (rope := _rope(config.get(key)))}
    types, dense = config.get("layer_types"), config.get("mlp_only_layers")
    if isinstance(types, list) and types and all(kind in LAYER_TYPES for kind in types):
        kept["layer_types"] = list(types)
    if isinstance(dense, list) and all(type(layer) is int and 0 <= layer < 512 for layer in dense):
        kept["mlp_only_layers"] = list(dense)
    return kept


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _rope(declared: Any) -> dict[str, Any]:
    """Rotary parameters: numbers, short lists of numbers and a known type; per layer type where so declared."""
    if not isinstance(declared, Mapping):
        return {}
    kept: dict[str, Any] = {}
    for key, value in declared.items():
        if key in LAYER_TYPES:
            kept[key] = _rope(value)
        elif key in {"rope_type", "type"}:
            if value not in ROPE_TYPES:
                raise Abstain(
                    Reason.UNSUPPORTED, f"config.json declares rotary embeddings {str(value)[:40]!r}"
                )
            kept[key] = value
        elif _is_number(value) or (isinstance(value, list) and all(map(_is_number, value))):
            kept[key] = value
    return kept


def outlined(checkpoint: Checkpoint, max_parameters: int) -> Any:
    """The declared architecture's model with its head (a transformers class, eval mode), its weights on no device yet.

    Buffers are as the class makes them; experts are called one by one. Raises Abstain: unsupported (type unknown,
    values senseless), or too large: more than `max_parameters` that a token passes through.
    """
    kind = checkpoint.config.get("model_type")
    offered = (layout for layout in checkpoint.layouts if layout not in bundled_layouts())
    if not (isinstance(kind, str) and kind in RUNS) and not any(kind in one.model_types for one in offered):
        raise Abstain(Reason.UNSUPPORTED, "the declared model type is none of those that are run")
    given = settings(checkpoint.config)
    hollow = _built(kind, given, hollow=True)
    count = passed_through(hollow)
    if count > max_parameters:
        detail = f"a token passes through {count:,} parameters; set to run at most {max_parameters:,}"
        raise Abstain(Reason.TOO_LARGE, detail)
    return _built(kind, given, hollow=False).eval()


def passed_through(model: Any) -> int:
    """Parameters that one token passes through: of a mixture's experts only as many as a token is routed to."""
    routed = getattr(model.config, "num_experts_per_tok", None)
    count = sum(tensor.numel() for tensor in model.parameters())
    for module in model.modules():
        for tensor in stacks(module).values():
            idle = tensor.shape[0] - min(int(routed or tensor.shape[0]), tensor.shape[0])
            count -= tensor.numel() // tensor.shape[0] * idle
    return count


def stacks(module: Any) -> dict[str, Any]:
    """The module's own parameters that hold one matrix for each expert, (experts, …, …), by name."""
    if not hasattr(
        module, "is_concatenated"
    ):  # what transformers gives a class whose experts are called one by one
        return {}
    return {name: tensor for name, tensor in module.named_parameters(recurse=False) if tensor.ndim == 3}


def _built(kind: Any, given: Mapping[str, Any], *, hollow: bool) -> Any:
    """A model without weights; `hollow` without buffers either, which costs nothing whatever the sizes."""
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    if not isinstance(kind, str) or not kind:
        raise Abstain(Reason.UNSUPPORTED, "config.json declares no model type")
    try:
        with _quiet(), _weightless(hollow=hollow), torch.random.fork_rng(devices=[]):
            config = AutoConfig.for_model(
                kind, pad_token_id=None, **given
            )  # defaults may lie beyond a vocabulary
            return AutoModelForCausalLM.from_config(
                config,
                attn_implementation="eager",
                experts_implementation="eager",
                dtype=torch.float32,
                trust_remote_code=False,
            )
    except (*EXPECTED, StrictDataclassError) as error:
        raise Abstain(
            Reason.UNSUPPORTED,
            f"no {kind[:40]!r} model can be built from its config ({type(error).__name__})",
        ) from None


@contextmanager
def _weightless(*, hollow: bool) -> Iterator[None]:
    """Parameters made inside have a shape and no memory; buffers are made as ever, unless `hollow`."""
    import torch

    if hollow:
        with torch.device("meta"):
            yield
        return
    register = torch.nn.Module.register_parameter

    def registered(module: Any, name: str, parameter: Any) -> None:
        if parameter is not None and not parameter.is_meta:  # its memory, never touched, goes back here
            parameter = torch.nn.Parameter(parameter.to("meta"), requires_grad=False)
        register(module, name, parameter)

    torch.nn.Module.register_parameter = registered  # type: ignore[method-assign, assignment]
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from writing to the terminal what a hostile config makes it say."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)
