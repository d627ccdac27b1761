"""What stands on the first page, and how much room each candidate has there: the same for every verdict.

The page is one page whatever a case holds. With few candidates each has a card; with more the cards say less, then
there is one row per candidate. Beyond `MOST` rows those with the strongest figures stand, in either direction alike,
and the others are counted by verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forensics.report import numbers
from forensics.report.display import Shown, display, isolate
from forensics.report.view import VERDICTS, Answer

Density = Literal["cards", "close", "rows"]

CARDS, CLOSE, MOST = 2, 4, 10
"""Candidates up to which each has a whole card, a close one, and a row."""
LONG = 60
"""Characters of a name from which on there is no room for whole cards."""
SENTENCE = {"cards": 260, "close": 190, "rows": 0}
"""Characters of one sentence, by density; the evaluation has the whole."""
LABEL = {"cards": 60, "close": 60, "rows": 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The answers of the first page."""

    density: Density
    answers: tuple[Answer, ...]
    remark: str = ""
    """Who else was compared, and with what verdict."""

    def label(self, text: str) -> Shown:
        """A candidate's name, cut to its room."""
        return cut(text, LABEL[self.density])

    def sentence(self, text: str) -> Shown:
        """A sentence of the record, cut to its room."""
        return cut(text, SENTENCE[self.density])


def cut(text: str, limit: int) -> Shown:
    """`text` through the display filter, at most `limit` characters with the escapes in it."""
    shown = display(text)
    return Shown(isolate(shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"))


def front(candidates: Sequence[Answer], suspect: str) -> Front:
    """The density that fits, and who stands on the page."""
    names = (suspect, *(one.opinion.candidate for one in candidates))
    roomy = len(candidates) <= CARDS and all(len(name) <= LONG for name in names)
    density: Density = "cards" if roomy else "close" if len(candidates) <= CLOSE else "rows"
    if len(candidates) <= MOST:
        return Front(density=density, answers=tuple(candidates))
    strongest = sorted(candidates, key=lambda one: -abs(one.opinion.log10_lr or 0.0))[:MOST]
    kept = tuple(one for one in candidates if one in strongest)
    left = [one.opinion.verdict for one in candidates if one not in strongest]
    told = ", ".join(
        f"{numbers.count(left.count(verdict))} {words.lower()}"
        for verdict, words in VERDICTS.items()
        if verdict in left
    )
    return Front(
        density=density,
        answers=kept,
        remark=f"Shown are the {MOST} with the strongest figures in either direction. Of the others: {told}.",
    )
