"""The background: in how many parts of the public library (transformers) a fingerprint of code stands, and in which.

Everybody's code is copied from there, so what stands in many of its folders says nothing. A table of hashes comes with
the package (`library.npz`, written by `python -m benchmarks.code_library`), for making it takes half a minute, and so
that a record does not depend on the transformers installed. It holds no code.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forensics.winnowing.fingerprints import GRAM, WINDOW

HOME = Path(__file__).with_name("library.npz")
SHARED = "library"
"""The document of everything that belongs to no model's folder."""
RARE = 2
"""A fingerprint in at most so many of the library's folders is rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Fingerprints of the library by document: one document per model folder, one for all the rest.

    Only the upper 32 bits of a hash are kept: of the fingerprints that the library lacks, one in 16,000 is thought
    to stand in it, which makes it less rare and never adds a match.
    """

    versions: tuple[str, ...]
    """Of transformers, from old to new."""
    documents: tuple[str, ...]
    hashes: NDArray[np.uint32]
    """Upper halves, ascending, shape (n,)."""
    sets: NDArray[np.uint32]
    """Which set of documents each stands in, shape (n,)."""
    owners: NDArray[np.uint16]
    """The sets' documents, one set behind the other."""
    starts: NDArray[np.uint32]
    """Where each set begins in `owners`, and the end; shape (sets + 1,)."""

    def frequencies(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """In how many documents each hash stands, shape as `hashes`."""
        sizes = np.diff(self.starts.astype(np.int64))
        known, sets = self._looked_up(hashes)
        return np.where(known, sizes[sets], 0)

    def stand_in(self, hashes: NDArray[np.uint64], documents: Collection[str]) -> NDArray[np.bool_]:
        """Whether each hash stands in one of `documents`, shape as `hashes`."""
        wanted = [index for index, name in enumerate(self.documents) if name in documents]
        holds = np.logical_or.reduceat(np.isin(self.owners, wanted), self.starts[:-1].astype(np.intp))
        known, sets = self._looked_up(hashes)
        return known & holds[sets]

    def weights(self, frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
        """−log((1 + df) / (1 + N)) of each document frequency df among N documents: 0 for what stands everywhere."""
        return -np.log((1.0 + frequencies) / (1.0 + len(self.documents)))

    def family(self, model_type: str) -> str | None:
        """The document of a `model_type`: its folder, or that of the longest beginning of its name."""
        parts = re.split(r"[_-]", model_type[:80].lower())
        names = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((name for name in names if name in self.documents and name != SHARED), None)

    def _looked_up(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """(whether each is known, its set or 0)."""
        upper = (hashes >> np.uint64(32)).astype(np.uint32)
        at = np.minimum(np.searchsorted(self.hashes, upper), len(self.hashes) - 1)
        known = self.hashes[at] == upper
        return known, np.where(known, self.sets[at], 0).astype(np.intp)


def library_of(found: Mapping[int, Collection[str]], versions: Collection[str]) -> Library:
    """The table of hashes (64 bits) with the documents in which each stands."""
    documents = sorted({name for names in found.values() for name in names})
    number = {name: index for index, name in enumerate(documents)}
    together: dict[int, set[int]] = {}
    for whole, names in found.items():
        together.setdefault(whole >> 32, set()).update(number[name] for name in names)
    hashes = sorted(together)
    each = [tuple(sorted(together[upper])) for upper in hashes]
    kinds = {kind: index for index, (kind, _) in enumerate(Counter(each).most_common())}
    return Library(
        versions=tuple(versions),
        documents=tuple(documents),
        hashes=np.array(hashes, np.uint32),
        sets=np.array([kinds[kind] for kind in each], np.uint32),
        owners=np.array([index for kind in kinds for index in kind], np.uint16),
        starts=np.cumsum([0, *(len(kind) for kind in kinds)]).astype(np.uint32),
    )


def written(library: Library, path: Path) -> None:
    """Writes the table: hashes as differences, and the bytes of numbers apart, which compresses better."""
    about = {
        "documents": library.documents,
        "versions": library.versions,
        "gram": GRAM,
        "window": WINDOW,
    }
    np.savez_compressed(
        path,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        steps=_apart(np.diff(library.hashes, prepend=np.uint32(0))),
        sets=_apart(library.sets),
        owners=library.owners,
        starts=library.starts,
    )


def _apart(numbers: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The four bytes of each number, low ones first, shape (4, n)."""
    return np.ascontiguousarray(numbers.astype("<u4").view(np.uint8).reshape(-1, 4).T)


def _together(apart: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The numbers whose bytes these are, shape (n,)."""
    return np.ascontiguousarray(apart.T).view("<u4").ravel().astype(np.uint32)


@cache
def bundled() -> Library:
    """The table that comes with the package."""
    with np.load(HOME, allow_pickle=False) as stored:
        about = json.loads(stored["about"].tobytes())
        assert (about["gram"], about["window"]) == (GRAM, WINDOW), "write library.npz anew"
        return Library(
            versions=tuple(about["versions"]),
            documents=tuple(about["documents"]),
            hashes=np.cumsum(_together(stored["steps"]), dtype=np.uint32),
            sets=_together(stored["sets"]),
            owners=stored["owners"],
            starts=stored["starts"],
        )
