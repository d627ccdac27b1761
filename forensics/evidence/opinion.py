"""The rules of the verdict: decisions 2 and 3 of the house, one function each, in the order in which they are read.

A rule looks at what is considered and answers with one ground: met or not, what was found, and how far from the line.
The thresholds and the reason for each stand in `reference/thresholds.json`. Nothing here computes evidence.
"""

from __future__ import annotations

from collections.abc import Callable

from forensics.evidence.considered import Considered, Ground
from forensics.evidence.phrases import SPOKEN, groups_that_speak, reused_words, weight_words
from forensics.evidence.thresholds import Thresholds
from forensics.readings import Group, Sign, SignKind

Rule = Callable[[Considered, Thresholds], Ground]


def weight_for(case: Considered, at: Thresholds) -> Ground:
    """Decision 2: fused log10 LR of at least 1.0 with its lower end above 0."""
    asked = f"asked: at least {at.derived_log10_lr:g} with the lower end above 0"
    if case.fused is None:
        return Ground(rule="weight", met=False, found=f"weight: no calibrated probe could speak ({asked})")
    met = case.fused.log10_lr >= at.derived_log10_lr and case.fused.lower > 0
    found = f"weight: {weight_words(case.fused)} ({asked})"
    return Ground(rule="weight", met=met, found=found, value=case.fused.log10_lr, least=at.derived_log10_lr)


def groups_for(case: Considered, at: Thresholds) -> Ground:
    """Decision 2: at least two tensor groups speak for descent."""
    speaking = groups_that_speak(case)
    said = "; ".join(f"{voice.probe}: {voice.how}" for voice in case.voices) or "no probe of a tensor group"
    found = (
        f"tensor groups that speak: {', '.join(speaking) or 'none'} (asked: {at.derived_groups:g}; {said})"
    )
    met = len(speaking) >= at.derived_groups
    return Ground(rule="groups", met=met, found=found, value=len(speaking), least=at.derived_groups)


def layers_for(case: Considered, at: Thresholds) -> Ground:
    """Decision 2: MLP or attention speaks in at least half of the layers."""
    shares = [
        (voice.layer_share, voice)
        for voice in case.voices
        if voice.group in {Group.MLP, Group.ATTENTION} and voice.speaks and voice.layer_share is not None
    ]
    asked = f"asked: {at.derived_layer_share:.0%} of the examined layers of MLP or attention"
    if not shares:
        return Ground(
            rule="layers", met=False, found=f"layers: neither MLP nor attention speaks by layers ({asked})"
        )
    share, voice = max(shares, key=lambda pair: pair[0])
    found = f"layers: {voice.probe} above every comparable unrelated layer in {share:.0%} of them ({asked})"
    least = at.derived_layer_share
    return Ground(rule="layers", met=share >= least, found=found, value=share, least=least)


def coverage_for(case: Considered, at: Thresholds) -> Ground:
    """Decision 2: at least half of the suspect's parameters were recognised and read."""
    return _coverage(case, at.derived_coverage)


def controls_for(case: Considered, _: Thresholds) -> Ground:
    """Decision 2: no control comes out derived."""
    alarms = len(case.derived_controls)
    unread = f"; {case.unread_controls} could not be read" if case.unread_controls else ""
    found = f"controls: none came out derived{unread}"
    if alarms:
        found = f"controls that came out derived: {', '.join(case.derived_controls)}"
    return Ground(rule="controls", met=not alarms, found=found, value=alarms, most=0)


def signs_for(case: Considered, at: Thresholds) -> Ground:
    """Decision 2: no unresolved sign of partial reuse or of shared initialisation alone."""
    open_signs = unresolved(case, at)
    if open_signs:
        seen = "; ".join(f"{probe}: {sign.sign} ({sign.detail})" for probe, sign in open_signs)
        return Ground(
            rule="signs", met=False, found=f"unresolved signs: {seen}", value=len(open_signs), most=0
        )
    found = "signs: no unresolved one of partial reuse or shared initialisation"
    return Ground(rule="signs", met=True, found=found, value=0, most=0)


def weight_against(case: Considered, at: Thresholds) -> Ground:
    """Decision 3: fused log10 LR of at most −1.0 with its upper end below 0."""
    asked = f"asked: at most {at.independent_log10_lr:g} with the upper end below 0"
    if case.fused is None:
        return Ground(rule="weight", met=False, found=f"weight: no calibrated probe could speak ({asked})")
    met = case.fused.log10_lr <= at.independent_log10_lr and case.fused.upper < 0
    found = f"weight: {weight_words(case.fused)} ({asked})"
    return Ground(
        rule="weight", met=met, found=found, value=case.fused.log10_lr, most=at.independent_log10_lr
    )


