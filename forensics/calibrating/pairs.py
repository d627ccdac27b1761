"""A list of labelled pairs of models, as whoever calibrates gives it: read strictly, judged pair by pair.

The form is described in docs/calibrating.md. What makes no sense as a list is an error; what is no clean label
(a sibling, a known trap, a contradiction) is left out with its reason and never weighs anything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from forensics.calibrating.kinship import families_of
from forensics.case import Named
from forensics.errors import CaseError
from forensics.hub.location import HubLocation

SCHEMA = "forensics-pairs/1"
BUNDLED = "bundled"
"""Stands for the list that comes with the package."""
SIZE_LIMIT, PAIR_LIMIT, TEXT_LIMIT = 16 << 20, 20_000, 400
SAME = {"independent": "unrelated"}
"""Other names of the two labels."""
ONE_INITIALISATION = "same-initialisation"
"""The kind of an unrelated pair that is of one family on purpose: of one initialisation, trained apart."""
HINT = "docs/calibrating.md describes the form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the list."""

    named: Named
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """A pair whose label is believed: `suspect` descends from `candidate`, or neither from the other."""

    suspect: str
    candidate: str
    label: str
    kind: str
    source: str
    families: tuple[str, ...]
    """The one or two families, sorted."""

    @property
    def cell(self) -> str:
        """Pairs of one cell are not independent of each other."""
        return " / ".join(self.families)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A pair that takes no part, and why."""

    suspect: str
    candidate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairList:
    """Everything a list says, judged."""

    name: str
    sha256: str
    models: Mapping[str, Model]
    """By name, only those of `pairs`."""
    pairs: tuple[LabelledPair, ...]
    left_out: tuple[LeftOut, ...]


def read_pairs(file: str) -> PairList:
    """Reads and judges a list; paths in it are relative to the file. CaseError where it cannot be read as one."""
    path = Path(file)
    try:
        if file == BUNDLED and not path.exists():
            place = resources.files("forensics.evidence").joinpath("reference/real-pairs.json")
            return _judged(_parsed(place.read_bytes(), file), place.read_bytes(), file, Path())
        if not path.is_file() or path.stat().st_size > SIZE_LIMIT:
            raise CaseError(f"{file} is no file of at most {SIZE_LIMIT >> 20} MB", HINT)
        raw = path.read_bytes()
    except OSError as error:
        raise CaseError(f"cannot read {file}: {error.strerror}", HINT) from None
    return _judged(_parsed(raw, file), raw, path.name, path.resolve().parent)


def _parsed(raw: bytes, file: str) -> Mapping[str, Any]:
    """The list as an object with `pairs`; a bare list of pairs is one without anything else."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise CaseError(f"{file} is not JSON", HINT) from None
    if isinstance(found, list):
        found = {"pairs": found}
    if not isinstance(found, dict) or found.get("schema", SCHEMA) != SCHEMA:
        raise CaseError(f"{file} is no list of pairs of schema {SCHEMA}", HINT)
    pairs = found.get("pairs")
    if not isinstance(pairs, list) or not 0 < len(pairs) <= PAIR_LIMIT:
        raise CaseError(f"{file} holds no `pairs`, or more than {PAIR_LIMIT}", HINT)
    return found


def _text(holder: Any, key: str, where: str, *, needed: bool = False) -> str:
    """A short printable text; empty where it is missing and not needed."""
    value = holder.get(key) if isinstance(holder, Mapping) else None
    if value is None and isinstance(holder, Mapping) and not needed:
        return ""
    if not isinstance(value, str) or not value.isprintable() or len(value) > TEXT_LIMIT:
        raise CaseError(f"{where}: {key!r} is no text of at most {TEXT_LIMIT} printable characters", HINT)
    if needed and not value.strip():
        raise CaseError(f"{where}: {key!r} is empty", HINT)
    return value.strip()


