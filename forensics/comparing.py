"""Probe code run once over sketches that may come from strangers, and what comes of it as an outcome of the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from forensics.archive import settled
from forensics.errors import ForensicsError, told
from forensics.probe import Abstain, Sketch, SketchProbe
from forensics.readings import Abstention, Failure, Measurement, Outcome, Reason


def outcome_of(action: Callable[[], object]) -> Outcome:
    """Runs probe code once and turns whatever happens into an outcome that a record can hold."""
    reading: object
    try:
        reading = action()
    except Abstain as answer:
        reading = answer.recorded()
    except Exception as error:  # a probe is run here
        return Failure(error=type(error).__name__, detail=told(error))
    if not isinstance(reading, Measurement | Abstention):
        detail = f"the probe returned {type(reading).__name__}, not a Measurement"
        return Failure(error="TypeError", detail=detail)
    try:
        return settled(reading)
    except (ForensicsError, ArithmeticError) as error:
        return Failure(error="TypeError", detail=told(error))


def compared(
    probe: SketchProbe, suspect: Sketch | None, candidate: Sketch | None, *, quick: bool = False
) -> Outcome:
    """A sketch probe's outcome for two sketches, or why they cannot be compared."""
    for side, sketch in (("suspect", suspect), ("candidate", candidate)):
        unusable = _unusable(probe, side, sketch, quick=quick)
        if unusable is not None:
            return unusable
    assert suspect is not None
    assert candidate is not None
    return outcome_of(lambda: probe.compare(suspect, candidate))


def _unusable(probe: SketchProbe, side: str, sketch: Sketch | None, *, quick: bool) -> Outcome | None:
    """Why a probe can do nothing with a sketch; None where it can."""
    if sketch is None:
        detail = f"the {side} is a sketch file without a sketch by this probe"
        return Abstention(reason=Reason.SKETCH_ONLY, detail=detail)
    if isinstance(sketch.absent, Failure):
        return Failure(error=sketch.absent.error, detail=f"{side}: {sketch.absent.detail}"[:1000])
    if sketch.absent:
        return Abstention(reason=sketch.absent.reason, detail=f"{side}: {sketch.absent.detail}"[:1000])
    expected = (probe.version, probe.api, probe.parameters())
    if (sketch.version, sketch.api, dict(sketch.parameters)) != expected:
        detail = f"the {side}'s sketch was made by another version or with other parameters"
        if quick and (sketch.version, sketch.api) == expected[:2]:
            detail = f"a first look reads less than the {side}'s sketch holds; run the whole case"
            return Abstention(reason=Reason.FIRST_LOOK, detail=detail)
        return Abstention(reason=Reason.INCOMPATIBLE_SKETCHES, detail=detail)
    return None


def compared_together(
    probe: SketchProbe,
    suspect: Sketch | None,
    candidates: Mapping[str, Sketch | None],
    *,
    quick: bool = False,
) -> tuple[tuple[str, ...], Outcome]:
    """A sketch probe's outcome for all candidates whose sketches it can use, and their labels."""
    unusable = _unusable(probe, "suspect", suspect, quick=quick)
    usable = {
        label: sketch
        for label, sketch in candidates.items()
        if sketch is not None and _unusable(probe, "candidate", sketch, quick=quick) is None
    }
    if unusable is not None:
        return tuple(usable), unusable
    if len(usable) < 2:
        detail = f"of {len(usable)} of {len(candidates)} candidates there is a sketch that it can use"
        return tuple(usable), Abstention(reason=Reason.NOT_COMPARABLE, detail=detail)
    assert suspect is not None
    return tuple(usable), outcome_of(lambda: probe.compare_all(suspect, usable))
