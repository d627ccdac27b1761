"""What a licence asks of whoever passes the work on, beside what another's documents show: facts, no advice.

Clauses of the Meta Llama 3 Community License Agreement (18 April 2024: 1.b.i to v, 2) and of the openPangu Model
License Agreement, versions 1.0 (3, 4.1, 4.2) and 2.0 (3.1, 4.1, 4.2), were read against copies of these texts in public
repositories. Version 2.0 adds that the licence ends for whoever sues over the model (3.2), which no document shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from forensics.licences.holders import holder_key
from forensics.licences.known import Licence, licence
from forensics.licences.words import Words

UNKNOWN = "cannot be told from documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """One thing that one licence asks."""

    kind: str
    """`naming`, `attribution`, `notice`, `licence copy`, `changes stated`, `share-alike`, `use restrictions` or
    `non-commercial`."""
    clause: str
    says: str
    """In our words."""
    copy: bool = False
    """Looked for: the licence's own text."""
    phrases: tuple[str, ...] = ()
    """Looked for: one of these, as words in small letters."""
    name: str = ""
    """Looked for: a name of the model that begins so."""
    holders: bool = False
    """Looked for: a holder whom the licensed work names."""
    same: bool = False
    """Looked for: the work under the same licence."""
    trait: str = ""
    """Looked for: the work under a licence with this trait."""
    named: bool = False
    """Looked for: the licence's name."""
    file: str = ""
    """Looked for: a document whose name begins so."""
    conditional: bool = False
    """Asked only where something holds that documents do not tell, so that what is not found is not missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One obligation beside what another's documents show."""

    obligation: Obligation
    shown: str
    """What was found of everything that is looked for, in words."""
    met: bool | None
    """False where something that is looked for was not found; None where documents cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one model's documents show, each with `FILE:LINE`."""

    licences: Mapping[str, str] = field(default_factory=dict)
    """Where the wording of a licence stands, by its id."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Where a licence is named, tagged or stands, by its id."""
    phrases: Mapping[str, str] = field(default_factory=dict)
    holders: Mapping[str, str] = field(default_factory=dict)
    """By holder's key."""
    names: tuple[str, ...] = ()
    """What the model is called by itself and by the examiner."""
    papers: tuple[str, ...] = ()
    """Names of documents about rights and origin."""


@cache
def obligations(name: str) -> tuple[Obligation, ...]:
    """What the licence with an id asks; empty where nothing is on the list."""
    return tuple(one for names, one in _listed() if name in names)


@cache
def is_listed(name: str) -> bool:
    """Whether it is known what the licence with an id asks, be it nothing."""
    return any(name in names for names in _groups())


@cache
def _groups() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(group["licences"]) for group in _raw()["obligations"])


@cache
def _raw() -> Any:
    return json.loads(resources.files("forensics.licences").joinpath("obligations.json").read_text("utf-8"))


@cache
def _listed() -> tuple[tuple[frozenset[str], Obligation], ...]:
    return tuple(
        (frozenset(group["licences"]), _obligation(entry))
        for group in _raw()["obligations"]
        for entry in group["obligations"]
    )


def _obligation(entry: dict[str, Any]) -> Obligation:
    return Obligation(**{**entry, "phrases": tuple(entry.get("phrases", ()))})


def phrases_in(words: Words, besides: Iterable[str] = ()) -> dict[str, int]:
    """Line of every phrase that some obligation looks for, except those of the licences `besides`.

    A licence's own text says what it asks to be said, which shows nothing.
    """
    passed = {phrase for name in besides for one in obligations(name) for phrase in one.phrases}
    joined = words.joined()
    found = {
        phrase: words.line_of(phrase, joined) for phrase in _phrases() - passed if f" {phrase} " in joined
    }
    return dict(sorted(found.items()))


@cache
def _phrases() -> frozenset[str]:
    return frozenset(phrase for _, one in _listed() for phrase in one.phrases)


def asked(name: str, holders: Iterable[str], suspect: Shown) -> Iterator[Asked]:
    """Everything that the licence with an id of a work by `holders` asks, beside what the suspect shows."""
    known = licence(name)
    for one in obligations(name) if known else ():
        assert known is not None
        parts = list(_looked(one, known, list(holders), suspect))
        missing = any(found is False for _, found in parts) and not one.conditional
        met = True if parts and all(found for _, found in parts) else False if missing else None
        yield Asked(obligation=one, shown="; ".join(text for text, _ in parts) or UNKNOWN, met=met)


def beside(name: str, holders: Iterable[str], suspect: Shown) -> Iterator[tuple[str, str, str, str]]:
    """(kind, clause, what is asked, what the suspect shows) for the licence with an id of a work by `holders`."""
    for one in asked(name, list(holders), suspect):
        yield one.obligation.kind, one.obligation.clause, one.obligation.says, one.shown


Looked: TypeAlias = tuple[str, bool | None]
"""What was looked for and what is there, in words, and whether it is; None where that cannot be told."""


def _looked(one: Obligation, known: Licence, holders: list[str], suspect: Shown) -> Iterator[Looked]:
    """What is there of everything that an obligation is looked for by, in a few words each."""
    if one.copy:
        yield _told("its text", suspect.licences.get(known.id))
    if one.same:
        yield _told("the same licence", suspect.named.get(known.id))
    if one.named:
        yield _told("the licence's name", suspect.named.get(known.id))
    if one.trait:
        there = [
            where
            for name, where in suspect.named.items()
            if (found := licence(name)) and one.trait in found.traits
        ]
        yield _told(f"a {one.trait} licence", there[0] if there else None)
    if one.phrases:
        yield _told(
            "the words", next((suspect.phrases[p] for p in one.phrases if p in suspect.phrases), None)
        )
    if one.file:
        there = [
            name
            for name in suspect.papers
            if name.rsplit("/", 1)[-1].rsplit(":", 1)[-1].lower().startswith(one.file)
        ]
        yield _told(f"a {one.file.upper()} file", there[0] if there else None)
    if one.name:
        yield _called(one.name, suspect.names)
    if one.holders:
        yield _held(holders, suspect)


def _told(what: str, where: str | None) -> Looked:
    return (f"{what}: {where}", True) if where else (f"{what}: not found", False)


def _called(beginning: str, names: tuple[str, ...]) -> Looked:
    """Whether one of the model's names begins as asked."""
    plain = {name: name.rsplit("/", 1)[-1].lower().replace("_", "-").replace(" ", "-") for name in names}
    so = [name for name, bare in plain.items() if bare.startswith(beginning)]
    if so:
        return f"the name {so[0]!r} begins so", True
    told = ", ".join(map(repr, names[:3]))
    return f"no name begins so ({told or 'none known'})", False if names else None


def _held(holders: list[str], suspect: Shown) -> Looked:
    """Whether one of the licensed work's holders is named."""
    if not holders:
        return "its holder is not known", None
    there = [f"{h} at {suspect.holders[holder_key(h)]}" for h in holders if holder_key(h) in suspect.holders]
    return (
        (f"holder: {there[0]}", True) if there else (f"holder ({', '.join(holders[:3])}): not found", False)
    )
