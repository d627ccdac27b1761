"""Two tokenizers as data: which byte strings they know, under which ids, merged in which order.

Says whether a tokenizer was reused and nothing about weights: anyone may take a published tokenizer for a model
trained from scratch (methods §4.3 P6). Tokenizers are never run here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Aspect,
    Checkpoint,
    Measurement,
    Reason,
    Scalar,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    hookimpl,
)

SPECIALS, SPECIAL_CHARACTERS, TEMPLATE_CHARACTERS = 256, 64, 20_000
"""Special tokens kept in a sketch, characters of each, and characters of a chat template."""
SEGMENTS = 400
"""Pieces of a chat template that are compared; the comparison's cost grows with their square."""


@dataclass(frozen=True, kw_only=True)
class TokenizerDiff(SketchProbe):
    """Vocabulary, ids, merges, special tokens and chat template of two tokenizers."""

    id: ClassVar[str] = "tokenizer-diff"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Tokenizer"
    measures: ClassVar[str] = (
        "Overlap of the two vocabularies as byte strings, agreement of ids and of the order of merges, special tokens "
        "and chat template. Evidence of tokenizer reuse only: unrelated models often share a published tokenizer, and "
        "a descendant may be given a new one. Two vocabularies learned apart from text in the same languages already "
        "share a good part of their common words."
    )
    needs: ClassVar[str] = "a tokenizer; tokenizer_config.json for the chat template"
    aspect: ClassVar[Aspect | None] = Aspect.RECIPE
    expected: ClassVar[str] = (
        "Tokenizer reused: vocabulary overlap near 1, ids and merges in the same order. Learned apart: overlap "
        "between 0.1 and 0.6, ids agreeing by chance only, merge order merely correlated."
    )

    sample: int = 5_000
    """Shared merges whose ranks are correlated, at most."""
    seed: int = 0

    def first_look(self) -> TokenizerDiff:
        """Takes part as it is: no weights are read."""
        return self

    def sketcher(self, checkpoint: Checkpoint) -> Reader:
        """Everything is known before the pass; abstains without a tokenizer."""
        known = checkpoint.tokenizer
        if known is None or not known.tokens:
            raise Abstain(Reason.MISSING_FILES, "no readable tokenizer")
        return Reader(probe=self, known=known, width=checkpoint.architecture.width)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Jaccard overlap of the vocabularies, with everything else beside it."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        shared, at, there = np.intersect1d(ours.tokens, theirs.tokens, return_indices=True)
        overlap = len(shared) / (len(ours.tokens) + len(theirs.tokens) - len(shared))
        same_ids = float((ours.ids[at] == theirs.ids[there]).mean()) if len(shared) else 0.0
        n = min(len(ours.merges), len(theirs.merges))
        tau, ranked = _merge_order(ours.merges, theirs.merges, self.sample, self.seed)
        facts: dict[str, Scalar] = {
            "width": min(ours.width, theirs.width),
            "shared_tokens": len(shared),
            "containment_of_suspect": len(shared) / len(ours.tokens),
            "containment_of_candidate": len(shared) / len(theirs.tokens),
            "id_agreement": same_ids,
            "common_merge_prefix": int(np.logical_and.accumulate(ours.merges[:n] == theirs.merges[:n]).sum()),
            "merge_rank_tau": tau,
            "merges_ranked": ranked,
            "same_normalizer": _same(ours, theirs, "normalizer"),
            "same_pre_tokenizer": _same(ours, theirs, "pre_tokenizer"),
            "chat_template": _template(ours, theirs),
        }
        return Measurement(
            value=overlap,
            quantity="Jaccard overlap of the vocabularies as byte strings, 0 to 1",
            summary=(
                f"The vocabularies share {len(shared):,} of {len(ours.tokens):,} and {len(theirs.tokens):,} tokens, "
                f"{100 * same_ids:.0f} % of these under the same id. This is evidence of tokenizer reuse only, "
                "not about weights."
            ),
            facts=facts,
            tables=(_properties(ours, theirs, facts),),
        )


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Wants nothing of the pass: a tokenizer is read before it."""

    probe: TokenizerDiff
    known: Any
    width: int

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """Arrays: `tokens` uint64 (n,) in the order of `ids` int64 (n,); `merges` uint64 (m,) by rank."""
        known = self.known
        by_id = sorted(known.tokens.items(), key=itemgetter(1))
        special = {
            text[:SPECIAL_CHARACTERS]: known.special[text] for text in sorted(known.special)[:SPECIALS]
        }
        template = known.chat_template
        return self.probe.sketch(
            {
                "tokens": _hashes((token,) for token, _ in by_id),
                "ids": np.array([number for _, number in by_id], np.int64),
                "merges": _hashes(known.merges),
            },
            {
                "width": self.width,
                "model": _clean(known.model[:40]),
                "special": json.dumps(special),
                "normalizer": f"{_hash(known.normalizer):016x}",
                "pre_tokenizer": f"{_hash(known.pre_tokenizer):016x}",
                "template": None if template is None else _clean(template[:TEMPLATE_CHARACTERS]),
                "template_hash": None if template is None else f"{_hash(template):016x}",
            },
        )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    tokens: NDArray[np.uint64]
    """Ascending."""
    ids: NDArray[np.int64]
    merges: NDArray[np.uint64]
    special: dict[str, int]
    width: int
    facts: Mapping[str, Scalar]

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's contents, or an abstention where they do not fit each other."""
        try:
            tokens, first = np.unique(sketch.arrays["tokens"].astype(np.uint64), return_index=True)
            special = json.loads(str(sketch.facts["special"]))
            side = cls(
                tokens=tokens,
                ids=sketch.arrays["ids"].astype(np.int64)[first],
                merges=sketch.arrays["merges"].astype(np.uint64).ravel(),
                special={str(text): int(number) for text, number in special.items()},
                width=int(sketch.facts["width"] or 0),
                facts=sketch.facts,
            )
        except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
            side = None
        if side is None or not len(side.tokens):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's parts do not fit each other")
        return side

    @property
    def template(self) -> str | None:
        """The chat template as far as it was kept, or None."""
        text = self.facts.get("template")
        return None if text is None else str(text)[:TEMPLATE_CHARACTERS]


