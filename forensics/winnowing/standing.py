"""The suspect's fingerprints by where else they stand: in the candidate's code, and in the public library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.winnowing.fragments import Code
from forensics.winnowing.library import RARE, SHARED, Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The different fingerprints of the suspect's code; all arrays have shape (n,)."""

    hashes: NDArray[np.uint64]
    """Ascending."""
    shared: NDArray[np.bool_]
    """Whether each stands in the candidate's code."""
    common: NDArray[np.bool_]
    """Whether it stands in more than `RARE` model folders of the library, or in files of it that serve all models."""
    ours: NDArray[np.bool_]
    """Whether it stands in the library's folder of the suspect's architecture."""
    theirs: NDArray[np.bool_]
    """The same for the candidate's architecture."""
    weights: NDArray[np.float64]
    """−log((1 + df) / (1 + N))."""
    families: tuple[str | None, str | None]
    """The library's folders of the architectures of suspect and candidate, where it has them."""

    @property
    def rare(self) -> NDArray[np.bool_]:
        """Neither common nor public as the code of either's architecture."""
        return ~self.common & ~self.ours & ~self.theirs

    def numbers(self, held: NDArray[np.bool_]) -> frozenset[int]:
        """The fingerprints for which `held` is true."""
        return frozenset(self.hashes[held].tolist())

    def figures(self) -> dict[str, str | int | float | None]:
        """Counts, and shares of the suspect's different fingerprints."""
        whole, met = float(self.weights.sum()), self.rare & self.shared
        return {
            "fingerprints": len(self.hashes),
            "rare_fingerprints": int(self.rare.sum()),
            "in_candidate_however_common": int(self.shared.sum()),
            "weighted_share": float(self.weights[met].sum()) / whole if whole else 0.0,
            "public_family_of_suspect": self.families[0],
            "public_family_of_candidate": self.families[1],
            "in_public_family_of_candidate": float(self.theirs.mean()) if len(self.theirs) else 0.0,
        }


def standing(ours: Code, theirs: Code, model_types: tuple[str, str], library: Library) -> Standing:
    """Looks up every different fingerprint of `ours`; `model_types` are those of suspect and candidate."""
    hashes = np.unique(ours.hashes)
    families = (library.family(model_types[0]), library.family(model_types[1]))
    frequencies = library.frequencies(hashes)
    mine, public = (library.stand_in(hashes, [family] if family else []) for family in families)
    return Standing(
        hashes=hashes,
        shared=np.isin(hashes, theirs.hashes),
        common=(frequencies > RARE) | library.stand_in(hashes, [SHARED]),
        ours=mine,
        theirs=public,
        weights=library.weights(frequencies),
        families=families,
    )
