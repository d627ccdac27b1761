"""Verbal equivalents of a likelihood ratio, read from a table with an id and a version.

Published tables of one name differ, so the number is printed first, the words second and the table itself in
the dossier. A likelihood ratio exactly on an edge takes the words of the lower band.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib import resources

_TOLERANCE = 1e-9
"""In log10 units: 10^1 written as 10 lies on the edge, whatever the last bit says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbalScale:
    """Bands in ascending order; the last has no upper edge."""

    id: str
    version: str
    source: str
    edges: tuple[float, ...]
    """Upper edges of all bands but the last, as likelihood ratios above 1."""
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Id and version, as they go into the record."""
        return f"{self.id}/{self.version}"

    def band(self, log10_lr: float) -> str:
        """The words for a log10 LR of either sign, as support for one proposition relative to the other."""
        size = abs(log10_lr)
        level = sum(size > math.log10(edge) + _TOLERANCE for edge in self.edges)
        if level == 0:
            return self.words[0]
        if log10_lr > 0:
            return f"{self.words[level]} for derivation relative to independent origin"
        return f"{self.words[level]} for independent origin relative to derivation"


def load_scale() -> VerbalScale:
    """The bundled scale."""
    text = resources.files("forensics.evidence").joinpath("reference/verbal-scale.json").read_text("utf-8")
    found = json.loads(text)
    bands = found["bands"]
    return VerbalScale(
        id=found["id"],
        version=found["version"],
        source=found["source"],
        edges=tuple(float(band["up_to"]) for band in bands[:-1]),
        words=tuple(band["words"] for band in bands),
    )
