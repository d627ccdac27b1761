"""Whether a probe answered rightly on a twin whose relation to the candidate is known: the rule of decision 2."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.certificates import Answer, Tested, Twin
from forensics.evidence.library import Reference
from forensics.evidence.speaking import ceiling_for, width_of
from forensics.readings import Abstention, Failure, Measurement, Outcome

TOLD = 300


def judged_probes(reference: Reference) -> frozenset[str]:
    """Probes with unrelated reference readings to be held against, besides any that give an exact p-value."""
    return frozenset(() if reference.table is None else reference.table.probes)


def tested(
    probe: str,
    outcome: Outcome,
    twin: Twin,
    *,
    blind_to: Sequence[str],
    reference: Reference,
    calibrated: bool,
) -> Tested:
    """A probe's answer on one twin. `calibrated`: it is the instrument that the reference was read with.

    A twin is seen if the exact p, uncorrected, is at most the threshold of a tensor group, or if the reading is above
    every comparable unrelated pair's. Kin must be seen. Noise must not be, nor reach the p-value that
    keeps `independent` away.
    """
    if isinstance(outcome, Abstention):
        return Tested(probe=probe, answer="abstained", detail=outcome.detail[:TOLD])
    if isinstance(outcome, Failure):
        return Tested(probe=probe, answer="failed", detail=f"{outcome.error}: {outcome.detail}"[:TOLD])
    seen, detail = _seen(probe, outcome, reference, calibrated=calibrated)
    p = None if outcome.exact is None else outcome.exact.p
    if seen is None and p is not None and not twin.kin:
        seen = False  # without a yardstick for its reading, its exact test alone is tried on noise
    low = p is not None and p <= reference.thresholds.independent_exact_p
    right = bool(seen) if twin.kin else not seen and not low
    answer: Answer = "right" if right else "wrong"
    if seen is None:
        answer = "not-judged"
    elif not right and set(blind_to) & set(twin.gauges):
        answer = "blind"
    return Tested(probe=probe, answer=answer, seen=seen, value=outcome.value, p=p, detail=detail)


def _seen(
    probe: str, reading: Measurement, reference: Reference, *, calibrated: bool
) -> tuple[bool | None, str]:
    """Whether the reading speaks for kinship, and the numbers; None where its exact test does not and no pairs do."""
    at, table = reference.thresholds, reference.table
    p = None if reading.exact is None else reading.exact.p
    said = [] if p is None else [f"exact p {p:.1g}"]
    ceiling = None
    if table is not None and calibrated and probe in table.probes:
        found = ceiling_for(table, probe, width_of(reading.facts), at)
        ceiling = found.reading
        said.append(
            found.words
            if ceiling is None
            else f"reading {reading.value:.3g}, unrelated pairs at most {ceiling:.3g} ({found.words})"
        )
    words = ", ".join(said) or "neither an exact test nor reference pairs"
    if p is not None and p <= at.group_exact_p:
        return True, words
    return None if ceiling is None else reading.value > ceiling, words


def alarms(candidate: str, twins: Sequence[Twin]) -> tuple[str, ...]:
    """A sentence for each probe that took a twin of nothing for kin without saying that it cannot tell."""
    return tuple(
        f"The self-test failed: {one.probe} took the {twin.name} twin of {candidate}, which holds nothing of it, for "
        f"its kin ({one.detail})."
        for twin in twins
        if not twin.kin
        for one in twin.tests
        if one.answer == "wrong" and one.seen
    )
