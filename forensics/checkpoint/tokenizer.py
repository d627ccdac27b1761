"""tokenizer.json as JSON: vocabulary on bytes, merges, special tokens, template. Nothing is run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeGuard

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.tokenizer_steps import steps_of
from forensics.errors import CheckpointError

SIZE_LIMIT = 64_000_000
VOCABULARY_LIMIT = 2_000_000
TEMPLATE_LIMIT = 200_000
SPECIAL_LIMIT = 100_000
BYTE_PIECE = re.compile("<0x[0-9A-Fa-f]{2}>")
"""A piece that stands for one byte."""


class _ByteTable(dict[int, int]):
    """For str.translate: byte-level BPE's stand-ins to the characters of the same number; others beyond Latin-1."""

    def __missing__(self, letter: int) -> int:
        return 0x10FFFF


@cache
def _byte_table() -> _ByteTable:
    """Byte-level BPE's printable stand-ins for bytes (GPT-2): printable Latin-1 as itself, the rest from U+0100."""
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = (b for b in range(256) if b not in set(keep))
    return _ByteTable({b: b for b in keep} | {0x100 + i: b for i, b in enumerate(rest)})


def token_bytes(token: str, *, byte_level: bool) -> bytes:
    """A token string as the bytes it stands for, so that vocabularies of different kinds can be compared."""
    if byte_level:
        try:
            return token.translate(_byte_table()).encode("latin-1")
        except UnicodeEncodeError:
            pass  # it holds a character that stands for no byte, so it is not spelt in bytes
    if len(token) == 6 and BYTE_PIECE.fullmatch(token):
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581", " ").encode("utf-8", "surrogatepass")


def token_hash(token: bytes) -> int:
    """64-bit hash that orders anchor tokens; BLAKE2b, so that the order is the same everywhere."""
    return int.from_bytes(hashlib.blake2b(token, digest_size=8).digest(), "little")


def _is_byte_level(parsed: Mapping[str, Any]) -> bool:
    parts = json.dumps([parsed.get("pre_tokenizer"), parsed.get("decoder")], default=str)
    return '"ByteLevel"' in parts


def is_id(value: object) -> TypeGuard[int]:
    """Whether a value of a file can be a token's id: an integer below 2³¹, and no flag."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def vocabulary_of(vocab: object, name: str, *, byte_level: bool) -> dict[bytes, int]:
    """Tokens on bytes to ids from a map of texts to ids, or a list of lists that begin with the text.

    Entries of odd shape or id are left out; CheckpointError (TOKENIZER) for anything else and for too many.
    """
    if isinstance(vocab, list):
        items = [(item[0], i) for i, item in enumerate(vocab) if isinstance(item, list) and item]
    elif isinstance(vocab, dict):
        items = list(vocab.items())
    else:
        raise CheckpointError(f"{name} has no vocabulary", code="TOKENIZER")
    if len(items) > VOCABULARY_LIMIT:
        raise CheckpointError(f"{name} lists {len(items)} tokens", code="TOKENIZER")
    return {
        token_bytes(token, byte_level=byte_level): index
        for token, index in items
        if isinstance(token, str) and is_id(index)
    }


def merges_of(merges: object, *, byte_level: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Merges on bytes from a list of `left right` or of pairs; what is neither is left out."""
    pairs: list[tuple[bytes, bytes]] = []
    for merge in merges if isinstance(merges, list) else []:
        match merge.split(" ") if isinstance(merge, str) else merge:
            case [str(left), str(right)]:
                pair = token_bytes(left, byte_level=byte_level), token_bytes(right, byte_level=byte_level)
                pairs.append(pair)
    return tuple(pairs)


def _special(parsed: Mapping[str, Any]) -> dict[str, int]:
    added = parsed.get("added_tokens")
    found = {}
    for token in added[:SPECIAL_LIMIT] if isinstance(added, list) else []:
        if isinstance(token, dict) and isinstance(token.get("content"), str) and is_id(token.get("id")):
            found[token["content"][:200]] = token["id"]
    return found


def template_of(tokenizer_config: bytes | None, chat_template: bytes | None) -> str | None:
    """The chat template as text, from its own file or else the tokenizer's settings; never rendered."""
    if chat_template is not None:
        return chat_template.decode("utf-8", "replace")[:TEMPLATE_LIMIT]
    if tokenizer_config is None:
        return None
    try:
        parsed = parse_json(tokenizer_config, "tokenizer_config.json")
    except CheckpointError:
        return None
    template = parsed.get("chat_template") if isinstance(parsed, dict) else None
    if template is None:
        return None
    return (template if isinstance(template, str) else json.dumps(template, sort_keys=True))[:TEMPLATE_LIMIT]


def tokenizer_facts(
    raw: bytes, tokenizer_config: bytes | None, chat_template: bytes | None
) -> TokenizerFacts:
    """Facts from the bytes of tokenizer.json and its neighbours; CheckpointError where it is not what it should be."""
    parsed = parse_json(raw, "tokenizer.json")
    model = parsed.get("model") if isinstance(parsed, dict) else None
    if not isinstance(model, dict):
        raise CheckpointError("tokenizer.json has no model", code="TOKENIZER")
    byte_level = _is_byte_level(parsed)
    kind = model.get("type")
    return TokenizerFacts(
        model=kind[:40] if isinstance(kind, str) else "unknown",
        tokens=vocabulary_of(model.get("vocab"), "tokenizer.json", byte_level=byte_level),
        merges=merges_of(model.get("merges"), byte_level=byte_level),
        special=_special(parsed),
        normalizer=steps_of(parsed.get("normalizer")),
        pre_tokenizer=steps_of(parsed.get("pre_tokenizer")),
        chat_template=template_of(tokenizer_config, chat_template),
        source="tokenizer.json",
    )
