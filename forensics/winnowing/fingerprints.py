"""Winnowing: a few hashes of a text such that texts with a common stretch have a hash in common.

Source: Schleimer, Wilkerson and Aiken, Winnowing: Local Algorithms for Document Fingerprinting, SIGMOD 2003. Of every
`WINDOW` consecutive hashes of `GRAM` symbols the least is kept, the rightmost of equal ones. Guarantee: any common
stretch of t = WINDOW + GRAM − 1 symbols or more has at least one hash in common; none shorter than GRAM has one. Of
text with independent hashes a share of 2 / (WINDOW + 1) is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from forensics.winnowing.symbols import symbols

GRAM, WINDOW = 25, 20
"""Symbols of one hash, and hashes of which one is kept: a common stretch of 44 symbols (about four lines) is found."""
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no symbol's place is lost modulo 2^64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """The kept hashes of one file in order, and where they stand."""

    hashes: NDArray[np.uint64]
    """Shape (n,)."""
    places: NDArray[np.int32]
    """Number of the first symbol of each, shape (n,), ascending."""
    first: NDArray[np.int32]
    """Line of the first symbol, shape (n,)."""
    last: NDArray[np.int32]
    """Line of the last symbol, shape (n,)."""


def fingerprints(text: str) -> Fingerprints:
    """The fingerprints of a Python file; none where it has fewer than `GRAM` symbols."""
    found = symbols(text)
    lines = np.array([line for _, line in found], np.int32)
    hashes = grams([symbol for symbol, _ in found])
    places = winnowed(hashes)
    return Fingerprints(
        hashes=hashes[places],
        places=places.astype(np.int32),
        first=lines[places],
        last=lines[places + GRAM - 1] if len(places) else lines[:0],
    )


def grams(row: Sequence[str]) -> NDArray[np.uint64]:
    """A 64-bit hash of every `GRAM` consecutive symbols, shape (len(row) − GRAM + 1,) or (0,).

    A polynomial in the symbols' own hashes modulo 2^64, then mixed (the finaliser of SplitMix64), so that the least
    hash is no matter of the symbol that comes last.
    """
    count = len(row) - GRAM + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    codes = np.array([_code(symbol) for symbol in row], np.uint64)
    mixed = np.zeros(count, np.uint64)
    for offset in range(GRAM):
        mixed = mixed * FACTOR + codes[offset : offset + count]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def winnowed(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where the kept hashes stand, ascending: of every window the least, the rightmost of equal ones.

    Fewer hashes than a window are one window.
    """
    if not len(hashes):
        return np.zeros(0, np.intp)
    width = min(WINDOW, len(hashes))
    windows = np.lib.stride_tricks.sliding_window_view(hashes, width)
    least = width - 1 - windows[:, ::-1].argmin(axis=1)
    return np.unique(least + np.arange(len(windows)))


@cache
def _code(symbol: str) -> int:
    """A symbol's own 64 bits; there are fewer than 200 symbols, whatever the text."""
    return int.from_bytes(hashlib.blake2b(symbol.encode(), digest_size=8).digest(), "little")
