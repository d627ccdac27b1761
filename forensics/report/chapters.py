"""The order of a report: numbered chapters with the anchors that contents and bookmarks point at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forensics.readings import Measurement
from forensics.records import Dossier
from forensics.report.view import ProbeSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One numbered heading; `key` is its anchor and never holds a subject's text."""

    key: str
    number: str
    title: str
    depth: int = 2


ANSWER = ("answer", "The answer")
TITLES = (
    ANSWER,
    ("question", "The question and its propositions"),
    ("items", "Items examined"),
    ("methods", "Methods"),
    ("findings", "Findings, instrument by instrument"),
    ("weighing", "Evaluation: how the findings were weighed"),
    ("validation", "Validation: how far the figures can be trusted"),
)
PARTIES = ("parties", "What the parties put in")
CLOSING = (
    ("limits", "Limits, and what would change the conclusion"),
    ("reproduction", "How to reproduce this"),
)
APPENDICES = (
    ("manifest", "Manifest of files"),
    ("scale", "Words for likelihood ratios"),
    ("glossary", "Glossary"),
    ("references", "References"),
)


def spoke(section: ProbeSection) -> bool:
    """Whether an instrument gave any reading in this case."""
    outcomes = [*(one.outcome for one in section.findings), *(one.outcome for one in section.joint)]
    return any(isinstance(outcome, Measurement) for outcome in outcomes)


def chapters(dossier: Dossier, sections: Sequence[ProbeSection]) -> tuple[Chapter, ...]:
    """Every chapter in order, then the appendices by letter.

    Each instrument that gave a reading is a section of the findings, each checkpoint one of the items. The parties'
    documents have a chapter of their own, and only where there are any.
    """
    put_in = (PARTIES,) if dossier.exhibits or dossier.statements else ()
    made: list[Chapter] = []
    for i, (key, title) in enumerate((*TITLES, *put_in, *CLOSING), 1):
        made.append(Chapter(key=key, number=str(i), title=title))
        inner = _inner(key, dossier, sections)
        made += [Chapter(key=k, number=f"{i}.{j}", title=t, depth=3) for j, (k, t) in enumerate(inner, 1)]
    for letter, (key, title) in zip("ABCD", APPENDICES, strict=True):
        made.append(Chapter(key=key, number=letter, title=title))
    return tuple(made)


def _inner(key: str, dossier: Dossier, sections: Sequence[ProbeSection]) -> list[tuple[str, str]]:
    """Keys and titles of a chapter's sections."""
    if key == "items":
        told = [(f"item-{k}", subject.label) for k, subject in enumerate(dossier.subjects, 1)]
        return [*told, ("irregularities", "Irregularities")]
    if key == "findings":
        speaking = [(k, section) for k, section in enumerate(sections, 1) if spoke(section)]
        found = [(f"probe-{k}", section.used.title or section.used.id) for k, section in speaking]
        silent = [("silent", "Instruments without a reading")] if len(speaking) < len(sections) else []
        return [*found, *silent]
    if key == "weighing":
        among = [("among", "The candidates among each other")] if dossier.candidate_relations else []
        told = [("opinions", "Candidates and controls, one by one")] if dossier.opinions else []
        reader = [("posteriors", "What the findings do to a reader’s own expectation")] if told else []
        return [*told, *among, ("controls", "Controls and self-test"), *reader]
    return []


def only_answer() -> tuple[Chapter, ...]:
    """The one heading of a summary."""
    key, title = ANSWER
    return (Chapter(key=key, number="", title=title),)
