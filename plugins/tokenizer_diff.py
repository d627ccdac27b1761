"""Two tokenizers as data: which byte strings they know, under which ids, learned in which order.

Says whether a tokenizer was reused and nothing about weights: anyone may take a published tokenizer for a model
trained from scratch (methods §4.3 P6). Tokenizers are never run here, templates never rendered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
    alignment,
    hookimpl,
)

TEMPLATE_CHARACTERS = 20_000
"""Characters of a chat template in a sketch."""
BOUND_TO_A_FILE = ("SentencePiece", "GGUF")
"""Steps that only their own kind of file describes in this way."""


@dataclass(frozen=True, kw_only=True)
class TokenizerDiff(SketchProbe):
    """Vocabulary, ids, merges, special tokens, splitting and chat template of two tokenizers."""

    id: ClassVar[str] = "tokenizer-diff"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Tokenizer"
    measures: ClassVar[str] = (
        "Overlap of the two vocabularies as byte strings, agreement of ids and of the order in which tokens were "
        "learned, special tokens, normaliser, pre-tokeniser and chat template. Evidence of tokenizer reuse only: "
        "unrelated models often share a published tokenizer, and a descendant may be given a new one. Two "
        "vocabularies learned apart from text in the same languages already share a good part of their words."
    )
    needs: ClassVar[str] = "a tokenizer; tokenizer_config.json for the chat template"
    aspect: ClassVar[Aspect | None] = Aspect.RECIPE
    expected: ClassVar[str] = (
        "Tokenizer reused or extended: tokens learned in the same order from the first on. Learned apart: overlap "
        "between 0.1 and 0.9, ids agreeing by chance only, order merely correlated, no common beginning."
    )

    sample: int = 5_000
    """Shared tokens whose ranks are correlated, at most."""
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
        rng = np.random.Generator(np.random.PCG64(self.seed))
        found = alignment.likeness(ours.vocabulary, theirs.vocabulary, sample=self.sample, rng=rng)
        special, same_special = alignment.special_likeness(ours.vocabulary, theirs.vocabulary)
        kind = alignment.vocabulary_kind(found, same_special=same_special)
        facts: dict[str, Scalar] = {
            "width": min(ours.width, theirs.width),
            "kind": kind.value,
            **found.facts(),
            "special_tokens": special,
            "normalizer": _steps(ours, theirs, "normalizer"),
            "pre_tokenizer": _steps(ours, theirs, "pre_tokenizer"),
            "chat_template": _template(ours, theirs),
        }
        return Measurement(
            value=found.jaccard,
            quantity="Jaccard overlap of the vocabularies as byte strings, 0 to 1",
            summary=(
                f"Vocabularies: {kind.value}. They share {found.shared:,} of {found.ours:,} and {found.theirs:,} "
                f"tokens, {100 * found.same_ids / max(1, found.shared):.0f} % of these under the same id; the first "
                f"{found.prefix:,} stand in the same order. This is evidence of tokenizer reuse only, not "
                "about weights."
            ),
            facts=facts,
            tables=(_properties(ours, theirs, facts), _among_known(found)),
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
        """Arrays: the parts of `alignment.Vocabulary`; facts: what is shown, and hashes of texts."""
        known = self.known
        vocabulary = alignment.vocabulary_of(known.tokens, known.merges, known.special)
        template = known.chat_template
        return self.probe.sketch(
            vocabulary.arrays(),
            {
                "width": self.width,
                "model": _clean(known.model[:40]),
                "normalizer": _types(known.normalizer),
                "normalizer_hash": _hash(known.normalizer),
                "pre_tokenizer": _types(known.pre_tokenizer),
                "pre_tokenizer_hash": _hash(known.pre_tokenizer),
                "patterns_hash": _hash(*known.patterns) if known.patterns else None,
                "template": None if template is None else _clean(template[:TEMPLATE_CHARACTERS]),
                "template_hash": None if template is None else _hash(template),
            },
        )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    vocabulary: alignment.Vocabulary
    width: int
    facts: Mapping[str, Scalar]

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's contents, or an abstention where they do not fit each other."""
        try:
            vocabulary = alignment.Vocabulary.from_arrays(sketch.arrays)
            return cls(vocabulary=vocabulary, width=int(sketch.facts["width"] or 0), facts=sketch.facts)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's parts do not fit each other") from None

    def text(self, fact: str) -> str | None:
        """A fact as text, as far as it was kept, or None."""
        value = self.facts.get(fact)
        return None if value is None else str(value)[:TEMPLATE_CHARACTERS]