def coverage_against(case: Considered, at: Thresholds) -> Ground:
    """Decision 3: nearly all of the suspect was read, padded embeddings aside."""
    asked, layers = at.independent_coverage, case.layer_coverage
    if layers is not None and layers < asked:
        found = (
            f"coverage: {layers:.1%} of the layers and of whatever was not read (asked: at least {asked:.0%})"
        )
        return Ground(rule="coverage", met=False, found=found, value=layers, least=asked)
    return _coverage(case, asked)


def groups_against(case: Considered, _: Thresholds) -> Ground:
    """Decision 3, sharpened: MLP and attention were both measured, so a descent had a chance to be seen.

    Without gates on one side MLPs have no counterpart; then attention alone is asked.
    """
    asked = {Group.ATTENTION, Group.MLP} if case.mlps_comparable else {Group.ATTENTION}
    missing = sorted(SPOKEN.get(group, group.value) for group in asked - {v.group for v in case.voices})
    found = f"tensor groups that could not be measured: {', '.join(missing) or 'none'}"
    return Ground(rule="groups", met=not missing, found=found, value=len(missing), most=0)


def whole_against(case: Considered, _: Thresholds) -> Ground:
    """Decision 3, sharpened: no second set of weights lies unread in the suspect's folder."""
    found = f"weights in the suspect's folder that were not read: {', '.join(case.other_weights) or 'none'}"
    unread = len(case.other_weights)
    return Ground(rule="whole", met=not unread, found=found, value=unread, most=0)


def exact_against(case: Considered, at: Thresholds) -> Ground:
    """Decision 3: no exact test contradicts independence, uncorrected."""
    if case.smallest_p is None:
        return Ground(rule="exact", met=True, found="exact tests: none could be made")
    found = f"smallest exact p {case.smallest_p:.2g} (asked: above {at.independent_exact_p:g}){reused_words(case)}"
    met, above = case.smallest_p > at.independent_exact_p, at.independent_exact_p
    return Ground(rule="exact", met=met, found=found, value=case.smallest_p, least=above)


def tampering_against(case: Considered, _: Thresholds) -> Ground:
    """Decision 3: no sign that weights were altered so as to hide their origin."""
    seen = [f"{probe}: {sign.detail}" for probe, sign in case.signs if sign.sign is SignKind.TAMPERING]
    found = f"signs of tampering: {'; '.join(seen) or 'none'}"
    return Ground(rule="tampering", met=not seen, found=found, value=len(seen), most=0)


DERIVED: tuple[Rule, ...] = (weight_for, groups_for, layers_for, coverage_for, controls_for, signs_for)
INDEPENDENT: tuple[Rule, ...] = (
    weight_against,
    coverage_against,
    groups_against,
    whole_against,
    exact_against,
    tampering_against,
)

MIXED = Sign(
    sign=SignKind.PARTIAL_REUSE,
    detail="one speaks for descent, the other was measured and does not",
)


def unresolved(case: Considered, at: Thresholds) -> tuple[tuple[str, Sign], ...]:
    """Signs of partial reuse or shared initialisation that nothing in the case explains away.

    Shared initialisation is answered by trained gains and biases that all agree, for these carry least of it; biases
    alone do not answer, since two trainings of a GPT-2 from one initialisation agree in them at 1e-8. Agreement of
    weights alone, however strong, does not answer it: how far two trainings of a large model from one initialisation
    agree is not known. Partial reuse is answered by MLP and attention both speaking in enough layers; where one of
    the two speaks and the other was measured and does not, that is its sign.
    """
    speaking = {voice.group for voice in case.voices if voice.speaks}
    trained = [voice.speaks for voice in case.voices if voice.group is Group.NORM_AND_BIAS]
    answered = {
        SignKind.SHARED_INITIALISATION: bool(trained) and all(trained),
        SignKind.PARTIAL_REUSE: {Group.MLP, Group.ATTENTION} <= spread_wide(case, at),
        SignKind.TAMPERING: True,  # restrains `independent` only
    }
    unanswered = tuple((probe, sign) for probe, sign in case.signs if not answered[sign.sign])
    heard = {voice.group for voice in case.voices} & {Group.MLP, Group.ATTENTION}
    if len(heard) == 2 and len(heard & speaking) == 1:
        return (*unanswered, ("MLP against attention", MIXED))
    return unanswered


def spread_wide(case: Considered, at: Thresholds) -> set[Group]:
    """Groups that speak through readings above every comparable unrelated layer in enough of their layers."""
    return {
        voice.group
        for voice in case.voices
        if voice.speaks and voice.layer_share is not None and voice.layer_share >= at.derived_layer_share
    }


def _coverage(case: Considered, asked: float) -> Ground:
    """Share of the suspect's parameters that was recognised and read."""
    if case.coverage is None:
        return Ground(rule="coverage", met=False, found=f"coverage: unknown (asked: at least {asked:.0%})")
    found = f"coverage: {case.coverage:.1%} of the suspect's parameters read (asked: at least {asked:.0%})"
    return Ground(rule="coverage", met=case.coverage >= asked, found=found, value=case.coverage, least=asked)
