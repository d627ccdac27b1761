"""Hidden states and predictions of a model at fixed places of the probe prompts, whatever its tokenizer.

Works on what `layered` streams; the tokenizer is run here, so this belongs into a worker that may be killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.hollow import Bounds
from forensics.layered import FINAL, Layered
from forensics.predicted import Predictions, predictions
from forensics.probe import Abstain
from forensics.readings import Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint
    from forensics.prompts import Place

__all__ = ["Bounds", "Running", "encoded", "permuted_agreement", "reached", "root_kernel"]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A model ready to read texts; its weights stay in the file."""

    model: Layered
    tokenizer: str
    layer_norm: bool
    longest: int
    """Tokens kept of a text."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, tokenizer: str, bounds: Bounds, tokens: int) -> Running:
        """The checkpoint's model with its tokenizer.json; raises Abstain (see `layered.Layered.of`)."""
        model = Layered.of(checkpoint, bounds)
        longest = int(getattr(model.decoder.config, "max_position_embeddings", 0) or tokens)
        layer_norm = checkpoint.architecture.norm == "layer"
        return cls(model=model, tokenizer=tokenizer, layer_norm=layer_norm, longest=min(tokens, longest))

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.model.depth

    @property
    def device(self) -> str:
        """Where it is computed: `cpu` or `cuda`."""
        return self.model.device

    def read(
        self, texts: Sequence[str], places: Sequence[Place], layers: Sequence[int]
    ) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
        """The places that the tokenizer reaches, (n, 2) as (text, offset), and the states there per layer, (n, width).

        States are as the next norm sees them, without its gain; places where one is not finite are left out.
        """
        import numpy as np

        from forensics.alignment.kernels import anchor_inputs

        keys, states = self._states(texts, places, layers)
        if not len(keys):
            return keys, [np.zeros((0, 1), np.float32) for _ in layers]
        units = [anchor_inputs(kept, subtract_mean=self.layer_norm) for kept in states]
        finite = np.logical_and.reduce([np.isfinite(unit).all(axis=1) for unit in units])
        return keys[finite], [unit[finite] for unit in units]

    def predict(
        self, texts: Sequence[str], places: Sequence[Place], count: int
    ) -> tuple[NDArray[np.int32], Predictions]:
        """The places that the tokenizer reaches, (n, 2), and the `count` likeliest tokens after each.

        Places where a state or a log-probability is not finite are left out.
        """
        import numpy as np

        keys, states = self._states(texts, places, [FINAL])
        if not len(keys):
            none = np.zeros((0, count))
            return keys, Predictions(tokens=none.astype(np.int32), log_probs=none.astype(np.float32))
        finite = np.isfinite(states[0]).all(axis=1)
        found = predictions(self.model, states[0][finite], count)
        sound = np.isfinite(found.log_probs).all(axis=1)
        return keys[finite][sound], Predictions(tokens=found.tokens[sound], log_probs=found.log_probs[sound])

    def _states(
        self, texts: Sequence[str], places: Sequence[Place], layers: Sequence[int]
    ) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
        """The places that are reached, and the bare states there per layer; all texts in one pass over the file."""
        import numpy as np

        keys: list[tuple[int, int]] = []
        ids, at = [], []
        for index, encoding in enumerate(encoded(self.tokenizer, texts, self.longest)):
            there = reached(texts[index], encoding, [p.offset for p in places if p.prompt == index])
            if there:
                keys += [(index, offset) for offset in there]
                ids.append(encoding.ids)
                at.append(list(there.values()))
        states = self.model.states(ids, at, layers) if keys else []
        return np.array(keys, np.int32).reshape(-1, 2), states


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
