"""GPT-2's pair of files, vocab.json and merges.txt, as data."""

from __future__ import annotations

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.tokenizer import VOCABULARY_LIMIT, merges_of, vocabulary_of
from forensics.errors import CheckpointError

SPACE = "Ġ"
"""Byte-level BPE's stand-in for a space: every vocabulary of that kind has it, for it has every byte."""


def vocab_facts(vocab: bytes, merges: bytes | None, name: str) -> TokenizerFacts:
    """Facts from the bytes of vocab.json and, where it is there, merges.txt; CheckpointError where it is none.

    Whether tokens are spelt in GPT-2's letters for bytes is seen from the vocabulary, for no file says so.
    """
    parsed = parse_json(vocab, name)
    if not isinstance(parsed, dict) or not parsed:
        raise CheckpointError(f"{name} is no vocabulary", code="TOKENIZER")
    byte_level = SPACE in parsed
    tokens = vocabulary_of(parsed, name, byte_level=byte_level)
    if not tokens:
        raise CheckpointError(f"{name} gives no token an id", code="TOKENIZER")
    return TokenizerFacts(
        model="unknown" if merges is None else "BPE",
        tokens=tokens,
        merges=() if merges is None else merges_of(_lines(merges), byte_level=byte_level),
        source=name,
    )


def _lines(raw: bytes) -> list[str]:
    """The lines of merges.txt behind its first one, where that is a comment (`#version: 0.2`)."""
    lines = raw.decode("utf-8", "replace").split("\n", VOCABULARY_LIMIT)[:VOCABULARY_LIMIT]
    if lines[0].startswith("#version"):
        del lines[0]
    return [line.removesuffix("\r") for line in lines]
