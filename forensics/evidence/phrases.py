"""A verdict's grounds in words: the number, who speaks, every rule's line, the deciding reason."""

from __future__ import annotations

from forensics.evidence.considered import Considered, Ground
from forensics.evidence.fusion import Fused
from forensics.evidence.thresholds import Thresholds
from forensics.readings import Group, SignKind
from forensics.records import Verdict

SPOKEN = {Group.MLP: "MLP", Group.NORM_AND_BIAS: "norms and biases"}


def groups_that_speak(case: Considered) -> list[str]:
    """Names of the groups that speak, each once, in order."""
    return sorted({SPOKEN.get(voice.group, voice.group.value) for voice in case.voices if voice.speaks})


def reused_words(case: Considered) -> str:
    """What probes saw reused in part, to be set behind a finding; empty where none did."""
    seen = [f"; {probe}: {sign.detail}" for probe, sign in case.signs if sign.sign is SignKind.PARTIAL_REUSE]
    return "".join(seen)


def weight_words(fused: Fused) -> str:
    """The number with its interval."""
    bound = ", at its bound" if fused.bounds.reached(fused.log10_lr) else ""
    value, lower, upper = (f"{n:+.2g}".replace("-", "−") for n in (fused.log10_lr, fused.lower, fused.upper))
    return f"log10 LR {value} ({lower} to {upper}){bound}"


def grounds(case: Considered, for_it: list[Ground], against: list[Ground]) -> tuple[str, ...]:
    """One line per rule, after what stands above the rules and before the weighing's remarks."""
    identical = ("The suspect's weight files are identical to the candidate's, byte for byte",)
    marks = {True: "met", False: "not met"}
    return (
        *(identical if case.identical else ()),
        *(f"For derived, {marks[ground.met]} – {ground.found}" for ground in for_it),
        *(f"For independent, {marks[ground.met]} – {ground.found}" for ground in against),
        *case.remarks,
    )


def because(
    case: Considered, at: Thresholds, verdict: Verdict, for_it: list[Ground], against: list[Ground]
) -> str:
    """One sentence: the deciding reason."""
    if case.withheld:
        return case.withheld
    opening = "The weight files are identical; " if case.identical else ""
    if verdict == "derived" and case.fused is not None:
        groups = " and ".join(groups_that_speak(case))
        return f"{opening}{weight_words(case.fused)}, and {groups} speak for it."
    if verdict == "independent" and case.fused is not None:
        return f"{opening}{weight_words(case.fused)}, nearly everything was read and no exact test objects."
    unmet = next((ground.found for ground in for_it if not ground.met), "")
    if case.combined_holm is not None and case.combined_holm <= at.group_exact_p:
        opening += "they share ancestry or initialisation; derivation is not shown: "
    elif case.fused is not None and case.fused.log10_lr < 0:
        unmet = next((ground.found for ground in against if not ground.met), unmet)
    sentence = f"{opening}{unmet}."
    return sentence[:1].upper() + sentence[1:]
