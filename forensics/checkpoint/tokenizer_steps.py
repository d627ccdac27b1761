"""Normaliser and pre-tokeniser of a tokenizer as canonical text: a list of steps, with the patterns they split by.

A pattern is text here, never compiled and never run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

STEPS, FLAGS, TEXT = 64, 32, 2_000
"""Steps that are read, fields of each, and characters of a text above which its digest stands for it."""
LARGEST = 2**53
"""Numbers above it are left out, as are those that are none."""
PARTS = ("normalizers", "pretokenizers")
"""Keys under which a sequence lists its parts."""
BYTE_LEVEL_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's, built into the step `ByteLevel` of the library tokenizers."""


Field = str | int | float | bool | None


def steps_of(parsed: object) -> str:
    """Canonical JSON of a list of steps from the part of tokenizer.json; `[]` for none.

    A sequence is its steps one after the other; a pattern is `pattern` (text) with `regex` (whether it is one); other
    fields are kept where they are flags, numbers or text.
    """
    found: list[dict[str, Field]] = []
    waiting = [parsed]
    while waiting and len(found) < STEPS:
        step = waiting.pop()
        if not isinstance(step, dict):
            continue
        parts = next((step[key] for key in PARTS if isinstance(step.get(key), list)), None)
        if parts is not None:
            waiting.extend(reversed(parts[:STEPS]))
        else:
            found.append(dict(_fields(step)))
    return canonical(*found)


def canonical(*steps: Mapping[str, Field]) -> str:
    """Steps as they are kept: a JSON list of objects with sorted keys."""
    return json.dumps(steps, sort_keys=True)


def patterns_of(steps: str) -> tuple[str, ...]:
    """The patterns by which canonical steps split, in order; GPT-2's own for a byte-level step that uses it."""
    found = []
    for step in json.loads(steps) if steps else ():
        if isinstance(step.get("pattern"), str):
            found.append(step["pattern"])
        elif step.get("type") == "ByteLevel" and step.get("use_regex", True) is True:
            found.append(BYTE_LEVEL_PATTERN)
    return tuple(found)


def split_by(pattern: str) -> str:
    """The steps of a file that has one pattern only, as converters write them."""
    step: dict[str, Field] = {
        "type": "Split",
        "pattern": bounded(pattern),
        "regex": True,
        "behavior": "Isolated",
        "invert": False,
    }
    return canonical(step)


def bounded(text: str) -> str:
    """Text of a step, or its digest where it is longer than any real one."""
    if len(text) <= TEXT:
        return text
    return "blake2b " + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _fields(step: dict[str, Any]) -> Iterator[tuple[str, Field]]:
    """The fields of a step that are kept."""
    for key, value in list(step.items())[:FLAGS]:
        match value:
            case {"Regex": str(text)}:
                yield from (("pattern", bounded(text)), ("regex", True))
            case {"String": str(text)}:
                yield from (("pattern", bounded(text)), ("regex", False))
            case str(text) if key == "precompiled_charsmap":
                yield "charsmap", charsmap(text)
            case str(text):
                yield bounded(key), bounded(text)
            case bool() | None:
                yield bounded(key), value
            case int() | float() if abs(value) <= LARGEST:
                yield bounded(key), value
            case _:
                pass


def charsmap(encoded: str) -> str:
    """Digest of SentencePiece's table of characters, given as Base64; of the text itself where it is none."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = encoded.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
