"""Rewriting a live model's weights without changing its function.

The gauges themselves are the core's (`forensics/alignment/gauges.py`): here a model is written down, rewritten and
loaded again. Every operation proves itself by comparing logits.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from forensics.testing.descent import PERMUTATIONS
from forensics.testing.rewriting import rewritten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

TOLERANCE = 1e-3
"""Largest logit difference (float32) that reordered sums may cause."""


def layer_of(name: str) -> int | None:
    """The layer a tensor belongs to, or None outside the stack."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else None


def apply(model: PreTrainedModel, names: Sequence[str], seed: int) -> PreTrainedModel:
    """The model with these gauges of the core applied in turn, in float32; the same function."""
    import torch
    from transformers import AutoModelForCausalLM

    with TemporaryDirectory(prefix="gauges-") as scratch:
        before, after = Path(scratch) / "before", Path(scratch) / "after"
        model.float().save_pretrained(before)
        rewritten(before, after, names, seed)
        twin: PreTrainedModel = AutoModelForCausalLM.from_pretrained(after, dtype=torch.float32).eval()
    assert_same_function(model, twin)
    return twin


def permute(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The same function with neurons, heads, experts and residual channels in another order."""
    return apply(model, PERMUTATIONS, seed)


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
