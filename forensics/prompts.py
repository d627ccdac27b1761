"""Probe prompts: short texts put to a model, and the places in them where its hidden states are read.

Places are fixed by the text alone, never by a tokenizer, so that hidden states of models with different
tokenizers can be laid side by side.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from forensics.errors import ForensicsError
from forensics.prompt_set import TEXTS, VERSION

TEXT_LIMIT = 1_000_000
"""Characters of a whole set."""
COUNT_LIMIT = 256
"""Prompts of a set."""
PROMPT_LIMIT = 4_000
"""Characters of one prompt."""
SKIPPED_WORDS = 2
"""The first words of a prompt are not read: models park attention there, whatever the words are."""

WORD = re.compile(r"[^\s、。，！？；：]+[、。，！？；：]*")
"""What a place ends: a run without blanks, in scripts that write none a clause with its full-width mark."""

RANDOM_TEXTS, RANDOM_STRINGS = 3, 24
ALPHABETS = (range(0x21, 0x7F), range(0x21, 0x7F), range(0xC0, 0xD7), range(0x3B1, 0x3CA), range(0x430, 0x450),
             range(0x5D0, 0x5EB), range(0x3042, 0x3094), range(0x4E00, 0x9FA6))  # fmt: skip
"""Printable ASCII twice, then letters of Latin, Greek, Cyrillic, Hebrew, Hiragana and Han."""

NONSENSE_TEXTS, NONSENSE_WORDS = 24, 35


def random_strings() -> tuple[str, ...]:
    """Texts of strings of 3 to 8 characters from all `ALPHABETS`, drawn from SHA-256: tokens in no usual order."""
    texts = []
    for text in range(RANDOM_TEXTS):
        strings = []
        for string in range(RANDOM_STRINGS):
            drawn = hashlib.sha256(f"random string/{text}/{string}".encode()).digest()
            picked = (int.from_bytes(drawn[i : i + 3], "big") for i in range(1, 3 * (3 + drawn[0] % 6), 3))
            alphabets = ((ALPHABETS[one % len(ALPHABETS)], one // len(ALPHABETS)) for one in picked)
            strings.append("".join(chr(letters[at % len(letters)]) for letters, at in alphabets))
        texts.append(" ".join(strings))
    return tuple(texts)


DEFAULT_PROMPTS: tuple[str, ...] = (*(text for kind in TEXTS.values() for text in kind), *random_strings())
"""The shipped set: ten languages and more, code, arithmetic, rare strings, random strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a hidden state is read: the last character of a word."""

    prompt: int
    """Index of the prompt."""
    offset: int
    """Character offset of the word's last character."""
    order: int
    """Index of the word within its prompt."""
    word: str
    """The word itself, as written."""


def prompts_from(text: str) -> tuple[str, ...]:
    """The prompts in `text`: a JSON list of strings, or one prompt per line; the default set where it is blank.

    Raises ForensicsError for a set that is too large, holds something other than text, or is repeated.
    """
    if not text.strip():
        return DEFAULT_PROMPTS
    if len(text) > TEXT_LIMIT:
        raise ForensicsError(f"the prompts hold {len(text)} characters", f"use at most {TEXT_LIMIT}")
    found = _listed(text) if text.lstrip().startswith("[") else _lines(text)
    prompts = tuple(prompt for prompt in found if prompt.strip())
    if not prompts:
        raise ForensicsError(
            "there is no prompt in the prompts", "write one per line, or a JSON list of strings"
        )
    if len(prompts) > COUNT_LIMIT:
        raise ForensicsError(f"there are {len(prompts)} prompts", f"use at most {COUNT_LIMIT}")
    if len(set(prompts)) < len(prompts):
        raise ForensicsError("a prompt stands twice", "repeated prompts add nothing; remove one of them")
    for number, prompt in enumerate(prompts, 1):
        _check(number, prompt)
    return prompts


def nonsense(seed: int) -> tuple[str, ...]:
    """Texts of random words of 2 to 5 letters: no model knows more about them than another.

    Drawn from SHA-256 of seed and position, so that they are the same under every version of every library.
    """
    texts = []
    for text in range(NONSENSE_TEXTS):
        words = []
        for word in range(NONSENSE_WORDS):
            drawn = hashlib.sha256(f"{seed}/{text}/{word}".encode()).digest()
            words.append("".join(chr(97 + byte % 26) for byte in drawn[1 : 3 + drawn[0] % 4]))
        texts.append(" ".join(words))
    return tuple(texts)


def digest(prompts: tuple[str, ...]) -> str:
    """SHA-256 of the prompts as a canonical JSON list, in hex."""
    return hashlib.sha256(json.dumps(prompts).encode("ascii")).hexdigest()


def extended(text: str) -> str:
    """The default set followed by the prompts in `text`, as a JSON list; errors as in `prompts_from`."""
    whole = json.dumps([*DEFAULT_PROMPTS, *(prompts_from(text) if text.strip() else ())])
    prompts_from(whole)
    return whole


def named(sha256: str) -> str:
    """Which set a digest stands for: the default one with its version, or one that was given for the case."""
    return f"default, version {VERSION}" if sha256 == digest(DEFAULT_PROMPTS) else "given for this case"


def places(prompts: tuple[str, ...], count: int) -> tuple[Place, ...]:
    """About `count` word ends, spread evenly over the prompts and within each, in reading order.

    Never more than `count`; a short prompt gives what it has.
    """
    chosen: list[Place] = []
    for index, prompt in enumerate(prompts):
        words = [
            Place(prompt=index, offset=match.end() - 1, order=order, word=match.group())
            for order, match in enumerate(WORD.finditer(prompt))
        ][SKIPPED_WORDS:]
        share = min(len(words), (count - len(chosen)) // (len(prompts) - index))
        chosen += [words[(2 * i + 1) * len(words) // (2 * share)] for i in range(share)]
    return tuple(chosen)


def word_orders(prompts: tuple[str, ...], keys: Sequence[tuple[int, int]]) -> list[int]:
    """How many words precede each (text, offset) in its text, as in `Place.order`; ValueError for one beyond them."""
    orders = []
    for text, offset in keys:
        if not (0 <= text < len(prompts) and 0 <= offset < len(prompts[text])):
            raise ValueError(f"no character {offset} in text {text}")
        orders.append(sum(match.end() <= offset for match in WORD.finditer(prompts[text])))
    return orders


def _listed(text: str) -> list[str]:
    """A JSON list of strings."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        raise ForensicsError(
            "the prompts begin like a JSON list but are not one",
            "write a JSON list of strings, or one prompt per line with the first not starting with [",
        ) from None
    if not isinstance(listed, list) or not all(isinstance(prompt, str) for prompt in listed):
        raise ForensicsError(
            "the list of prompts holds something other than text", "write a JSON list of strings"
        )
    return listed


def _lines(text: str) -> list[str]:
    """One prompt per line, blank lines left out."""
    return [line.strip() for line in text.splitlines()]


def _check(number: int, prompt: str) -> None:
    """Refuses a prompt that is overlong or is no text that can be encoded."""
    if len(prompt) > PROMPT_LIMIT:
        raise ForensicsError(f"prompt {number} has {len(prompt)} characters", f"use at most {PROMPT_LIMIT}")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise ForensicsError(
            f"prompt {number} holds half a surrogate pair", "save the file as UTF-8"
        ) from None
