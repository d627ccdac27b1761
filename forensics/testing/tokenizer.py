"""A small true tokenizer.json, the same for every tiny checkpoint."""

from __future__ import annotations

from typing import Any

_TWO_LETTERS = (
    "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic "
    "ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us"
)
PAIRS = _TWO_LETTERS.split()
"""Merges, in order."""
VOCABULARY = 256 + len(PAIRS) + 1
"""Bytes, merges and one special token."""


def tokenizer_json() -> dict[str, Any]:
    """A byte-level BPE tokenizer of 256 bytes, a few two-letter merges and one special token."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    letters = {b: chr(b) for b in printable} | {b: chr(256 + n) for n, b in enumerate(others)}
    tokens = [letters[b] for b in range(256)] + PAIRS
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    end = {"id": VOCABULARY - 1, "content": "<|endoftext|>", "special": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    model = {
        "type": "BPE",
        "vocab": {t: i for i, t in enumerate(tokens)},
        "merges": [" ".join(p) for p in PAIRS],
    }
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [end | flags], "normalizer": None,
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": model,
    }  # fmt: skip
