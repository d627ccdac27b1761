"""A vocabulary as hashes: its byte strings in the order of their ids, and the order in which they were learned.

Merges are kept as the tokens that they make. Files that list no merges (tiktoken, tekken, SentencePiece) do not say
which of several cuts of a token was the learned one, but they all say in which order the tokens were learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPECIALS = 4_096
"""Special tokens that are kept, those with the smallest ids."""
CUT_MOST = 65_535
PARTS: dict[str, tuple[type[np.generic], type[np.generic]]] = {
    "tokens": (np.uint64, np.uint64), "ids": (np.int64, np.int32), "apart": (np.bool_, np.uint8),
    "learned": (np.int64, np.int32), "cuts": (np.int64, np.uint16), "special": (np.uint64, np.uint64),
    "special_ids": (np.int64, np.int32),
}  # fmt: skip
"""Fields of a vocabulary: type in memory and, narrower, in a sketch."""

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """n tokens, m of which were made by a merge, and k special tokens."""

    tokens: Hashes
    """Hash of each token's bytes in the order of ids, all different, shape (n,)."""
    ids: NDArray[np.int64]
    """Shape (n,), not negative."""
    apart: NDArray[np.bool_]
    """Whether a token is one of the special ones, shape (n,)."""
    learned: NDArray[np.int64]
    """Tokens that merges make, as places in `tokens`, in the order of their first merge, shape (m,)."""
    cuts: NDArray[np.int64]
    """Bytes of the left half of each one's merge, 0 where several merges make it, shape (m,)."""
    special: Hashes
    """Hash of each special token's text in the order of ids, shape (k,)."""
    special_ids: NDArray[np.int64]
    """Shape (k,)."""

    def __post_init__(self) -> None:
        """ValueError where the arrays do not fit each other: they may come from a stranger's sketch."""
        n, m = len(self.tokens), len(self.learned)
        whole = (
            n > 0
            and self.tokens.shape == self.ids.shape == self.apart.shape == (n,)
            and self.learned.shape == self.cuts.shape == (m,)
            and self.special.shape == self.special_ids.shape == (len(self.special),)
            and len(np.unique(self.tokens)) == n
            and len(np.unique(self.learned)) == m
            and (m == 0 or (self.learned.min() >= 0 and self.learned.max() < n))
            and min(self.ids.min(), self.special_ids.min(initial=0), self.cuts.min(initial=0)) >= 0
            and max(self.ids.max(), self.special_ids.max(initial=0)) < 2**31
        )
        if not whole:
            raise ValueError("the parts of the vocabulary do not fit each other")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As it is kept: 19 bytes a token at most, and 12 a special one."""
        return {name: getattr(self, name).astype(stored) for name, (_, stored) in PARTS.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Vocabulary:
        """From what was kept; KeyError or ValueError where that is none."""
        return cls(**{name: arrays[name].astype(whole) for name, (whole, _) in PARTS.items()})


def hashed(many: Iterable[Sequence[bytes]]) -> Hashes:
    """64-bit BLAKE2b of each of a great many lists of byte strings, shape (n,).

    Each part has its length in front, so that (ab, c) is not (a, bc).
    """
    blake2b = hashlib.blake2b  # a look-up less for each of hundreds of thousands
    digests = [
        blake2b(b"".join([len(part).to_bytes(8, "little") + part for part in parts]), digest_size=8).digest()
        for parts in many
    ]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _hashed_one_by_one(tokens: Iterable[bytes]) -> Hashes:
    """`hashed` of lists of one byte string each, for a great many short ones: a third faster."""
    blake2b, short = hashlib.blake2b, [length.to_bytes(8, "little") for length in range(256)]
    digests = [
        blake2b((short[n] if n < 256 else n.to_bytes(8, "little")) + token, digest_size=8).digest()
        for token in tokens
        for n in (len(token),)
    ]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def vocabulary_of(
    tokens: Mapping[bytes, int], merges: Iterable[tuple[bytes, bytes]], special: Mapping[str, int]
) -> Vocabulary:
    """The vocabulary of these tokens and their ids, merges by rank, and special tokens by text.

    Merges of tokens that the vocabulary does not know are left out.
    """
    by_id = sorted(tokens.items(), key=itemgetter(1))
    if len(set(tokens.values())) < len(by_id):
        by_id.sort(key=itemgetter(1, 0))  # ids that repeat leave no order to the file
    place = {token: at for at, (token, _) in enumerate(by_id)}
    cuts: dict[int, int] = {}
    for left, right in merges:
        at = place.get(left + right)
        if at is not None:
            cuts[at] = 0 if at in cuts else min(len(left), CUT_MOST)
    apart = np.zeros(len(by_id), np.bool_)
    apart[[place[token] for token in _spelt(tokens, special)]] = True
    listed = sorted(special.items(), key=itemgetter(1, 0))[:SPECIALS]
    return Vocabulary(
        tokens=_hashed_one_by_one(token for token, _ in by_id),
        ids=np.array([number for _, number in by_id], np.int64),
        apart=apart,
        learned=np.array(list(cuts), np.int64),
        cuts=np.array(list(cuts.values()), np.int64),
        special=hashed((text.encode("utf-8", "surrogatepass"),) for text, _ in listed),
        special_ids=np.array([number for _, number in listed], np.int64),
    )


def _spelt(tokens: Mapping[bytes, int], special: Mapping[str, int]) -> list[bytes]:
    """Tokens that are special ones under the same id, however the vocabulary spells their spaces."""
    found = []
    for text, number in special.items():
        raw = text.encode("utf-8", "surrogatepass")
        spellings = {raw, raw.replace("\u2581".encode(), b" ")}
        found += [token for token in spellings if tokens.get(token) == number]
    return found