def _hash(*parts: str) -> str:
    """Hexadecimal hash of texts, each with its length in front."""
    (number,) = alignment.hashed([[part.encode("utf-8", "surrogatepass") for part in parts]])
    return f"{int(number):016x}"


def _clean(text: str) -> str:
    """Text that can be written as UTF-8: half surrogate pairs become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _types(steps: str) -> str | None:
    """The kinds of steps as they are shown, None where the file does not tell any."""
    if not steps:
        return None
    kinds = [str(step.get("type") or "?")[:40] for step in json.loads(steps)]
    return _clean(", ".join(kinds)[:200]) or "none"


def _absent(ours: object, theirs: object, word: str) -> str:
    """Which side has nothing, where at least one has not."""
    both = ours is None and theirs is None
    return f"{word} in " + ("both" if both else f"the {'suspect' if ours is None else 'candidate'}")


def _steps(ours: _Side, theirs: _Side, part: str) -> str:
    """How normalisers or pre-tokenisers compare as canonical text; patterns are never compiled."""
    kinds = ours.text(part), theirs.text(part)
    if None in kinds:
        return _absent(*kinds, "not told")
    if _same(ours, theirs, f"{part}_hash"):
        return "identical"
    if kinds[0] != kinds[1] and set(kinds) & set(BOUND_TO_A_FILE):
        return "told by another kind of file"
    patterns = part == "pre_tokenizer" and ours.facts.get("patterns_hash") is not None
    return "same patterns" if patterns and _same(ours, theirs, "patterns_hash") else "different"


def _same(ours: _Side, theirs: _Side, fact: str) -> bool:
    """Whether a fact is the same on both sides."""
    return ours.facts.get(fact) == theirs.facts.get(fact)


def _template(ours: _Side, theirs: _Side) -> str:
    """How the chat templates compare, as text; they are never rendered."""
    text, other = ours.text("template"), theirs.text("template")
    if text is None or other is None:
        return _absent(text, other, "absent")
    if _same(ours, theirs, "template_hash"):
        return "identical"
    return f"{100 * alignment.pieces_alike(text, other):.0f} % of pieces alike"


def _properties(ours: _Side, theirs: _Side, facts: dict[str, Scalar]) -> Table:
    """The two tokenizers side by side."""
    sides = (ours, theirs)
    texts = [side.text("template") for side in sides]
    template = [None if text is None else f"{len(text):,} characters" for text in texts]
    parts = ("tokens", "learned", "special")
    counts = {name: [len(getattr(side.vocabulary, name)) for side in sides] for name in parts}
    rows: tuple[tuple[Scalar, ...], ...] = (
        ("model", ours.text("model"), theirs.text("model"), _same(ours, theirs, "model")),
        ("tokens", *counts["tokens"], facts["shared_tokens"]),
        ("tokens made by merges", *counts["learned"], facts["common_merge_prefix"]),
        ("special tokens", *counts["special"], facts["special_tokens"]),
        ("normaliser", ours.text("normalizer"), theirs.text("normalizer"), facts["normalizer"]),
        ("pre-tokeniser", ours.text("pre_tokenizer"), theirs.text("pre_tokenizer"), facts["pre_tokenizer"]),
        ("chat template", *template, facts["chat_template"]),
    )
    return Table(
        title="Tokenizers side by side (of merges: how many first ones are the same)",
        columns=("property", "suspect", "candidate", "shared"),
        rows=rows,
    )


def _among_known(found: alignment.Likeness) -> Table:
    """The pair's figures beside what real vocabularies share: none of them means anything alone."""
    rows: list[tuple[Scalar, ...]] = []
    for name, known in alignment.VOCABULARY_RATES.items():
        value = getattr(found, known.figure)
        rows.append((name, value, *known.unrelated, *known.related))
    return Table(title=alignment.VOCABULARY_RATES_OF, columns=alignment.RATE_COLUMNS, rows=tuple(rows))


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [TokenizerDiff()]