def _stated(found: Mapping[str, Any], pairs: list[Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Family and location by model, as far as they are stated: under `families`, under `models`, at a pair."""
    told: list[tuple[str, str]] = []
    places: dict[str, str] = {}
    listed, models = found.get("families") or {}, found.get("models") or {}
    if not isinstance(listed, dict) or not isinstance(models, dict):
        raise CaseError("`families` or `models` is no object", HINT)
    for family, members in listed.items():
        if not isinstance(members, list) or not family:
            raise CaseError(f"family {family[:80]!r} is no list of models", HINT)
        told += [
            (_text({"name": name}, "name", f"family {family[:80]!r}", needed=True), family)
            for name in members
        ]
    for name, said in models.items():
        where = f"model {name[:80]!r}"
        told.append((name, _text(said, "family", where)))
        places[name] = _text(said, "at", where) or name
    for index, pair in enumerate(pairs, 1):
        for side in ("parent", "child"):
            name = _text(pair, side, f"pair {index}", needed=True)
            told.append((name, _text(pair, f"{side}_family", f"pair {index}")))
    families: dict[str, str] = {}
    for name, family in told:
        if family and families.setdefault(name, family) != family:
            raise CaseError(f"{name} is said to be of the families {families[name]} and {family}", HINT)
        if not family.isprintable() or len(family) > TEXT_LIMIT:
            raise CaseError(f"the family of {name} is no printable text", HINT)
    return families, places


def _judged(found: Mapping[str, Any], raw: bytes, name: str, folder: Path) -> PairList:
    """Families to models, then every pair kept or left out."""
    listed = found["pairs"]
    stated, places = _stated(found, listed)
    links, said = [], defaultdict(set)
    for index, pair in enumerate(listed, 1):
        label = _text(pair, "label", f"pair {index}", needed=True)
        label = SAME.get(label, label)
        links.append((pair["parent"].strip(), pair["child"].strip(), label))
        said[frozenset(links[-1][:2])].add(label)
    families, unknown = families_of(stated, links)
    kept: dict[frozenset[str], LabelledPair] = {}
    left: list[LeftOut] = []
    for pair, (parent, child, label) in zip(listed, links, strict=True):
        both = frozenset((parent, child))
        reason = _doubt(pair, label, said[both]) or next(
            (unknown[m] for m in sorted(both) if m in unknown), ""
        )
        own = tuple(sorted({families[m] for m in both if m in families}))
        reason = reason or _contradiction(label, _text(pair, "kind", "a pair"), own)
        if not reason and both in kept:
            reason = "listed before"
        if reason:
            left.append(LeftOut(suspect=child, candidate=parent, reason=reason))
            continue
        kept[both] = LabelledPair(
            suspect=child, candidate=parent, label=label, kind=_text(pair, "kind", "a pair") or label,
            source=_text(pair, "source", "a pair"), families=own,
        )  # fmt: skip
    names = sorted({side for pair in kept.values() for side in (pair.suspect, pair.candidate)})
    models = {m: Model(named=_named(m, places.get(m, m), folder), family=families[m]) for m in names}
    digest = hashlib.sha256(raw).hexdigest()
    return PairList(name=name, sha256=digest, models=models, pairs=tuple(kept.values()), left_out=tuple(left))


def _doubt(pair: Mapping[str, Any], label: str, labels: set[str]) -> str:
    """Why a label is not believed, whatever the families; empty where it is."""
    trap = _text(pair, "trap", "a pair")
    if trap:
        return f"trap: {trap}"
    if label not in {"derived", "unrelated"}:
        return f"labelled {label!r}, which is neither derived nor unrelated"
    if len(labels) > 1:
        return f"labelled both {' and '.join(sorted(labels))}"
    return "a model and itself" if pair["parent"].strip() == pair["child"].strip() else ""


def _contradiction(label: str, kind: str, families: tuple[str, ...]) -> str:
    """Why label and families do not go together; empty where they do."""
    if label == "derived" and len(families) > 1:
        return f"derived, but of the families {' and '.join(families)}"
    if label == "unrelated" and len(families) == 1 and kind != ONE_INITIALISATION:
        return f"unrelated, but both of the family {families[0]} and not of kind {ONE_INITIALISATION!r}"
    return ""


def _named(name: str, place: str, folder: Path) -> Named:
    """Where a model is: a path relative to the list, or a hub's repository where nothing has that name."""
    path = folder / place
    hub = None if os.path.exists(path) or place.startswith((".", "/")) else HubLocation.parse(place)
    return Named(label=name, path=path, hub=str(hub) if hub else "")
