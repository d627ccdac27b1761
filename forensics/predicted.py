"""What a model predicts behind its final norm: the likeliest next tokens, with exact log-probabilities.

The head is applied in blocks of rows of the vocabulary, as they are read, by the forward of transformers' own class
with its decoder stood in for: whatever it does to logits (a scale, a soft cap) is done one logit at a time, so that
blocks do not matter. Never more than one block of logits is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.hollow import named, parameter, placed
from forensics.probe import Abstain
from forensics.readings import Reason
from forensics.runnable import EXPECTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.layered import Layered

BLOCK_BYTES = 8 << 20
"""Stored bytes of the head that are read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """The likeliest next tokens at some places, likeliest first; equally likely ones by their id."""

    tokens: NDArray[np.int32]
    """Ids, (places, count)."""
    log_probs: NDArray[np.float32]
    """Natural logarithms over the whole vocabulary, (places, count)."""


class _Answer:
    """What a decoder answers to its head: a last hidden state and, whatever else it is asked for, nothing."""

    def __init__(self, last_hidden_state: Any) -> None:
        self.last_hidden_state = last_hidden_state

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def predictions(layered: Layered, states: NDArray[np.float32], count: int) -> Predictions:
    """For states (places, width) behind the final norm the `count` likeliest tokens, fewer in a small vocabulary.

    The normaliser is a log-sum-exp in float64 over every row of the head. Raises Abstain: missing tensors, or
    unsupported where the head cannot be applied.
    """
    import torch

    logits, ids = torch.empty((len(states), 0)), torch.empty((len(states), 0), dtype=torch.int64)
    normaliser = torch.full((len(states),), -torch.inf, dtype=torch.float64)
    with torch.inference_mode(), _headed(layered, states) as blocks:
        try:
            for start, found in blocks:
                block = found.cpu()
                normaliser = torch.logaddexp(normaliser, torch.logsumexp(block.double(), dim=1))
                here = torch.arange(start, start + block.shape[1]).expand(len(states), -1)
                logits, ids = torch.cat([logits, block], dim=1), torch.cat([ids, here], dim=1)
                order = torch.sort(logits, dim=1, descending=True, stable=True).indices[:, :count]
                logits, ids = logits.gather(1, order), ids.gather(1, order)
        except EXPECTED as error:
            detail = f"the head cannot be applied ({type(error).__name__})"
            raise Abstain(Reason.UNSUPPORTED, detail) from None
    log_probs = (logits.double() - normaliser[:, None]).float()
    return Predictions(tokens=ids.int().numpy(), log_probs=log_probs.numpy())


@contextmanager
def _headed(layered: Layered, states: NDArray[np.float32]) -> Iterator[Iterator[tuple[int, Any]]]:
    """(first token id, logits (places, tokens)) block by block, while the decoder is stood in for."""
    import numpy as np
    import torch

    model, device, checkpoint = layered.model, layered.device, layered.checkpoint
    head, embedding, decoder = model.get_output_embeddings(), model.get_input_embeddings(), model.base_model
    name, empty, bias = named(model, head), head.weight, head.bias
    read = named(model, embedding) if empty is embedding.weight else name  # tied
    spec = checkpoint.filled_by(f"{read}.weight", tuple(empty.shape))
    if spec is None:
        raise Abstain(Reason.MISSING_TENSORS, f"nothing in the file fits {read}.weight")
    added = None
    if bias is not None:
        added = placed(checkpoint.fill(f"{name}.bias", tuple(bias.shape)), f"{name}.bias", device)
    hidden = torch.from_numpy(states).to(device)[None]
    anything = torch.zeros((1, len(states)), dtype=torch.int64, device=device)

    def blocks() -> Iterator[tuple[int, Any]]:
        for start, rows in checkpoint.rows(spec, BLOCK_BYTES):
            head.weight = parameter(placed(np.array(rows), read, device))  # blocks may be read-only
            if added is not None:
                head.bias = parameter(added[start : start + len(rows)])
            yield start, model(input_ids=anything, use_cache=False).logits[0].float()

    decoder.forward = lambda *_args, **_kwargs: _Answer(hidden)
    try:
        yield blocks()
    finally:
        del decoder.forward
        head.weight, head.bias = empty, bias
