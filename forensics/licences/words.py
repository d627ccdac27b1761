"""Texts as words with their lines: what licences are compared by, whatever their punctuation, case and line breaks."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CHARACTERS = 400_000
"""Of a text, looked at; the longest licence known has a tenth of it."""
SHINGLE = 5
"""Words per shingle."""
WORD = re.compile(r"[a-z0-9]+(?:\.[0-9]+)*")
"""A word or a version number; what stands between two of them never matters."""
HASH_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a text in order, in small letters, and the line of each, counted from 1."""

    words: tuple[str, ...]
    lines: tuple[int, ...]

    @classmethod
    def of(cls, text: str, characters: int = CHARACTERS) -> Words:
        """The words of the first `characters` of a text.

        Compatibility forms count as what they stand for; characters without a shape (joiners, marks of direction) are
        dropped, so that they cannot split a word.
        """
        words: list[str] = []
        lines: list[int] = []
        for number, line in enumerate(text[:characters].split("\n"), 1):
            found = WORD.findall(_plain(line))
            words += found
            lines += [number] * len(found)
        return cls(words=tuple(words), lines=tuple(lines))

    def joined(self) -> str:
        """The words between single spaces, one at both ends, for looking up phrases."""
        return f" {' '.join(self.words)} "

    def line_of(self, phrase: str, joined: str) -> int:
        """Line on which a phrase begins in `joined()`; 0 where it does not stand there."""
        at = joined.find(f" {phrase} ")
        return self.lines[joined.count(" ", 0, at)] if at >= 0 else 0


def _plain(line: str) -> str:
    if line.isascii():
        return line.lower()
    folded = unicodedata.normalize("NFKC", line).lower()
    return "".join(c for c in folded if unicodedata.category(c) != "Cf")


def shingles(words: Sequence[str]) -> Iterator[int]:
    """A 32-bit hash of every run of `SHINGLE` words, in order; of a shorter text the one hash of the whole."""
    for at in range(max(1, len(words) - SHINGLE + 1) if words else 0):
        run = " ".join(words[at : at + SHINGLE])
        yield int.from_bytes(hashlib.blake2b(run.encode(), digest_size=HASH_BITS // 8).digest(), "big")
