"""How one licence text differs from another, word by word, and what kind of difference that is.

The texts are held together by runs of words that stand once in each, in the same order in both (a longest increasing
subsequence, as in patience diff), grown outwards word by word; what lies between is the difference. Every step is
n log n in the number of words, so no text can make it slow.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from forensics.licences.words import SHINGLE, Words, shingles

Kind: TypeAlias = Literal[
    "identical",
    "same words",
    "same text, header replaced",
    "same text, other holder",
    "same text, name replaced",
    "same text, changed in places",
    "related text",
    "other text",
]
CHARACTERS = 60_000
"""Of a licence text that is compared; the longest known has 40,000."""
SAME, RELATED = 0.8, 0.4
"""Share of words in common from which two texts are the same one changed, or related."""
HEAD = 80
"""Words at the beginning that make up a header: title, date, holder."""
PAIRS, REPEATED = 3, 0.8
"""A name is replaced where so many replacements, one of them in the header, make up this share of all places."""
SHORT = 40
"""Words of a gap that is searched for single words in common, which takes the square of them."""
SPAN = 30
"""Words of a difference that are shown."""
RIGHTS = re.compile(r"(?i)copyright|\(c\)|©")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One place where two texts differ."""

    line: int
    """In the first text."""
    ours: str
    theirs: str
    count: int = 1
    """How often this replacement stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the first text differs from the second."""

    kind: Kind
    common: float
    """Twice the words in common over the words of both, 0 to 1."""
    spans: tuple[Span, ...]
    """In order, equal replacements once."""


def difference(ours: str, theirs: str) -> Difference:
    """What became of `theirs` in `ours`."""
    mine, other = Words.of(ours[:CHARACTERS]), Words.of(theirs[:CHARACTERS])
    if not mine.words or not other.words:
        return Difference(kind="other text", common=0.0, spans=())
    gaps = _gaps(mine.words, other.words)
    changed = sum(b - a + d - c for a, b, c, d in gaps)
    common = 1.0 - changed / (len(mine.words) + len(other.words))
    spans = _spans(mine, other, gaps)
    if not gaps:
        kind: Kind = "identical" if ours == theirs else "same words"
    elif common < SAME:
        kind = "related text" if common >= RELATED else "other text"
    else:
        kind = _kind(ours, theirs, (mine, other), gaps, spans)
    return Difference(kind=kind, common=common, spans=spans if common >= RELATED else ())


Gap: TypeAlias = tuple[int, int, int, int]
"""Words [a, b) of the first text stand where words [c, d) of the second stood."""


def _kind(
    ours: str, theirs: str, words: tuple[Words, Words], gaps: list[Gap], spans: tuple[Span, ...]
) -> Kind:
    """What kind of difference two texts have that are the same otherwise."""
    if all(
        _on_rights_lines(ours, words[0], a, b) and _on_rights_lines(theirs, words[1], c, d)
        for a, b, c, d in gaps
    ):
        return "same text, other holder"
    if all(b <= HEAD and d <= HEAD for _, b, _, d in gaps):
        return "same text, header replaced"
    swaps = sorted((span for span in spans if span.ours and span.theirs), key=lambda span: -span.count)[
        :PAIRS
    ]
    headed = any(span.line <= words[0].lines[min(HEAD, len(words[0].lines)) - 1] for span in swaps)
    if headed and sum(span.count for span in swaps) >= REPEATED * sum(span.count for span in spans):
        return "same text, name replaced"
    return "same text, changed in places"


def _on_rights_lines(text: str, words: Words, start: int, stop: int) -> bool:
    """Whether the words of a gap stand on lines that are copyright notices."""
    lines = text.split("\n")
    return all(RIGHTS.search(lines[number - 1][:400]) for number in set(words.lines[start:stop]))


def _spans(mine: Words, other: Words, gaps: list[Gap]) -> tuple[Span, ...]:
    """The differences in order, equal ones counted."""
    first: dict[tuple[str, str], int] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for a, b, c, d in gaps:
        pair = _shown(mine.words[a:b]), _shown(other.words[c:d])
        first.setdefault(pair, mine.lines[min(a, len(mine.lines) - 1)])
        counts[pair] += 1
    return tuple(Span(line=line, ours=p[0], theirs=p[1], count=counts[p]) for p, line in first.items())


def _shown(words: Sequence[str]) -> str:
    more = f" … ({len(words)} words)" if len(words) > SPAN else ""
    return " ".join(words[:SPAN]) + more


def _gaps(ours: Sequence[str], theirs: Sequence[str]) -> list[Gap]:
    """What lies between the runs that the texts have in common."""
    gaps: list[Gap] = []
    done = 0, 0
    for i, j in (*_anchors(ours, theirs), (len(ours), len(theirs))):
        if i < done[0] or j < done[1]:
            continue  # grown over by the run before
        back = 0
        while i - back > done[0] and j - back > done[1] and ours[i - back - 1] == theirs[j - back - 1]:
            back += 1
        gap = done[0], i - back, done[1], j - back
        if gap[0] < gap[1] or gap[2] < gap[3]:
            gaps += _refined(ours, theirs, gap)
        grown = 0
        while i + grown < len(ours) and j + grown < len(theirs) and ours[i + grown] == theirs[j + grown]:
            grown += 1
        done = i + grown, j + grown
    return gaps


def _refined(ours: Sequence[str], theirs: Sequence[str], gap: Gap) -> list[Gap]:
    """A short gap without the single words that both have; a long one as it is."""
    a, b, c, d = gap
    if max(b - a, d - c) > SHORT:
        return [gap]
    codes = SequenceMatcher(None, ours[a:b], theirs[c:d], autojunk=False).get_opcodes()
    return [(a + i, a + j, c + k, c + m) for tag, i, j, k, m in codes if tag != "equal"]


def _anchors(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Places of shingles that stand once in each text, in an order that both have, as many as possible."""
    places = [_once(list(shingles(words))) for words in (ours, theirs)]
    pairs = sorted((at, places[1][value]) for value, at in places[0].items() if value in places[1])
    if len(ours) < SHINGLE or len(theirs) < SHINGLE:
        return []
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, at) in enumerate(pairs):
        place = bisect_left(tails, at)
        before.append(ends[place - 1] if place else -1)
        tails[place : place + 1] = [at]
        ends[place : place + 1] = [number]
    chain: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _once(hashes: Sequence[int]) -> dict[int, int]:
    """Place of every hash that stands once."""
    counts = Counter(hashes)
    return {value: at for at, value in enumerate(hashes) if counts[value] == 1}
