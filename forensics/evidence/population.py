"""A reference population with its rows: which pairs were measured, what they are, and what was read.

Rows are kept in the package, because a case in which a probe abstains needs a fuser without it, and because
the verdict asks what unrelated pairs of comparable width ever reached.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import PluginError
from forensics.evidence.fitting import Rows
from forensics.evidence.statistics import Array, Truth
from forensics.evidence.transforms import Transform

COLUMNS = (
    "suspect", "candidate", "label", "stratum", "cell", "families", "width", "layers", "precision", "readings",
    "layer_peaks",
)  # fmt: skip
"""Of a row in a reference file; readings and layer peaks are listed in the order of the table's probes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceTable:
    """The rows of one population, as arrays over n pairs and p probes; compared by identity, so hashable."""

    population: str
    probes: tuple[str, ...]
    transforms: tuple[Transform, ...]
    readings: Array
    """Shape (n, p), untransformed; NaN where the probe abstained."""
    layer_peaks: Array
    """Largest reading of a single layer, shape (n, p); NaN where there is none or the pair is derived."""
    derived: Truth
    families: NDArray[np.intp]
    """Shape (n, 2)."""
    cells: NDArray[np.intp]
    widths: Array
    """Of the narrower model, shape (n,)."""
    depths: Array
    """Layers of the shallower model, shape (n,)."""
    precisions: Array
    """Significant bits of the coarser model's stored weights, shape (n,)."""
    strata: tuple[str, ...]
    seed: int
    draws: int
    anchors: tuple[str, ...] = ()
    """At least one of these must have spoken before anything is fused; empty for no such condition."""
    beside: frozenset[str] = frozenset()
    """Probes with columns that are never fused: they read what a fused one reads, or what is reused on its own.

    Their ceilings let them speak for a tensor group, and each has a weight of its own, shown beside.
    """
    votes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Probes that read the same thing share one vote in the fusion: by what they read, their ids.

    Whichever of them sees most speaks, in the reference as in a case. A probe in no vote has its own.
    """
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version of each probe with which the rows were read; another version is not weighed by them."""

    def ballot(self, subset: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The probes of a subset by vote, in the order in which votes first occur in it."""
        shared = {probe: members for members in self.votes.values() for probe in members}
        votes: dict[tuple[str, ...], list[str]] = {}
        for probe in subset:
            votes.setdefault(shared.get(probe, (probe,)), []).append(probe)
        return tuple(tuple(members) for members in votes.values())

    def select(self, subset: Sequence[str]) -> Rows:
        """Transformed complete rows for these probes, one column per vote; families and cells numbered anew."""
        columns = [self.probes.index(probe) for probe in subset]
        kept = np.isfinite(self.readings[:, columns]).all(axis=1)
        cast = {p: self.transforms[k](self.readings[kept, k]) for p, k in zip(subset, columns, strict=True)}
        features = np.column_stack(
            [np.max([cast[probe] for probe in members], axis=0) for members in self.ballot(subset)]
        )
        names, families = np.unique(self.families[kept], return_inverse=True)
        cells = np.unique(self.cells[kept], return_inverse=True)[1]
        return Rows(
            features=features,
            derived=self.derived[kept],
            families=families.reshape(-1, 2).astype(np.intp),
            cells=cells.reshape(-1).astype(np.intp),
            family_count=int(names.size),
        )

    def unrelated_strata(self, subset: Sequence[str]) -> tuple[tuple[str, int], ...]:
        """Kinds of unrelated pairs on which all of these probes gave a reading, with their numbers, by name."""
        columns = [self.probes.index(probe) for probe in subset]
        kept = np.isfinite(self.readings[:, columns]).all(axis=1) & ~self.derived
        counts = Counter(name for name, keep in zip(self.strata, kept.tolist(), strict=True) if keep)
        return tuple(sorted(counts.items()))

    def derived_families(self, subset: Sequence[str]) -> int:
        """Families with a derived pair on which all of these probes gave a reading."""
        columns = [self.probes.index(probe) for probe in subset]
        kept = np.isfinite(self.readings[:, columns]).all(axis=1) & self.derived
        return int(np.unique(self.families[kept]).size)


def rows_digest(probes: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """SHA-256 over probes and rows as compact JSON; binds a fit to what it was fitted on."""
    text = json.dumps([list(probes), list(rows)], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def table_from_json(population: str, digest: str, found: Mapping[str, Any]) -> ReferenceTable:
    """Reads the `fusion` part of a reference file; PluginError where it is malformed or its digest differs."""
    try:
        table = _read(population, found)
        same = rows_digest(list(found["probes"]), found["rows"]) == digest
    except (KeyError, TypeError, ValueError, IndexError) as error:
        hint = "see forensics/evidence/reference/README.md for the form"
        raise PluginError(f"reference table of {population!r} cannot be read: {error!r}", hint) from error
    if not same:
        raise PluginError(
            f"reference table of {population!r} does not match its digest",
            "its rows were changed after fitting; build it again with benchmarks/calibrate.py",
        )
    return table


def _read(population: str, found: Mapping[str, Any]) -> ReferenceTable:
    """Columns to arrays."""
    if tuple(found["columns"]) != COLUMNS:
        raise ValueError(f"columns are {found['columns']}, not {list(COLUMNS)}")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found["rows"]]
    probes = tuple(found["probes"])
    names = sorted({family for row in rows for family in row["families"]})
    cells = sorted({(row["label"], row["cell"]) for row in rows})
    return ReferenceTable(
        population=population,
        probes=probes,
        transforms=tuple(Transform.from_json(found["probes"][probe]) for probe in probes),
        readings=_numbers([row["readings"] for row in rows], len(probes)),
        layer_peaks=_numbers([row["layer_peaks"] for row in rows], len(probes)),
        derived=np.array([_is_derived(row["label"]) for row in rows], dtype=bool),
        families=np.array([_two(row["families"], names) for row in rows], dtype=np.intp).reshape(-1, 2),
        cells=np.array([cells.index((row["label"], row["cell"])) for row in rows], dtype=np.intp),
        widths=np.array([row["width"] for row in rows], dtype=np.float64),
        depths=np.array([row["layers"] for row in rows], dtype=np.float64),
        precisions=np.array([row["precision"] for row in rows], dtype=np.float64),
        strata=tuple(row["stratum"] for row in rows),
        seed=int(found["seed"]),
        draws=int(found["draws"]),
        anchors=tuple(found.get("anchors", ())),
        beside=frozenset(found.get("beside", ())),
        votes={what: tuple(members) for what, members in found.get("votes", {}).items()},
        versions=dict(found.get("versions", {})),
    )


def _numbers(listed: Sequence[Sequence[float | None]], width: int) -> Array:
    """A matrix with NaN for None."""
    held = [[np.nan if cell is None else float(cell) for cell in row] for row in listed]
    return np.array(held, dtype=np.float64).reshape(len(listed), width)


def _is_derived(label: str) -> bool:
    """The two labels there are."""
    if label not in {"derived", "unrelated"}:
        raise ValueError(f"label {label!r} is neither 'derived' nor 'unrelated'")
    return label == "derived"


def _two(families: Sequence[str], names: Sequence[str]) -> tuple[int, int]:
    """Indices of a row's one or two families."""
    if not 1 <= len(families) <= 2:
        raise ValueError(f"a pair has one or two families, not {families}")
    return names.index(families[0]), names.index(families[-1])
