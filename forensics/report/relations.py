"""How the report words a relation, its direction, and what several candidates show together; none of it has weight."""

from __future__ import annotations

from forensics.readings import Measurement
from forensics.records import Dossier, Opinion, Proposition, PropositionId

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


def short(name: PropositionId) -> str:
    """A proposition's id in words."""
    return "independent, same recipe" if name == "independent-same-recipe" else name.replace("-", " ")


def not_told_from(proposition: Proposition) -> str:
    """The other propositions that the case cannot tell it from; a dash where there are none."""
    return "; ".join(short(name) for name in proposition.not_told_from) or "—"


def standing(opinion: Opinion) -> str:
    """The propositions that are supported and those that are open, on one line; empty in older dossiers."""
    parts = []
    for kind in ("supported", "open"):
        names = [short(one.id) for one in opinion.propositions if one.standing == kind]
        parts += [f"{kind}: {'; '.join(names)}"] if names else []
    if opinion.propositions and not parts:
        return "none is supported or open"
    return ". ".join(parts)
