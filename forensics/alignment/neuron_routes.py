"""The ways in which neurons can be recognised, from the calibrated one to those asked only where it finds nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.neuron_pairs import Matching, match_depths, match_depths_by_angles
from forensics.alignment.neuron_sample import SampledUnit, Unit

Units = Mapping[Unit, SampledUnit]
SHARED_LEAST = 64
"""Fewer shared anchors than this say nothing."""
GONE = 0.2
"""Below this agreement a layer's neurons are not found again (measured means: shared initialisation 0.01 to 0.05,
unrelated at most 0.04, continued for as long as pre-training 0.75 to 1.00)."""
OTHER_LEGS = {"up and down": (1, 2), "gate and down": (0, 2)}
"""Of a gated MLP: what is left where the gate, or where up, was trained anew."""


def routes(
    mine: Units,
    theirs: Units,
    keep: tuple[NDArray[np.intp], NDArray[np.intp]],
    least: int,
    *,
    glu: bool,
    depth: int | None,
) -> dict[str, Matching]:
    """By shared tokens; where these are too few or find nothing, by angles too, and by other legs where down is known.

    Units of fewer than `least` neurons take no part; `depth` is that of the other model where the two differ. Only
    routes by which some layer could be compared are told.
    """
    found: dict[str, Matching] = {}
    by_tokens = len(keep[0]) >= SHARED_LEAST
    if by_tokens:
        found["tokens"] = match_depths(mine, theirs, keep, least, depth=depth)
    if not by_tokens or found["tokens"].value < GONE:
        if by_tokens and glu:
            a, b = ({at: unit for at, unit in side.items() if len(unit.third)} for side in (mine, theirs))
            for name, legs in OTHER_LEGS.items() if a and b else ():
                found[name] = match_depths(a, b, keep, least, legs=legs, depth=depth)
        found["angles"] = match_depths_by_angles(mine, theirs, least, glu=glu, depth=depth)
    return {name: matching for name, matching in found.items() if matching.by_layer}
