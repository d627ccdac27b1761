"""The order of a report: numbered chapters with the anchors that contents and bookmarks point at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forensics.records import Dossier
from forensics.report.view import ProbeSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One numbered heading; `key` is its anchor and never holds a subject's text."""

    key: str
    number: str
    title: str
    depth: int = 2


TITLES = (
    ("answer", "The answer"),
    ("reading", "How to read it"),
    ("items", "Items examined"),
    ("findings", "Findings, instrument by instrument"),
    ("controls", "Controls"),
    ("weighing", "How the findings were weighed"),
    ("limits", "Limits"),
    ("irregularities", "Irregularities"),
    ("reproduction", "Environment and reproduction"),
)


PARTIES = ("parties", "What the parties put in")


def chapters(dossier: Dossier, sections: Sequence[ProbeSection]) -> tuple[Chapter, ...]:
    """Every chapter in order; each instrument is a section of the findings, each checkpoint one of the items.

    The parties' documents stand last and apart, and only where there are any.
    """
    put_in = (PARTIES,) if dossier.exhibits or dossier.statements else ()
    made: list[Chapter] = []
    for i, (key, title) in enumerate((*TITLES, *put_in), 1):
        made.append(Chapter(key=key, number=str(i), title=title))
        inner = {
            "findings": [
                (f"probe-{k}", section.used.title or section.used.id) for k, section in enumerate(sections, 1)
            ],
            "items": [(f"item-{k}", subject.label) for k, subject in enumerate(dossier.subjects, 1)],
        }.get(key, [])
        made += [Chapter(key=k, number=f"{i}.{j}", title=t, depth=3) for j, (k, t) in enumerate(inner, 1)]
    return tuple(made)
