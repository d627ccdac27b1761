"""Next tokens: do two models go on alike after the same words, more than their habits alone would make them?

At fixed places in the prompts each model's likeliest next token is noted, with the log-probabilities of the 64
likeliest. Agreement a is the share of places where both have the same one, chance c that over pairs of *different*
places, which these habits alone would give; the value is (a − c) / (1 − c), as Cohen's kappa (1960). With one
vocabulary the same token is meant; with two, which cut text otherwise, that the bytes of one begin with those of the
other. Divergence (Lin 1991, Jensen-Shannon, in bits) is told for one vocabulary only. Several candidates are set
against each other as Nikolić et al. (2025) do: is the nearest nearer than every other?

Invariant to whatever does not change what a model computes. Good models of one language agree on much without a common
weight, a student of the candidate on more, and training on other text wears it down: it is read beside controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Aspect,
    Checkpoint,
    Measurement,
    Reason,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    activations,
    alignment,
    hookimpl,
    prompts,
    token_hash,
)

Key = tuple[int, int]
"""(index of a text, character offset in it)."""
FEWEST_PLACES = 16
TOP, LONGEST = 64, 24
"""Likeliest tokens kept of a place, and bytes kept of the likeliest one."""
VOCABULARY_SAMPLE = 512
"""Smallest token hashes kept, to see whether two vocabularies are one."""


@dataclass(frozen=True, kw_only=True)
class NextToken(SketchProbe):
    """Agreement of the likeliest next token beyond chance, and divergence of the distributions."""

    id: ClassVar[str] = "next-token"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Next tokens"
    measures: ClassVar[str] = (
        "At how many places in the probe prompts both models think the same token the likeliest to come next, beyond "
        "what the frequencies of their answers make likely by chance. With different vocabularies, that one's token "
        "begins with the other's. Independent models of one language agree on much, so that a value is read beside "
        "those of controls and has no weight. No change of basis or order defeats it; further training on other text "
        "wears it down, and a student of the candidate reads like a descendant."
    )
    needs: ClassVar[str] = "an architecture that transformers can run, tokenizer.json, at most max_parameters"
    aspect: ClassVar[Aspect | None] = Aspect.BEHAVIOUR
    expected: ClassVar[str] = (
        "Derived: 0.7 to 1 after light fine-tuning, lower with all further training. Unrelated: whatever two models of "
        "that language and size agree on, up to 0.6 for large ones; about 0 for models that have learned nothing."
    )
    isolated: ClassVar[bool] = True
    time_limit: ClassVar[float] = 3600.0
    limits: ClassVar[frozenset[str]] = frozenset({"max_parameters", "block_bytes"})

    prompts: str = ""
    """One prompt per line or a JSON list; empty for the default set."""
    positions: int = 256
    """Places at which predictions are read, at most."""
    tokens: int = 128
    """Tokens kept of each text."""
    max_parameters: int = 300_000_000
    """That a token passes through, on a processor; ten times as many on an accelerator. Time is in proportion, so that
    larger models are run only when asked for (`--thorough`)."""
    block_bytes: int = 16 << 30
    """Of the largest block in float32, with all experts. Memory is in proportion."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto` for whichever there is."""

    def sketcher(self, checkpoint: Checkpoint) -> Predictor:
        """Prepares the run; abstains at once without a tokenizer."""
        tokenizer = checkpoint.tokenizer_json()
        if tokenizer is None or checkpoint.tokenizer is None:
            raise Abstain(Reason.MISSING_FILES, "no readable tokenizer.json")
        return Predictor(probe=self, checkpoint=checkpoint, tokenizer=tokenizer)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Chance-corrected agreement over the places that both tokenizers reach."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        keys = _shared([ours, theirs])
        here, there = ours.at(keys), theirs.at(keys)
        alike = here.agreements(there)
        agreement, chance = alignment.beyond_chance(alike)
        if chance >= 1.0:
            raise Abstain(Reason.NOT_INFORMATIVE, "both models predict one token wherever they are asked")
        one = here.shares_vocabulary(there)
        divergence = float(here.divergences(there).mean()) if one else None
        meant = "the same token" if one else "tokens of which one begins with the other"
        apart = f" Their distributions lie at least {divergence:.2f} of 1 bit apart." if one else ""
        return Measurement(
            value=(agreement - chance) / (1.0 - chance),
            quantity="agreement of the likeliest next token beyond chance, at most 1",
            summary=(
                f"At {agreement:.0%} of {len(keys)} places in the prompts both models think {meant} likeliest to come "
                f"next; by chance it would be {chance:.0%}.{apart}"
            ),
            facts={
                "places": len(keys),
                "agreement": agreement,
                "chance": chance,
                "one_vocabulary": one,
                "js_divergence_bits_at_least": divergence,
                "devices": f"{ours.device}, {theirs.device}",
                "prompts_sha256": str(suspect.facts.get("prompts_sha256"))[:64],
            },
        )

    def compare_all(self, suspect: Sketch, candidates: Mapping[str, Sketch]) -> Measurement:
        """Whether the candidate that agrees most is nearer than each other: sign tests over texts, Holm."""
        ours, sides = _Side.of(suspect), {label: _Side.of(one) for label, one in candidates.items()}
        keys = _shared([ours, *sides.values()])
        here, texts = ours.at(keys), [text for text, _ in keys]
        agree = {label: here.agreements(side.at(keys)).diagonal() for label, side in sides.items()}
        share = {label: float(found.mean()) for label, found in agree.items()}
        nearest = max(share, key=lambda label: (share[label], label))
        others = [label for label in share if label != nearest]
        tested = [alignment.nearer(texts, agree[nearest], agree[other]) for other in others]
        ps = alignment.stepped_down([p for _, _, p in tested], chosen_from=len(share))
        rows = tuple(
            (o, share[o], won, lost, p) for o, (won, lost, _), p in zip(others, tested, ps, strict=True)
        )
        return Measurement(
            value=share[nearest] - max(share[other] for other in others),
            quantity="share of places by which the nearest candidate agrees more often than the next, 0 to 1",
            summary=(
                f"The suspect's next tokens agree most often with those of {nearest}: at {share[nearest]:.0%} of "
                f"{len(keys)} places. That it is no nearer than one of the others has p = {max(ps):.2g} at most."
            ),
            facts={"nearest": nearest, "places": len(keys), "largest_p_holm": max(ps)},
            tables=(
                Table(
                    title=f"{nearest} against each other candidate, text by text"[:200],
                    columns=("other candidate", "agrees", "texts nearer", "texts farther", "p (Holm)"),
                    rows=rows,
                ),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Wants no rows in the pass: streams the model when everything has been read."""

    probe: NextToken
    checkpoint: Checkpoint
    tokenizer: str

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """Places (n, 2) as (text, offset); of each the likeliest tokens' hashes and log-probabilities, (n, TOP).

        `likeliest` (n, LONGEST) are the bytes of the first of them, zeros behind their end; `vocabulary` the smallest
        hashes of all tokens, ascending.
        """
        probe, known = self.probe, self.checkpoint.tokenizer
        assert known is not None
        shown = prompts.prompts_from(probe.prompts)
        bounds = activations.Bounds(
            parameters=probe.max_parameters, block_bytes=probe.block_bytes, device=probe.device
        )
        model = activations.Running.of(self.checkpoint, self.tokenizer, bounds, probe.tokens)
        places, found = model.predict(shown, prompts.places(shown, probe.positions), TOP)
        if len(places) < FEWEST_PLACES:
            raise Abstain(Reason.NOT_FINITE, f"finite predictions were read at only {len(places)} places")
        spelt = {i: text.encode("utf-8", "surrogatepass") for text, i in known.special.items()}
        spelt |= {i: token for token, i in known.tokens.items()}
        hashes = {int(i): token_hash(spelt.get(int(i), b"\xff%d" % i)) for i in np.unique(found.tokens)}
        first = [spelt.get(int(i), b"")[:LONGEST].ljust(LONGEST, b"\0") for i in found.tokens[:, 0]]
        arrays: dict[str, NDArray[np.generic]] = {
            "places": places,
            "hashes": np.vectorize(hashes.__getitem__, otypes=[np.uint64])(found.tokens),
            "log_probs": found.log_probs,
            "likeliest": np.array([list(token) for token in first], np.uint8),
            "vocabulary": np.array(sorted(map(token_hash, known.tokens))[:VOCABULARY_SAMPLE], np.uint64),
        }
        return probe.sketch(arrays, {"prompts_sha256": prompts.digest(shown), "device": model.device})


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    places: dict[Key, int]
    """Row of each place."""
    found: alignment.NextTokens
    device: str

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's parts, or an abstention where they do not fit each other."""
        try:
            arrays = sketch.arrays
            n, width = arrays["hashes"].shape
            log_probs = arrays["log_probs"].astype(np.float64)
            spelt, places = arrays["likeliest"].astype(np.uint8), arrays["places"]
            shapes = log_probs.shape, spelt.shape, places.shape, arrays["vocabulary"].ndim
            if shapes != ((n, width), (n, LONGEST), (n, 2), 1) or not 0 < width <= TOP:
                raise ValueError("shapes")
            if not np.isfinite(log_probs).all() or (np.exp(log_probs).sum(axis=1) > 1.001).any():
                raise ValueError("no probabilities")
            found = alignment.NextTokens(
                hashes=arrays["hashes"].astype(np.uint64),
                probs=np.exp(log_probs),
                likeliest=tuple(bytes(row).rstrip(b"\0") for row in spelt),
                vocabulary=np.unique(arrays["vocabulary"].astype(np.uint64)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, f"the sketch's parts do not fit ({error})") from None
        rows = {(int(text), int(offset)): row for row, (text, offset) in enumerate(places)}
        return cls(places=rows, found=found, device=str(sketch.facts.get("device"))[:20])

    def at(self, keys: Sequence[Key]) -> alignment.NextTokens:
        """What was found at these places, in their order."""
        return self.found.at([self.places[key] for key in keys])


def _shared(sides: Sequence[_Side]) -> list[Key]:
    """Places that all of them read, in order; abstains where they are too few."""
    keys = sorted(set.intersection(*(set(side.places) for side in sides)))
    if len(keys) < FEWEST_PLACES:
        raise Abstain(Reason.NOT_COMPARABLE, f"only {len(keys)} places in the prompts were read in all")
    return keys


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [NextToken()]
