"""Where a document may assert descent: above the user's bound, and no more than the record shows of the direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forensics.records import Opinion
from forensics.report.numbers import bans

NEVER_ANCESTORS = ("shared-initialisation", "sibling-or-common-ancestor", "behavioural-only", "partial-reuse")
"""Relations under which neither model is the other's ancestor as a whole, whatever a direction says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """What may be asserted of one candidate."""

    place: Literal["ancestor", "descendant", "variant"] | None
    """What the candidate is to the suspect. `variant`: related, and not known how; None: nothing is asserted."""
    why: str
    """The reason, one clause, without a name in it."""


def descent(opinion: Opinion, pedigree_from: float | None) -> Descent:
    """What an opinion allows to assert from the bound `pedigree_from` (log10) upwards.

    A verdict `derived` alone says that one of the two came from the other or both from a third model; which of these
    it is, only the record's direction tells.
    """
    if pedigree_from is None:
        return Descent(place=None, why="no bound was set from which descent is asserted (--pedigree-from)")
    if opinion.verdict != "derived":
        return Descent(place=None, why=f"the verdict is {opinion.verdict}")
    if opinion.lower is None or opinion.lower < pedigree_from:
        low = "missing" if opinion.lower is None else bans(opinion.lower)
        why = f"the lower end of the log10 likelihood ratio is {low}, below the bound {bans(pedigree_from)}"
        return Descent(place=None, why=why)
    if opinion.relation in NEVER_ANCESTORS:
        return Descent(place="variant", why=f"the relation is {opinion.relation.replace('-', ' ')}")
    match opinion.direction:
        case "suspect-from-candidate":
            return Descent(place="ancestor", why="derived, and the suspect was made from it")
        case "candidate-from-suspect":
            return Descent(place="descendant", why="derived, and it was made from the suspect")
        case "undetermined":
            why = "derived, but not shown which of the two came first, or whether both descend from a third"
            return Descent(place="variant", why=why)
