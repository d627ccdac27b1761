"""Runs a model that does not fit: block by block, each block's weights read, applied to every text and dropped.

transformers' own forward of the decoder is called twice a batch of texts and never with weights in its blocks. First
every block is stood in for by a recorder that hands on what it gets, and what the forward gave it beside (masks, rotary
tables, positions: none depends on the weights) is kept. Then the true blocks are called with these, block after block.
Last the forward is called again with blocks that say what came out, for its final norm. A forward that does more
between blocks than hand on the stream is noticed, since a recorder then gets something else than the one before gave;
that is an abstention.

Computes in float32: bfloat16 took 2 to 5 times as long on processors without instructions for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.hollow import (
    ON_ACCELERATOR,
    Bounds,
    Stack,
    blocks_of,
    embedded,
    fill_rest,
    own_parameters,
    put,
    stacked,
)
from forensics.probe import Abstain
from forensics.readings import Reason
from forensics.runnable import EXPECTED, RUNS, outlined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint

FINAL = -1
"""Stands among layers for what leaves the decoder, behind its final norm."""
BATCH_TOKENS = 512
"""Tokens that go through a block at once: a product with fewer rows takes longer, with more it takes more memory."""


class Unstreamable(RuntimeError):  # noqa: N818 - a reason to abstain
    """The forward does more between blocks than hand on the stream."""


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Some texts on their way through the blocks."""

    texts: list[int]
    stream: Any = None
    """The residual stream, (texts, tokens, width)."""
    beside: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    """What each block is called with besides the stream."""
    ids: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """A model whose weights stay in the file."""

    checkpoint: Checkpoint
    model: Any
    """With its head; parameters have no memory but while their block is applied."""
    blocks: Any
    """The decoder's list of blocks."""
    names: tuple[str, ...]
    """Of the blocks, within the model."""
    experts: tuple[Stack, ...]
    device: str

    @classmethod
    def of(cls, checkpoint: Checkpoint, bounds: Bounds) -> Layered:
        """The checkpoint's model, everything but embeddings, blocks and head filled; raises Abstain."""
        device = bounds.chosen()
        model = outlined(checkpoint, bounds.parameters * (1 if device == "cpu" else ON_ACCELERATOR))
        blocks = blocks_of(model.base_model)
        largest = max(sum(4 * p.numel() for p in block.parameters()) for block in blocks)
        if largest > bounds.block_bytes:
            detail = f"a block takes {largest:,} bytes; set to hold at most {bounds.block_bytes:,}"
            raise Abstain(Reason.TOO_LARGE, detail)
        name_of = {module: name for name, module in model.named_modules()}
        experts = tuple(stacked(checkpoint, model, device))
        fill_rest(checkpoint, model, blocks, bounds.block_bytes, device)
        return cls(
            checkpoint=checkpoint,
            model=model,
            blocks=blocks,
            names=tuple(name_of[block] for block in blocks),
            experts=experts,
            device=device,
        )

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def decoder(self) -> Any:
        """The model without its head."""
        return self.model.base_model

    def states(
        self, ids: Sequence[Sequence[int]], at: Sequence[Sequence[int]], layers: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Residual stream behind each of `layers` at tokens `at` of every text in turn, each (places, width).

        Layer 0 is what enters the first block, layer l what leaves block l, before the final norm; FINAL is behind
        it. Raises Abstain: missing tensors, or unsupported where the model cannot run the tokens.
        """
        import numpy as np
        import torch

        found: dict[int, dict[int, Any]] = {layer: {} for layer in layers}

        def keep(layer: int) -> None:
            for batch in batches if layer in found else ():
                for row, text in enumerate(batch.texts):
                    kept = batch.stream[row, list(at[text])].to("cpu", torch.float32)
                    found[layer][text] = kept.numpy()

        with torch.inference_mode(), embedded(self.checkpoint, self.model, ids, self.device):
            try:
                batches, tupled = self._begun(ids)
                keep(0)
                for number in range(self.depth if FINAL in found else max(layers)):
                    self._apply(number, batches)
                    keep(number + 1)
                if FINAL in found:
                    for batch in batches:
                        self._finish(batch, tupled=tupled)
                    keep(FINAL)
            except EXPECTED as error:
                detail = f"the model does not run ({type(error).__name__})"
                raise Abstain(Reason.UNSUPPORTED, detail) from None
        return [np.concatenate([found[layer][text] for text in range(len(ids))]) for layer in layers]

    def _begun(self, ids: Sequence[Sequence[int]]) -> tuple[list[_Batch], bool]:
        """The batches, each in front of the first block, and whether blocks answer with a tuple, not a tensor."""
        try:
            return self._recorded(ids, tupled=False), False
        except EXPECTED as error:
            first = error
        try:
            return self._recorded(ids, tupled=True), True
        except EXPECTED:
            raise first from None

    def _recorded(self, ids: Sequence[Sequence[int]], *, tupled: bool) -> list[_Batch]:
        """Every batch in front of the first block."""
        causal = self.checkpoint.config.get("model_type") in RUNS  # of others it is not known
        together = causal and not self.experts  # what pads would be routed to experts too
        batches = [_Batch(texts=texts) for texts in _batches(ids, BATCH_TOKENS if together else 0)]
        for batch in batches:
            self._record(batch, ids, tupled=tupled)
        return batches

    def _record(self, batch: _Batch, ids: Sequence[Sequence[int]], *, tupled: bool) -> None:
        """Calls the forward with recorders for blocks."""
        import torch

        longest = max(len(ids[text]) for text in batch.texts)
        # behind the end of a text its first token is repeated: no place looks ahead, so nothing sees it
        padded = [[*ids[text], *[ids[text][0]] * (longest - len(ids[text]))] for text in batch.texts]
        batch.ids = torch.tensor(padded, device=self.device)

        def recorder(number: int) -> Any:
            def record(*args: Any, **kwargs: Any) -> Any:
                stream, args = _taken(args, kwargs)
                if number and stream is not batch.stream:
                    raise Unstreamable("the forward does more between blocks than hand on the stream")
                batch.stream = stream
                batch.beside.append((args, kwargs))
                return (stream,) if tupled else stream

            return record

        with self._stood_in(recorder):
            self.decoder(input_ids=batch.ids, use_cache=False)
        if len(batch.beside) != self.depth:
            raise Unstreamable("the forward does not call every block once")

    def _apply(self, number: int, batches: Sequence[_Batch]) -> None:
        """Fills a block, sends every batch through it, empties it."""
        block, empty = self.blocks[number], []
        for owner, name, full in own_parameters(block, self.names[number]):
            empty.append((owner, name, getattr(owner, name)))
            put(self.checkpoint, owner, name, full, self.device)
        for batch in batches:
            args, kwargs = batch.beside[number]
            batch.beside[number] = ((), {})
            answer = block(batch.stream, *args, **kwargs)
            batch.stream = answer[0] if isinstance(answer, tuple) else answer
        for owner, name, parameter in empty:
            setattr(owner, name, parameter)
        for stack in self.experts:
            stack.drop()

    def _finish(self, batch: _Batch, *, tupled: bool) -> None:
        """What the forward makes of what left the last block."""

        def saying(_number: int) -> Any:
            return lambda *_args, **_kwargs: (batch.stream,) if tupled else batch.stream

        with self._stood_in(saying):
            batch.stream = self.decoder(input_ids=batch.ids, use_cache=False).last_hidden_state

    @contextmanager
    def _stood_in(self, made: Any) -> Iterator[None]:
        """Every block's forward replaced by `made(number)`."""
        for number, block in enumerate(self.blocks):
            block.forward = made(number)
        try:
            yield
        finally:
            for block in self.blocks:
                del block.forward


def _taken(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """The stream that a block is called with, taken out of `kwargs` where it is there, and what is left of `args`."""
    return (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())


def _batches(ids: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
    """Texts that go together, of alike lengths and, padded, at most `tokens` together; one by one for 0."""
    found: list[list[int]] = []
    for text in sorted(range(len(ids)), key=lambda one: (len(ids[one]), one)):
        if found and (len(found[-1]) + 1) * len(ids[text]) <= tokens:
            found[-1].append(text)
        else:
            found.append([text])
    return found
