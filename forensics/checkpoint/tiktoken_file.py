"""Vocabularies that are lists of byte strings by rank: tiktoken's lines of Base64, Mistral's tekken.json."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.merges import derived_merges
from forensics.checkpoint.tokenizer import SPECIAL_LIMIT, VOCABULARY_LIMIT, is_id, token_bytes
from forensics.checkpoint.tokenizer_steps import split_by
from forensics.errors import CheckpointError

RANK_LINE = re.compile(rb"[A-Za-z0-9+/]{1,1000}={0,2} [0-9]{1,10}\r?(\n|\Z)")


def is_tiktoken(raw: bytes) -> bool:
    """Whether a file of unknown kind begins with a line of tiktoken's; a SentencePiece model never does."""
    return RANK_LINE.match(raw) is not None


def tiktoken_facts(raw: bytes, name: str) -> TokenizerFacts:
    """Facts from lines of `<Base64 of the token> <rank>`; ids are ranks. CheckpointError (TOKENIZER) at anything else.

    A token or a rank that is there twice is refused, as by tiktoken itself.
    """
    if raw.count(b"\n") > VOCABULARY_LIMIT:
        raise CheckpointError(f"{name} has {raw.count(10)} lines", code="TOKENIZER")
    tokens: dict[bytes, int] = {}
    lines = 0
    for line in raw.split(b"\n"):
        match line.split():
            case []:
                continue
            case [token, rank] if rank.isdigit() and len(rank) <= 10 and is_id(int(rank)):
                tokens[_decoded(token, name)] = int(rank)
                lines += 1
            case _:
                raise CheckpointError(f"{name} has a line that is no token and rank", code="TOKENIZER")
    if not lines or lines != len(tokens) or lines != len(set(tokens.values())):
        raise CheckpointError(f"{name} lists no tokens, or one of them or a rank twice", code="TOKENIZER")
    return TokenizerFacts(model="BPE", tokens=tokens, merges=_merges(tokens), source=name)


def _decoded(token: str | bytes, name: str) -> bytes:
    """Strict Base64; CheckpointError (TOKENIZER) for anything else."""
    try:
        return base64.b64decode(token, validate=True)
    except ValueError:  # binascii.Error is one; non-ASCII text is another
        raise CheckpointError(f"{name} has a token that is no Base64", code="TOKENIZER") from None


def _merges(tokens: Mapping[bytes, int]) -> tuple[tuple[bytes, bytes], ...]:
    """Merges in the order of ranks."""
    return tuple(derived_merges(tokens, sorted(tokens, key=tokens.__getitem__)))


def tekken_facts(raw: bytes, name: str) -> TokenizerFacts:
    """Facts from a tekken.json: special tokens come first, then byte strings by rank as far as the model uses them.

    Places that no special token fills are `<SPECIAL_n>`, as mistral-common names them. CheckpointError (TOKENIZER, or
    of the JSON) where it is none.
    """
    parsed = parse_json(raw, name)
    config = parsed.get("config") if isinstance(parsed, dict) else None
    listed = parsed.get("vocab") if isinstance(parsed, dict) else None
    if not isinstance(config, dict) or not isinstance(listed, list) or not listed:
        raise CheckpointError(f"{name} has no config or no vocabulary", code="TOKENIZER")
    named = _special(parsed.get("special_tokens"), name)
    count, size = config.get("default_num_special_tokens", len(named)), config.get("default_vocab_size")
    if not is_id(count) or not len(named) <= count <= SPECIAL_LIMIT or len(listed) > VOCABULARY_LIMIT:
        raise CheckpointError(f"{name} has a count of tokens that cannot be", code="TOKENIZER")
    special = {f"<SPECIAL_{i}>": i for i in range(len(named), count)} | named
    used = listed[: max(0, size - count)] if is_id(size) else listed
    ranks: dict[bytes, int] = {}
    for rank, item in enumerate(used):
        ranks[_entry(item, rank, name)] = rank
    if len(ranks) != len(used):
        raise CheckpointError(f"{name} lists a token twice", code="TOKENIZER")
    first = {token: rank + count for token, rank in ranks.items()}
    pattern = config.get("pattern")
    return TokenizerFacts(
        model="BPE",
        tokens=first | {token_bytes(text, byte_level=True): i for text, i in special.items()},
        merges=_merges(ranks),
        special={text[:200]: i for text, i in special.items()},
        pre_tokenizer=split_by(pattern) if isinstance(pattern, str) else "",
        source=name,
    )


def _special(listed: object, name: str) -> dict[str, int]:
    """Special tokens to ids, which are 0, 1, 2, …; none in old files, which leave them to the program."""
    found: dict[str, int] = {}
    for item in listed[: SPECIAL_LIMIT + 1] if isinstance(listed, list) else []:
        match item:
            case {"token_str": str(text), "rank": rank} if is_id(rank):
                found[text] = rank
            case _:
                raise CheckpointError(f"{name} has a special token that is none", code="TOKENIZER")
    if sorted(found.values()) != list(range(len(found))):
        raise CheckpointError(f"{name} has special tokens out of order", code="TOKENIZER")
    return found


def _entry(item: Any, rank: int, name: str) -> bytes:
    """The bytes of an entry that stands at its own rank."""
    match item:
        case {"token_bytes": str(token), **rest} if rest.get("rank", rank) == rank:
            return _decoded(token, name)
    raise CheckpointError(f"{name} has an entry that is no token at its rank", code="TOKENIZER")
