"""Training tiny models on two cores: from scratch, onwards, by low-rank adapters, from a teacher.

One loop serves all; what differs is which tensors may move and what the loss is.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import torch
    from transformers import PreTrainedModel

SEQUENCES, LENGTH = 32, 64
"""A batch: on two cores this shape trains a quarter faster than 16 sequences of 128."""
WARM_UP = 0.08
WEIGHT_DECAY = 0.1
TEMPERATURE = 1.5
"""Softening of teacher and student in distillation."""
_DENSE = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "gate_proj", "up_proj", "down_proj",
          "gate_up_proj", "c_attn", "c_proj", "c_fc", "query_key_value", "dense",
          "dense_h_to_4h", "dense_4h_to_h")  # fmt: skip
"""Names of the attention and MLP matrices over all architectures of the zoo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how hard to train."""

    steps: int
    learning_rate: float
    seed: int
    """Decides the batches; the initialisation has its own."""


def prepare_process() -> None:
    """Make this process quiet, frugal and as repeatable as a CPU allows.

    One thread a model: at these sizes two models side by side train faster than
    one on two threads, and the order of additions does not depend on the machine's processors.
    Called before anything imports torch: threads that wait asleep cost little on a busy machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def fresh(config: Any, seed: int) -> PreTrainedModel:
    """A newly initialised causal language model."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model


def is_dense(name: str) -> bool:
    """Whether a parameter is an attention or MLP matrix (experts included)."""
    parts = name.split(".")
    return bool(set(_DENSE).intersection(parts[-2:])) and parts[-1] != "bias"


def batch(ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(SEQUENCES, LENGTH + 1) token ids from random places of a slice."""
    import torch

    starts = torch.randint(0, len(ids) - LENGTH - 1, (SEQUENCES, 1), generator=generator)
    return ids[starts + torch.arange(LENGTH + 1)]


def next_token_loss(model: PreTrainedModel, rows: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats, plus the router's balancing loss where the model has one."""
    from torch.nn.functional import cross_entropy

    out = model(input_ids=rows[:, :-1], use_cache=False)
    loss = cross_entropy(out.logits.flatten(0, 1), rows[:, 1:].flatten())
    balance = getattr(out, "aux_loss", None)
    return loss if balance is None or not model.training else loss + 0.01 * balance


def distillation_loss(teacher: PreTrainedModel) -> Callable[[PreTrainedModel, torch.Tensor], torch.Tensor]:
    """The loss of a student that sees the teacher's distributions and never the text's own next token."""
    import torch
    from torch.nn.functional import kl_div

    def loss(model: PreTrainedModel, rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = teacher(input_ids=rows[:, :-1], use_cache=False).logits / TEMPERATURE
        given = model(input_ids=rows[:, :-1], use_cache=False).logits / TEMPERATURE
        return kl_div(
            given.log_softmax(-1).flatten(0, 1),
            wanted.log_softmax(-1).flatten(0, 1),
            log_target=True,
            reduction="batchmean",
        )

    return loss


def _groups(parameters: Iterable[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """No decay on gains and biases, so that they are shaped by the text alone."""
    moving = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in moving if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in moving if p.ndim < 2], "weight_decay": 0.0},
    ]


def train(
    model: PreTrainedModel,
    ids: torch.Tensor,
    schedule: Schedule,
    loss_of: Callable[[PreTrainedModel, torch.Tensor], torch.Tensor] = next_token_loss,
    kept: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """AdamW with warm-up and cosine decay, in place.

    `kept` holds 0/1 masks of pruned matrices, applied after every step, so that healing does not
    fill the holes again.
    """
    import torch

    torch.manual_seed(schedule.seed)
    draws = torch.Generator().manual_seed(schedule.seed)
    optimiser = torch.optim.AdamW(
        _groups(model.parameters()), lr=schedule.learning_rate, betas=(0.9, 0.95), fused=True
    )
    named = dict(model.named_parameters())
    model.train()
    for step in range(schedule.steps):
        rate = schedule.learning_rate * _shape(step, schedule.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss_of(model, batch(ids, draws)).backward()  # type: ignore[no-untyped-call]  # torch's own
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            for name, mask in (kept or {}).items():
                named[name].mul_(mask)
    model.eval()


def _shape(step: int, steps: int) -> float:
    """The learning rate's course in [0.05, 1]: linear warm-up, then half a cosine."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def held_out_loss(model: PreTrainedModel, ids: torch.Tensor) -> float:
    """Mean next-token loss (nats) over fixed windows of a slice's held-out part."""
    import torch

    draws = torch.Generator().manual_seed(0)
    model.eval()
    with torch.no_grad():
        losses = [next_token_loss(model, batch(ids, draws)) for _ in range(6)]
    return float(torch.stack(losses).mean())


def train_lora(model: PreTrainedModel, ids: torch.Tensor, schedule: Schedule, rank: int) -> None:
    """Train rank-`rank` adapters on attention and MLP matrices, then merge them into the weights.

    Fused expert tensors (three axes) keep their weights, as is usual for adapters.
    """
    import torch
    from torch import nn
    from torch.nn.utils import parametrize

    class LowRank(nn.Module):
        """W + B A with B = 0 at the start."""

        def __init__(self, rows: int, columns: int) -> None:
            super().__init__()
            self.down = nn.Parameter(torch.randn(rank, columns) / rank)
            self.up = nn.Parameter(torch.zeros(rows, rank))

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight + self.up @ self.down

    torch.manual_seed(schedule.seed)
    model.requires_grad_(requires_grad=False)
    adapted = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if is_dense(f"{name}.weight") and weight is not None and weight.ndim == 2:
            parametrize.register_parametrization(module, "weight", LowRank(*weight.shape))
            adapted.append(module)
    train(model, ids, schedule)
    for module in adapted:
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    model.requires_grad_(requires_grad=True)
