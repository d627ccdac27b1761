"""Every document of a checkpoint read once: leads, licences, holders, phrases, and what identifies the files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forensics.checkpoint.leads import TEXT, Lead, Leads, is_document, leads_of, matches_in
from forensics.checkpoint.papers import (
    FILES,
    HOLDERS,
    LICENCE_TEXTS,
    LICENCES,
    PAPERS,
    Held,
    LicenceText,
    Papers,
)
from forensics.checkpoint.texts import is_paper
from forensics.licences.difference import CHARACTERS
from forensics.licences.holders import holder_key, holders_of
from forensics.licences.known import tagged
from forensics.licences.matching import Match
from forensics.licences.obligations import Shown, phrases_in
from forensics.licences.words import Words

if TYPE_CHECKING:
    from forensics.checkpoint.facts import TextFile

BOILERPLATE = re.compile(
    r"(?:^|[/:])(?:\.gitattributes|(?:(?:generation_|tokenizer_)?config|special_tokens_map)\.json)$"
)
"""Written by common tools from architecture and tokenizer, so often identical in unrelated repositories."""
SHORTEST = 64
"""Characters below which an identical file says nothing."""
LICENCE_NAME = re.compile(r"(?i)(?:un)?licen[cs]e|copying|terms")
NOTICE_NAME = re.compile(
    r"(?i)notice|third|open[-_ .]?source|copyright|legal|attribution|credits|acknowledg|authors|patents"
)


@dataclass(slots=True)
class _Gathered:
    """What was found so far."""

    leads: Leads = field(default_factory=Leads)
    files: dict[str, str] = field(default_factory=dict)
    licence_texts: list[LicenceText] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    places: dict[str, dict[str, str]] = field(
        default_factory=lambda: {"licences": {}, "named": {}, "phrases": {}, "holders": {}}
    )
    papers: list[str] = field(default_factory=list)
    texts: int = 0


def read_papers(texts: Iterable[TextFile], label: str, texts_omitted: int = 0) -> Papers:
    """Everything that the texts of a checkpoint called `label` say, in the order given."""
    found = _Gathered()
    for file in texts:
        found.texts += 1
        _read(file, found)
    own = [lead.text for lead in found.leads.kept if lead.kind == "own name"]
    shown = Shown(
        **found.places,
        names=tuple(dict.fromkeys([label[:TEXT], *own]))[:20],
        papers=tuple(found.papers[:PAPERS]),
    )
    return Papers(
        leads=tuple(found.leads.kept), omitted=found.leads.omitted, files=found.files,
        licence_texts=tuple(found.licence_texts), held=tuple(found.held), shown=shown,
        texts=found.texts, texts_omitted=texts_omitted,
    )  # fmt: skip


def _read(file: TextFile, found: _Gathered) -> None:
    """One file."""
    name = _shown_name(file.name)
    document = is_document(file.name) and not file.name.lower().endswith(".json")
    words = Words.of(file.text) if document else None
    matches = matches_in(file, words)
    leads = list(leads_of(file, matches))
    found.leads.add(leads)
    common = any(match.how != "named" and match.licence.common for match in matches)
    if (
        len(file.text) >= SHORTEST
        and not BOILERPLATE.search(file.name)
        and not common
        and len(found.files) < FILES
    ):
        found.files[name] = hashlib.sha256(file.text.encode("utf-8", "replace")).hexdigest()
    _place(found.places, name, leads, matches)
    if words is not None:
        own = [match.licence.id for match in matches if match.how != "named"]
        for phrase, line in phrases_in(words, own).items():
            found.places["phrases"].setdefault(phrase, f"{name}:{line}")
    if is_paper(file.name):
        _paper(file, name, leads, found)


def _shown_name(name: str) -> str:
    return name[:TEXT].encode("utf-8", "replace").decode()


def _place(
    places: dict[str, dict[str, str]], name: str, leads: Iterable[Lead], matches: Iterable[Match]
) -> None:
    """Where licences and holders stand, the first place of each."""
    for match in matches:
        where = f"{name}:{match.line}"
        if (text := _text_told(match, name)) and len(places["licences"]) < LICENCES:
            places["licences"].setdefault(match.licence.id, f"{where}, {text}")
        places["named"].setdefault(match.licence.id, where)
    for lead in leads:
        if lead.kind == "licence tag" and (known := _tagged(lead)):
            places["named"].setdefault(known, f"{name}:{lead.line}")
        if lead.kind == "copyright line" and len(places["holders"]) < HOLDERS:
            for holder in holders_of(lead.text):
                places["holders"].setdefault(holder_key(holder)[:TEXT], f"{name}:{lead.line}")


def _text_told(match: Match, name: str) -> str:
    """How a match shows that a licence's text lies there; empty where it does not.

    Of a licence whose wording is not in the table, a licence file that is headed by its title has to do.
    """
    if match.how == "text":
        return f"{100 * match.share:.1f} % of its wording"
    file = LICENCE_NAME.match(name.rsplit("/", 1)[-1].rsplit(":", 1)[-1])
    return "by its title" if match.how == "title" and not match.licence.sample and file else ""


def _tagged(lead: Lead) -> str:
    """The licence that a tag's normalised key stands for, by its id."""
    found = tagged(lead.key)
    return found.id if found else ""


def _paper(file: TextFile, name: str, leads: Iterable[Lead], found: _Gathered) -> None:
    """A document about rights and origin: its text if it is a licence, the holders that it names."""
    last = file.name.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    found.papers.append(name)
    kind = "licence" if LICENCE_NAME.match(last) else "notice" if NOTICE_NAME.match(last) else ""
    if kind == "licence" and len(found.licence_texts) < LICENCE_TEXTS:
        text = file.text[:CHARACTERS].encode("utf-8", "replace").decode()
        found.licence_texts.append(LicenceText(name, text))
    if kind:
        found.held += list(_holders(kind, name, leads))[: HOLDERS - len(found.held)]


def _holders(kind: str, name: str, leads: Iterable[Lead]) -> Iterator[Held]:
    for lead in leads:
        if lead.kind == "copyright line":
            for holder in holders_of(lead.text):
                yield Held(kind, name, lead.line, holder[:TEXT])
