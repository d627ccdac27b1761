"""From what a PyTorch pickle built to named tensors: the state dict, wherever in it training scripts put it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from forensics.checkpoint.torch_meaning import Strided, Unusable
from forensics.errors import CheckpointError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights")
"""Keys under which training scripts save the model beside optimiser, epoch and arguments."""
BESIDE = frozenset({
    "optimizer", "optimizers", "optimizer_state_dict", "optimizer_states", "optim", "scheduler", "lr_scheduler",
    "lr_schedulers", "scaler", "amp", "rng_state", "rng_states", "cuda_rng_state", "callbacks", "loops", "args", "ema",
})  # fmt: skip
"""Keys of what is no model, left out where it stands beside one."""
PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""
TENSOR_LIMIT = 200_000
VISITS_LIMIT = 1_000_000
DEPTH_LIMIT = 16
NAME_LIMIT = 4_096
NAMES_LIMIT = 32 << 20
"""Letters of all names together."""


@dataclass(slots=True, kw_only=True)
class State:
    """The tensors of a state dict by name."""

    tensors: dict[str, Strided | Unusable] = field(default_factory=dict)
    ignored: int = 0
    """Values that are no tensors."""
    beside: int = 0
    """Tensors outside the state dict."""


def state_of(root: object) -> State:
    """Every tensor of the model; CheckpointError TORCH_NO_STATE where there is none."""
    walk = _Walk()
    state = State()
    if isinstance(root, dict):
        chosen = _unwrapped(root, walk)
        letters = 0
        for path, value in walk.leaves(chosen):
            if not isinstance(value, (Strided, Unusable)) or "\0" in path:
                state.ignored += 1
                continue
            letters += len(path)
            if letters > NAMES_LIMIT or len(state.tensors) >= TENSOR_LIMIT:
                raise CheckpointError("more tensors than any model has", code="PICKLE_BUDGET")
            if path in state.tensors:
                raise CheckpointError(f"two tensors are named {ascii(path)[:80]}", code="TORCH_DUP_TENSOR")
            state.tensors[path] = value
    if not state.tensors:
        hint = "give the file that torch.save made of a state dict"
        raise CheckpointError("no tensors by name in what the pickle holds", hint, code="TORCH_NO_STATE")
    state.tensors = _bare(state.tensors)
    state.ignored += walk.ignored
    state.beside = walk.beside
    return state


class _Walk:
    """Passes through nested dictionaries within budgets, whatever refers to what."""

    def __init__(self) -> None:
        self.visits = self.ignored = self.beside = 0

    def leaves(self, node: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
        """(name, value) of everything that is no dictionary."""
        if depth > DEPTH_LIMIT:
            raise CheckpointError(f"dictionaries in each other, {depth} deep", code="PICKLE_BUDGET")
        for key, value in node.items():
            self.visits += 1
            if self.visits > VISITS_LIMIT:
                raise CheckpointError("more values than any model has", code="PICKLE_BUDGET")
            if len(prefix) + len(key) > NAME_LIMIT:
                raise CheckpointError(
                    f"a tensor's name is longer than {NAME_LIMIT} letters", code="TORCH_NAME"
                )
            if isinstance(value, dict):
                yield from self.leaves(value, f"{prefix}{key}.", depth + 1)
            else:
                yield prefix + key, value

    def left_out(self, value: object) -> None:
        """Counts what does not belong to the model."""
        for _, leaf in self.leaves({"": value}):
            if isinstance(leaf, (Strided, Unusable)):
                self.beside += 1
            else:
                self.ignored += 1


def _unwrapped(root: dict[str, Any], walk: _Walk) -> dict[str, Any]:
    """The dictionary whose keys begin the tensors' names; a single wrapper is no part of them."""
    node = root
    for _ in range(DEPTH_LIMIT):
        wrappers = [
            key for key in WRAPPERS if isinstance(node.get(key), dict) and _holds_tensors(node[key], walk)
        ]
        if len(wrappers) != 1:
            break
        for key, value in node.items():
            if key != wrappers[0]:
                walk.left_out(value)
        node = node[wrappers[0]]
    kept = {
        key: value for key, value in node.items() if not (isinstance(value, dict) and key.lower() in BESIDE)
    }
    if not _holds_tensors(kept, walk):
        return node
    for key in node.keys() - kept.keys():
        walk.left_out(node[key])
    return kept


def _holds_tensors(node: dict[str, Any], walk: _Walk) -> bool:
    return any(isinstance(value, (Strided, Unusable)) for _, value in walk.leaves(node))


def _bare(tensors: dict[str, Strided | Unusable]) -> dict[str, Strided | Unusable]:
    """Without the prefixes that wrappers of modules add to every name."""
    for prefix in PREFIXES:
        if all(len(name) > len(prefix) and name.startswith(prefix) for name in tensors):
            tensors = {name[len(prefix) :]: value for name, value in tensors.items()}
    return tensors
