"""MLP matrices of the towers beside a language model, found by their names, and read at one corner only.

Towers follow no layout of ours; what their makers agree on is how the two or three matrices of an MLP are called. A
layer is whatever stands in front of the last number of a name; layers are counted in order of name and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.apart import tower
from forensics.checkpoint.stored import Stored, WeightFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensics.checkpoint.plan import Planned

LEGS = {
    "fc1": "up_proj", "linear_fc1": "up_proj", "c_fc": "up_proj", "lin1": "up_proj", "up_proj": "up_proj",
    "w3": "up_proj", "gate_proj": "gate_proj", "w1": "gate_proj", "fc2": "down_proj", "linear_fc2": "down_proj",
    "c_proj": "down_proj", "lin2": "down_proj", "down_proj": "down_proj", "w2": "down_proj",
}  # fmt: skip
"""Canonical role of each name that an MLP's matrix goes by."""
NAME = re.compile(r"(.*\.[0-9]{1,4})\.((?:[a-z_]+[a-z0-9_]*\.)*)([a-z0-9_]+)\.weight", re.ASCII)
"""Up to the last number; modules behind it; the matrix."""
NUMBER = re.compile(r"[0-9]+")
SPEECH = ("audio", "speech", "apm", "talker", "token2wav")
LAYERS_LIMIT = 1_024
"""No tower has so many."""
BYTES_LIMIT = 1 << 25
"""Stored bytes of a corner; more than any tower's takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerMatrix:
    """One matrix of an MLP in a tower."""

    kind: str
    """`vision` or `speech`."""
    role: str
    """`gate_proj`, `up_proj` or `down_proj`."""
    layer: int
    """Counted within its kind."""
    stored: Stored


def tower_matrices(planned: Iterable[Planned]) -> tuple[TowerMatrix, ...]:
    """Every such matrix, in order of kind and layer; the first where two claim one place."""
    met: dict[tuple[str, str], dict[str, Stored]] = {}
    for stored in (one.stored for one in planned if not one.segments):
        module, name = tower(stored.name), NAME.fullmatch(stored.name[:300])
        if not module or name is None or name[3] not in LEGS or "att" in name[2] or len(stored.shape) != 2:
            continue
        kind = "speech" if any(word in module for word in SPEECH) else "vision"
        met.setdefault((kind, name[1]), {}).setdefault(LEGS[name[3]], stored)
    found: list[TowerMatrix] = []
    for kind in ("vision", "speech"):
        places = sorted((place for k, place in met if k == kind), key=_order)[:LAYERS_LIMIT]
        found += [
            TowerMatrix(kind=kind, role=role, layer=layer, stored=stored)
            for layer, place in enumerate(places)
            for role, stored in sorted(met[kind, place].items())
        ]
    return tuple(found)


def corner(files: list[WeightFile], stored: Stored, side: int) -> NDArray[np.float32] | None:
    """The first `side` rows and columns of a matrix; None where it cannot be decoded or only as a whole too large."""
    codec, (rows, columns) = stored.codec, stored.shape
    if codec is None or stored.patch is not None or codec.columns != columns or min(rows, columns) < 2:
        return None
    length = -(-min(rows, side) // codec.unit_rows) * codec.unit_bytes
    if not 0 < length <= min(BYTES_LIMIT, stored.entry.end - stored.entry.begin):
        return None
    raw = files[stored.file].read(stored.entry.begin, length)
    block = np.concatenate([np.array(part[:, :side], np.float32) for _, part in codec.decode(raw, 0)])
    return block[:side]


def _order(place: str) -> tuple[str, list[int]]:
    """Names of one kind together, numbers as numbers."""
    return NUMBER.sub("#", place), [int(number) for number in NUMBER.findall(place)]
