"""A model without weights: how large it may be, where its parameters stand, what is put there when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.probe import Abstain
from forensics.readings import Reason
from forensics.runnable import stacks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint

ON_ACCELERATOR = 10
"""Times as many parameters are run where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How large a model is run."""

    parameters: int
    """That a token passes through, on a processor; time is in proportion."""
    block_bytes: int
    """Of the largest block in float32, with all experts; memory is in proportion."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto` for whichever there is."""

    def chosen(self) -> str:
        """The device that is used; Abstain (unsupported) for one that there is not."""
        import torch

        found = torch.cuda.is_available()
        if self.device not in ("auto", "cpu", "cuda") or (self.device == "cuda" and not found):
            raise Abstain(Reason.UNSUPPORTED, f"there is no device {self.device[:40]!r} here")
        return ("cuda" if found else "cpu") if self.device == "auto" else self.device


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One tensor of a mixture's experts: reads an expert when it is asked for, keeps it until `drop`."""

    checkpoint: Checkpoint
    name: str
    shape: tuple[int, int, int]
    device: str
    held: dict[int, Any] = field(default_factory=dict)

    def __getitem__(self, index: Any) -> Any:
        expert = int(index)
        if expert not in self.held:
            values = self.checkpoint.fill_expert(self.name, self.shape, expert)
            self.held[expert] = placed(values, f"{self.name}[{expert}]", self.device)
        return self.held[expert]

    def drop(self) -> None:
        """Lets go of every expert."""
        self.held.clear()


def placed(values: NDArray[np.float32] | None, name: str, device: str) -> Any:
    """The values as a tensor on the device, without a copy on a processor; missing ones are an abstention."""
    import torch

    if values is None:
        raise Abstain(Reason.MISSING_TENSORS, f"nothing in the file fits {name[:200]}")
    return torch.from_numpy(values).to(device)


def put(checkpoint: Checkpoint, owner: Any, name: str, full: str, device: str) -> None:
    """Fills one parameter, called `full` within the model, from the file; Abstain where it is missing."""
    values = checkpoint.fill(full, tuple(getattr(owner, name).shape))
    setattr(owner, name, parameter(placed(values, full, device)))


def parameter(tensor: Any) -> Any:
    """The tensor as a module's parameter."""
    import torch

    return torch.nn.Parameter(tensor, requires_grad=False)


def stacked(checkpoint: Checkpoint, model: Any, device: str) -> Iterator[Stack]:
    """Puts a `Stack` in the place of every parameter that holds a matrix for each expert."""
    for prefix, module in model.named_modules():
        for name, tensor in stacks(module).items():
            stack = Stack(
                checkpoint=checkpoint, name=f"{prefix}.{name}", shape=tuple(tensor.shape), device=device
            )
            delattr(module, name)  # a parameter may only be replaced by a parameter
            setattr(module, name, stack)
            yield stack


def own_parameters(module: Any, prefix: str) -> Iterator[tuple[Any, str, str]]:
    """(module, name in it, name within the model) of every parameter at or below a module of that name."""
    for inner, owner in module.named_modules(prefix=prefix):
        for name, _ in list(owner.named_parameters(recurse=False)):
            yield owner, name, f"{inner}.{name}" if inner else name


def fill_rest(checkpoint: Checkpoint, model: Any, blocks: Any, limit: int, device: str) -> None:
    """Everything outside blocks, embeddings and head: norms, embeddings of positions; and the buffers that are kept.

    Raises Abstain: missing tensors, or too large for one of more than `limit` bytes in float32.
    """
    apart = {model.get_input_embeddings(), model.get_output_embeddings()}
    apart |= {module for block in blocks for module in block.modules()}
    for owner, name, full in own_parameters(model, ""):
        if owner not in apart:
            if 4 * getattr(owner, name).numel() > limit:
                raise Abstain(Reason.TOO_LARGE, f"{full[:200]} takes more memory than a block may")
            put(checkpoint, owner, name, full, device)
    kept = model.state_dict().keys()
    for inner, owner in model.named_modules():
        for name, buffer in list(owner.named_buffers(recurse=False)):
            full = f"{inner}.{name}" if inner else name
            if full in kept:
                buffer.copy_(placed(checkpoint.fill(full, tuple(buffer.shape)), full, "cpu"))
            setattr(owner, name, buffer.to(device))


@contextmanager
def embedded(checkpoint: Checkpoint, model: Any, ids: Sequence[Sequence[int]], device: str) -> Iterator[None]:
    """The embedding of the tokens that occur, read row by row; ids are renumbered on their way in.

    Raises Abstain: missing tensors, or unsupported for a token that has no embedding.
    """
    import torch

    module = model.get_input_embeddings()
    name, empty = named(model, module) + ".weight", module.weight
    spec = checkpoint.filled_by(name, tuple(empty.shape))
    if spec is None:
        raise Abstain(Reason.MISSING_TENSORS, f"nothing in the file fits {name}")
    occurring = sorted({token for text in ids for token in text})
    if not 0 <= occurring[0] <= occurring[-1] < spec.rows:
        raise Abstain(Reason.UNSUPPORTED, "the tokenizer names tokens beyond the embeddings")
    known = torch.tensor(occurring, device=device)
    module.weight = parameter(placed(checkpoint.picked(spec, occurring), name, device))
    hook = module.register_forward_pre_hook(lambda _module, args: (torch.searchsorted(known, args[0]),))
    try:
        yield
    finally:
        hook.remove()
        module.weight = empty


def named(model: Any, module: Any) -> str:
    """Name of a module within the model."""
    return next(name for name, one in model.named_modules() if one is module)


def blocks_of(decoder: Any) -> Any:
    """The list of transformer blocks: the first module list as long as the config says; Abstain where there is none."""
    import torch

    wanted = getattr(decoder.config, "num_hidden_layers", None)
    for module in decoder.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == wanted:
            return module
    raise Abstain(Reason.UNSUPPORTED, "the model has no list of blocks")
