"""The verdict: `derived` needs every rule of `DERIVED`, `independent` every rule of `INDEPENDENT` (see `opinion`).

Anything else is `inconclusive`, with the reason first. Every rule leaves one line in the grounds, met or not, and one
condition, from which `forensics explain` tells how far it was from turning.
"""

from __future__ import annotations

from collections.abc import Sequence

from forensics.evidence.considered import Considered, Ground
from forensics.evidence.opinion import DERIVED, INDEPENDENT, MIXED, spread_wide, unresolved
from forensics.evidence.phrases import because, grounds
from forensics.evidence.scale import VerbalScale
from forensics.evidence.thresholds import Thresholds
from forensics.readings import Group, SignKind
from forensics.records import Condition, Opinion, Relation, Toward, Verdict

NOT_MEANING: dict[Verdict, str] = {
    "derived": (
        "This does not say which of the two came first or whether both descend from a third, "
        "nor whether anything was copied without permission."
    ),
    "independent": (
        "This does not exclude training on the candidate's outputs, nor reuse in a part or form "
        "that these probes cannot see."
    ),
    "inconclusive": "This is a finding neither of descent nor of independence.",
}


def conclude(case: Considered, at: Thresholds, scale: VerbalScale) -> Opinion:
    """The opinion on one candidate: every rule applied, its line kept, the verdict that follows."""
    for_it = [rule(case, at) for rule in DERIVED]
    against = [rule(case, at) for rule in INDEPENDENT]
    verdict: Verdict = "inconclusive"
    if case.withheld:
        verdict = "inconclusive"
    elif all(ground.met for ground in for_it):
        verdict = "derived"
    elif all(ground.met for ground in against):
        verdict = "independent"
    fused = case.fused
    return Opinion(
        candidate=case.candidate,
        log10_lr=None if fused is None else fused.log10_lr,
        lower=None if fused is None else fused.lower,
        upper=None if fused is None else fused.upper,
        cap=None if fused is None else fused.bounds.cap,
        verdict=verdict,
        relation=_relation(case, at, verdict),
        grounds=grounds(case, for_it, against),
        conditions=(*_conditions("derived", for_it), *_conditions("independent", against)),
        band="not stated" if fused is None else scale.band(fused.log10_lr),
        because=because(case, at, verdict, for_it, against),
        not_meaning=NOT_MEANING[verdict],
        coverage=case.coverage,
        contributions=() if fused is None else fused.contributions,
        omissions=() if fused is None else fused.omissions,
        population=case.population,
        background=case.background,
        cllr=None if fused is None else fused.cllr,
    )


def _conditions(toward: Toward, applied: Sequence[Ground]) -> tuple[Condition, ...]:
    """The rules as they were applied, for the record."""
    return tuple(
        Condition(
            toward=toward, rule=g.rule, met=g.met, found=g.found, value=g.value, least=g.least, most=g.most
        )
        for g in applied
    )


def _relation(case: Considered, at: Thresholds, verdict: Verdict) -> Relation:
    """A relation only where something seen carries it.

    Gains of altered weights disagree whatever the ancestry, so beside a sign of tampering the sign of a shared
    initialisation keeps `derived` away but names no relation.
    One of MLP and attention far above all unrelated readings, layer by layer, beside the other that is like a
    stranger's is partial reuse whatever the exact tests say: a shared initialisation leaves both like strangers'.
    """
    if case.identical:
        return "identical"
    open_signs = unresolved(case, at)
    open_kinds = {sign.sign for _, sign in open_signs}
    mixed = any(sign is MIXED for _, sign in open_signs)
    if verdict == "inconclusive" and mixed and {Group.MLP, Group.ATTENTION} & spread_wide(case, at):
        return "partial-reuse"
    altered = any(sign.sign is SignKind.TAMPERING for _, sign in case.signs)
    if verdict == "inconclusive" and SignKind.SHARED_INITIALISATION in open_kinds and not altered:
        return "shared-initialisation"
    if verdict == "inconclusive" and SignKind.PARTIAL_REUSE in open_kinds:
        return "partial-reuse"
    return "undetermined"