def _hash(*parts: bytes | str) -> int:
    """64-bit BLAKE2b of the parts, each with its length in front so that (ab, c) is not (a, bc)."""
    raw = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]
    return int(_hashes([raw])[0])


def _hashes(many: Iterable[Sequence[bytes]]) -> NDArray[np.uint64]:
    """`_hash` of each of a great many, shape (n,)."""
    blake2b = hashlib.blake2b  # a look-up less for each of 300 000 tokens and merges
    digests = [
        blake2b(b"".join([len(part).to_bytes(8, "little") + part for part in parts]), digest_size=8).digest()
        for parts in many
    ]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _clean(text: str) -> str:
    """Text that can be written as UTF-8: half surrogate pairs become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _same(ours: _Side, theirs: _Side, fact: str) -> bool:
    """Whether a fact is the same on both sides."""
    return ours.facts.get(fact) == theirs.facts.get(fact)


def _merge_order(
    ours: NDArray[np.uint64], theirs: NDArray[np.uint64], sample: int, seed: int
) -> tuple[float | None, int]:
    """Kendall's τ of the ranks of shared merges (Kendall 1938, τ-b), and over how many; None below 10."""
    _, at, there = np.intersect1d(ours, theirs, return_indices=True)
    if len(at) > sample:
        drawn = np.random.Generator(np.random.PCG64(seed)).choice(len(at), sample, replace=False)
        at, there = at[drawn], there[drawn]
    if len(at) < 10:
        return None, len(at)
    if np.array_equal(at, there):  # the common case, without half a second of imports
        return 1.0, len(at)
    from scipy.stats import kendalltau

    return float(kendalltau(at, there).statistic), len(at)


def _template(ours: _Side, theirs: _Side) -> str:
    """How the chat templates compare, as text; they are never rendered."""
    if ours.template is None or theirs.template is None:
        both = ours.template is None and theirs.template is None
        return (
            "absent in both"
            if both
            else f"absent in the {'suspect' if ours.template is None else 'candidate'}"
        )
    if _same(ours, theirs, "template_hash"):
        return "identical"
    pieces = [re.split(r"\n|(?=\{[{%])", text)[:SEGMENTS] for text in (ours.template, theirs.template)]
    ratio = SequenceMatcher(None, pieces[0], pieces[1], autojunk=False).ratio()
    return f"{100 * ratio:.0f} % of pieces alike"


def _properties(ours: _Side, theirs: _Side, facts: dict[str, Scalar]) -> Table:
    """The two tokenizers side by side."""
    template = [
        None if side.template is None else f"{len(side.template):,} characters" for side in (ours, theirs)
    ]
    same_special = sum(1 for text, number in ours.special.items() if theirs.special.get(text) == number)
    rows: tuple[tuple[Scalar, ...], ...] = (
        ("kind", ours.facts.get("model"), theirs.facts.get("model"), _same(ours, theirs, "model")),
        ("tokens", len(ours.tokens), len(theirs.tokens), facts["shared_tokens"]),
        ("merges", len(ours.merges), len(theirs.merges), facts["merges_ranked"]),
        ("special tokens (shared: with the same id)", len(ours.special), len(theirs.special), same_special),
        ("chat template", *template, facts["chat_template"]),
    )
    return Table(
        title="Tokenizers side by side", columns=("property", "suspect", "candidate", "shared"), rows=rows
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [TokenizerDiff()]
