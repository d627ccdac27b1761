"""How the report words a relation, its direction, and what several candidates show together; none of it has weight."""

from __future__ import annotations

from forensics.readings import Measurement
from forensics.records import Dossier, Opinion

DIRECTIONS = {
    "suspect-from-candidate": "the suspect was made from the candidate",
    "candidate-from-suspect": "the candidate was made from the suspect",
    "undetermined": "undetermined",
}


def how(opinion: Opinion) -> str:
    """What the relation rests on, as a sentence without weight; empty where no probe explains it."""
    return _clauses("", opinion.relation_grounds)


def direction(opinion: Opinion) -> str:
    """Which was made from the other, with grounds; empty where nothing is said of the relation."""
    if not opinion.relation_grounds and opinion.direction == "undetermined":
        return ""
    return _clauses(DIRECTIONS[opinion.direction], opinion.direction_grounds)


def _clauses(opening: str, grounds: tuple[str, ...]) -> str:
    """An opening with its grounds, or the grounds alone, as a sentence."""
    text = "; ".join(grounds)
    text = f"{opening}: {text}" if opening and text else opening or text
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def together(dossier: Dossier) -> list[str]:
    """What bundled probes measured of several candidates at once, a sentence each."""
    found = [f for f in dossier.joint if f.probe.origin.bundled]
    return [f.outcome.summary for f in found if isinstance(f.outcome, Measurement)]
