"""What real vocabularies share: the population beside which the likeness of two tokenizers is read.

Measured once by `python -m benchmarks.tokenizers --real FOLDER` (docs/methods.md, the block `tokenizers`, whose numbers
these are) over eight published tokenizers: GPT-2, p50k, cl100k and o200k, two SentencePiece models and two tekken files
of Mistral's. Two of one family are related: one extends, renumbers or is the other.
"""

from __future__ import annotations

from dataclasses import dataclass

VOCABULARY_RATES_OF = (
    "Beside real vocabularies: 25 pairs of different families (unrelated) and 3 pairs of one family (related), of 8 "
    "published tokenizers"
)
RATE_COLUMNS = (
    "figure",
    "this pair",
    "unrelated, least",
    "unrelated, most",
    "related, least",
    "related, most",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRange:
    """One figure of `Likeness` with the least and the most that pairs of known origin showed."""

    figure: str
    """Name of the attribute."""
    unrelated: tuple[float, float]
    related: tuple[float, float]


VOCABULARY_RATES = {
    "overlap (Jaccard)": KnownRange(figure="jaccard", unrelated=(0.15, 0.44), related=(1.0, 1.0)),
    "shared, of the smaller": KnownRange(figure="of_the_smaller", unrelated=(0.56, 0.94), related=(1.0, 1.0)),
    "same ids, of the shared": KnownRange(figure="id_agreement", unrelated=(0.0, 0.0), related=(0.0, 1.0)),
    "order of ranks (Kendall's τ)": KnownRange(figure="tau", unrelated=(0.4, 0.6), related=(1.0, 1.0)),
    "first merges that are the same": KnownRange(
        figure="prefix", unrelated=(0, 3), related=(28_446, 129_816)
    ),
    "common beginning, tokens": KnownRange(figure="in_place", unrelated=(0, 25), related=(28_446, 129_816)),
}
"""By what a reader calls it."""
