"""Hidden states of a model at fixed places of the probe prompts, whatever its tokenizer.

Works on what `runnable` built; the tokenizer is run here, so this belongs into a worker that may be killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.probe import Abstain
from forensics.readings import Reason
from forensics.runnable import EXPECTED, assembled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint
    from forensics.prompts import Place


@dataclass(frozen=True, kw_only=True)
class Running:
    """A model ready to read texts."""

    decoder: Any
    tokenizer: str
    layer_norm: bool
    longest: int
    """Tokens kept of a text."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, tokenizer: str, max_parameters: int, tokens: int) -> Running:
        """The checkpoint's model, filled, with its tokenizer.json; raises Abstain (see `runnable.assembled`)."""
        decoder = assembled(checkpoint, max_parameters)
        longest = int(getattr(decoder.config, "max_position_embeddings", 0) or tokens)
        layer_norm = checkpoint.architecture.norm == "layer"
        return cls(decoder=decoder, tokenizer=tokenizer, layer_norm=layer_norm, longest=min(tokens, longest))

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(_blocks(self.decoder))

    def read(
        self, texts: Sequence[str], places: Sequence[Place], layers: Sequence[int]
    ) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
        """The places that the tokenizer reaches, (n, 2) as (text, offset), and the states there per layer, (n, width).

        States are as the next norm sees them, without its gain; places where one is not finite are left out.
        """
        import numpy as np

        from forensics.alignment.kernels import anchor_inputs

        keys: list[tuple[int, int]] = []
        states: list[list[NDArray[np.float32]]] = [[] for _ in layers]
        for index, encoding in enumerate(encoded(self.tokenizer, texts, self.longest)):
            there = reached(texts[index], encoding, [p.offset for p in places if p.prompt == index])
            if there:
                keys += [(index, offset) for offset in there]
                read = hidden_states(self.decoder, encoding.ids, layers, list(there.values()))
                for kept, state in zip(states, read, strict=True):
                    kept.append(state)
        if not keys:
            return np.zeros((0, 2), np.int32), [np.zeros((0, 1), np.float32) for _ in layers]
        units = [anchor_inputs(np.concatenate(kept), subtract_mean=self.layer_norm) for kept in states]
        finite = np.logical_and.reduce([np.isfinite(unit).all(axis=1) for unit in units])
        return np.array(keys, np.int32)[finite], [unit[finite] for unit in units]


def encoded(tokenizer: str, texts: Sequence[str], longest: int) -> list[Any]:
    """Each text's encoding by a tokenizer.json, special tokens included, cut to `longest` tokens.

    The tokenizer is hostile: what its native code panics over is not even an `Exception`. Padding, which could be
    declared to any length, is switched off. Raises Abstain (unsupported).
    """
    from tokenizers import Tokenizer

    try:
        ready = Tokenizer.from_str(tokenizer)
        ready.no_padding()
        ready.enable_truncation(longest)
        return [ready.encode(text) for text in texts]
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise Abstain(Reason.UNSUPPORTED, f"the tokenizer cannot be run ({type(error).__name__})") from None


def reached(text: str, encoding: Any, offsets: Sequence[int]) -> dict[int, int]:
    """Token index for each character offset that is reached: the last token over it, if it sees no later word."""
    found = {}
    for offset in offsets:
        over = [i for i, (start, end) in enumerate(encoding.offsets) if start <= offset < end]
        if over and not text[offset + 1 : encoding.offsets[over[-1]][1]].strip():
            found[offset] = over[-1]
    return found


def hidden_states(
    decoder: Any, ids: Sequence[int], layers: Sequence[int], at: Sequence[int]
) -> list[NDArray[np.float32]]:
    """Residual stream behind each of `layers` at the tokens `at`, each (len(at), width).

    Layer 0 is what enters the first block, layer l what leaves block l; read between blocks, so before the final
    norm. Raises Abstain (unsupported) where the model has no list of blocks or cannot run the tokens.
    """
    import torch

    blocks = _blocks(decoder)
    seen: dict[int, Any] = {}

    def entering(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen[0] = args[0] if args else kwargs["hidden_states"]

    def leaving(layer: int) -> Any:
        def keep(_module: Any, _args: Any, output: Any) -> None:
            seen[layer] = output[0] if isinstance(output, tuple) else output

        return keep

    with ExitStack() as hooks, torch.inference_mode():
        hooks.callback(blocks[0].register_forward_pre_hook(entering, with_kwargs=True).remove)
        for layer in layers:
            if layer:
                hooks.callback(blocks[layer - 1].register_forward_hook(leaving(layer)).remove)
        try:
            decoder(input_ids=torch.tensor([list(ids)]), use_cache=False)
        except EXPECTED as error:
            raise Abstain(Reason.UNSUPPORTED, f"the model does not run ({type(error).__name__})") from None
    return [seen[layer][0, list(at)].float().numpy() for layer in layers]


def _blocks(decoder: Any) -> Any:
    """The list of transformer blocks: the first module list as long as the config says."""
    import torch

    wanted = decoder.config.num_hidden_layers
    for module in decoder.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == wanted:
            return module
    raise Abstain(Reason.UNSUPPORTED, "the model has no list of blocks")


def root_kernel(states: NDArray[np.float32]) -> NDArray[np.float64]:
    """Matrix square root of the centred linear kernel of states (n, width), shape (n, n).

    A direction then weighs by its standard deviation instead of its variance. Without that one or two directions
    that every model learns (say, words that end like a plural) make up most of a kernel.
    """
    import numpy as np

    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    kernel: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return kernel


def permuted_agreement(
    ours: NDArray[np.floating], theirs: NDArray[np.floating], within: Sequence[int], *, draws: int, seed: int
) -> NDArray[np.float64]:
    """Mean inner product of matched flat kernels (k, p) with our places permuted within groups, shape (draws,).

    `within` numbers the group of each of the n places, p = n (n − 1) / 2. With a place's word order as its group only
    texts change places, so that what hidden states show of mere position counts for nothing.
    """
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(seed))
    of = np.asarray(within)
    groups = [np.flatnonzero(of == group) for group in np.unique(of)]
    first, second = np.triu_indices(len(of), 1)
    pair = np.zeros((len(of), len(of)), np.intp)
    pair[first, second] = pair[second, first] = np.arange(len(first))
    drawn = np.empty(draws)
    for draw in range(draws):
        order = np.arange(len(of))
        for inside in groups:
            order[inside] = rng.permutation(inside)
        drawn[draw] = np.einsum("lp,lp->l", ours[:, pair[order[first], order[second]]], theirs).mean()
    return drawn
