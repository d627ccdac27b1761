"""Merges of a vocabulary that lists none: every way to make a token out of two others, in the order of the tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import AnyStr

SPLITS_LIMIT = 8_000_000
"""Places at which tokens are cut in two, all together; a vocabulary of 262 000 tokens has 2 000 000."""
MERGES_LIMIT = 1_000_000
LONGEST = 512
"""Characters of a token that is cut in two."""


def derived_merges(ids: Mapping[AnyStr, int], ordered: Iterable[AnyStr]) -> list[tuple[AnyStr, AnyStr]]:
    """(left, right) for every cut of a token into two others; empty where that would be too many.

    `ordered` are the tokens in the order in which they were learned; the cuts of one token stand in the order of their
    parts' ids. transformers' converters make the merges of tokenizer.json by this rule, for neither SentencePiece's BPE
    nor tiktoken says which of several cuts was the learned one (newer ones order the cuts of one piece otherwise).
    """
    found: list[tuple[AnyStr, AnyStr]] = []
    left = SPLITS_LIMIT
    for token in ordered:
        if len(token) > LONGEST:
            continue
        left -= len(token)
        cuts = [
            (token[:place], token[place:])
            for place in range(1, len(token))
            if token[:place] in ids and token[place:] in ids
        ]
        if len(cuts) > 1:
            cuts.sort(key=lambda cut: (ids[cut[0]], ids[cut[1]]))
        found += cuts
        if left < 0 or len(found) > MERGES_LIMIT:
            return []
    return found
