"""Which licences stand in a text: by their wording, or named by title or notice.

A share of wording says how much of the licence's shingles the text has; it is 1 for a verbatim copy whatever stands
around it. Several licences in one file are found greedily: what the best explains is taken away before the next. Every
step is linear in the text, which is cut at `words.CHARACTERS`; no regular expression can run away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from forensics.licences.known import Licence, known
from forensics.licences.words import Words, shingles

How: TypeAlias = Literal["text", "title", "named"]
SHARE = 0.5
"""Of a licence's wording that must stand in a text, not counting what a better match explains."""
NEARLY = 0.9
"""Share below which a wording gives way to the title of another licence of the same maker."""
TIES = 50
"""Shares that agree to one in so many are equal, and the longer licence goes first: it contains the shorter."""
HEAD = 60
"""Words among which a title heads a text."""
NOTICE_CHARACTERS = 4_000
"""Of a code file, looked at for notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One licence found in one text."""

    licence: Licence
    how: How
    """`text`: its wording; `title`: the text is headed by its title; `named`: it is mentioned or said to apply."""
    share: float
    """Of its wording, 0 where only its name was found."""
    line: int

    def told(self) -> str:
        """The match in a few words."""
        if self.how == "text":
            return f"{self.licence.id} ({_percent(self.share)} of its wording)"
        return f"{self.licence.id} ({'by its title' if self.how == 'title' else 'named'})"


def _percent(share: float) -> str:
    """A share that reads 100 % only when it is all."""
    return "100 %" if share >= 1.0 else f"{min(99.9, 100 * share):.1f} %"


def licences_in(text: str) -> tuple[Match, ...]:
    """Every licence whose wording or name stands in a document, wordings first."""
    return licences_of(Words.of(text))


def licences_of(words: Words) -> tuple[Match, ...]:
    """The same for a text taken apart."""
    hashes = list(shingles(words.words))
    named = named_in(words)
    headed = {m.licence.holder for m in named if m.how == "title" and not m.licence.sample}
    worded = [
        match
        for match in _worded(words, hashes)
        if not (match.share < NEARLY and match.licence.holder and match.licence.holder in headed)
    ]
    there = {match.licence.id for match in worded}
    there |= {name for match in worded for name in match.licence.mentions}
    return (*worded, *(match for match in named if match.licence.id not in there))


def notices_in(text: str) -> tuple[Match, ...]:
    """The licences that the head of a code file names."""
    return tuple(named_in(Words.of(text, NOTICE_CHARACTERS)))


def _worded(words: Words, hashes: list[int]) -> list[Match]:
    """Greedy matches by wording, the best first."""
    first: dict[int, int] = {}
    for at, value in enumerate(hashes):
        if value in _every():
            first.setdefault(value, at)
    left = set(first)
    found: list[Match] = []
    while True:
        shares = [(len(one.sample & left) / len(one.sample), one) for one in known() if one.sample]
        share, best = max(shares, key=lambda entry: (int(TIES * entry[0]), len(entry[1].sample), entry[1].id))
        if share < SHARE:
            return found
        whole = len(best.sample & first.keys()) / len(best.sample)
        line = words.lines[min(first[value] for value in best.sample & left)]
        found.append(Match(licence=best, how="text", share=whole, line=line))
        left -= best.sample


@cache
def _every() -> frozenset[int]:
    """The samples of all licences together."""
    return frozenset().union(*(one.sample for one in known()))


def named_in(words: Words) -> list[Match]:
    """Licences whose title or notice stands in a text; longer phrases take away what shorter ones would find.

    A title at the head tells more than a notice further down, which most licences quote in their own text.
    """
    joined = words.joined()
    head = f" {' '.join(words.words[:HEAD])} "
    found: dict[str, Match] = {}
    for phrase, one, is_title in _phrases():
        titled = is_title and f" {phrase} " in head
        if (one.id in found and not titled) or f" {phrase} " not in joined:
            continue
        line = words.line_of(phrase, joined)
        found[one.id] = Match(licence=one, how="title" if titled else "named", share=0.0, line=line)
        joined = joined.replace(f" {phrase} ", f" {'| ' * len(phrase.split())}")
    return list(found.values())


@cache
def _phrases() -> tuple[tuple[str, Licence, bool], ...]:
    """(phrase, licence, whether it is a title), the longest first."""
    every = [(phrase, one, True) for one in known() for phrase in one.titles]
    every += [(phrase, one, False) for one in known() for phrase in one.notices]
    return tuple(sorted(every, key=lambda entry: (-len(entry[0]), entry[0])))
