"""Several candidates at once: pair by pair among each other, and together where a probe has something to say of them.

Pairs are compared as the suspect is with a candidate, from the sketches that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

from forensics.archive import restored
from forensics.errands import each
from forensics.gather import COMPARE_LIMIT, Gatherer
from forensics.probe import SketchProbe
from forensics.readings import Failure, Outcome
from forensics.reads import Read
from forensics.records import Problem, Subject

Joint: TypeAlias = tuple[tuple[str, ...], Outcome]
"""Labels of the candidates that took part, and the outcome."""

Compared: TypeAlias = tuple[Read, Read, dict[str, Outcome]]
"""Two candidates, the one that stands for the suspect first, and what every probe that sketches said of them."""

CANDIDATES_MOST = 10
"""That are compared among each other, which makes 45 pairs: beyond that, pairs would cost more than the case."""


def compare_among(gatherer: Gatherer, candidates: Sequence[Read]) -> tuple[list[Compared], list[Problem]]:
    """Every pair of the candidates that could be read, and whether some were left out.

    Of more than `CANDIDATES_MOST` the first in the order of the case are taken: a choice that looks at no reading.
    """
    readable = [read for read in candidates if not read.error]
    taken, left = readable[:CANDIDATES_MOST], readable[CANDIDATES_MOST:]
    pairs = [sorted(pair, key=_standing) for pair in combinations(taken, 2)]
    outcomes = each(lambda pair: gatherer.compare_sketches(*pair), pairs)
    found = [(first, second, told) for (first, second), told in zip(pairs, outcomes, strict=True)]
    if not left:
        return found, []
    names = ", ".join(read.named.label for read in left)
    message = (
        f"only the first {CANDIDATES_MOST} candidates that could be read were compared among each other, so it is not "
        f"known whether these are related to others: {names}"
    )
    return found, [Problem(where="candidates", code="NOT_COMPARED", message=message[:1000])]


def _standing(read: Read) -> tuple[float, str]:
    """By which the first of a pair stands for the suspect."""
    return _share_read(read.subject), read.named.label


def _share_read(subject: Subject) -> float:
    """Share of a candidate's parameters that was recognised; the rules of the verdict ask it of the suspect."""
    return subject.recognised / subject.parameters if subject.parameters > 0 else 0.0


def compare_all(gatherer: Gatherer, suspect: Read, candidates: Sequence[Read]) -> dict[str, Joint]:
    """By probe id; nothing with fewer than two candidates that could be read. Controls take no part."""
    readable = [read for read in candidates if not read.error]
    if len(readable) < 2:
        return {}
    asked = [i for i in gatherer.sketching() if _compares_all(gatherer, i)]
    bundled = [i for i in asked if gatherer.offered[i].origin.bundled]
    batches = [(bundled, COMPARE_LIMIT)] if bundled else []
    batches += [([i], gatherer.offered[i].probe.time_limit) for i in asked if i not in bundled]
    found: dict[str, Joint] = {}
    for probes, limit in batches:
        found |= _compared(gatherer, probes, limit, suspect, readable)
    return {i: found[i] for i in asked}


def _compares_all(gatherer: Gatherer, probe: str) -> bool:
    asked = gatherer.offered[probe].probe
    return isinstance(asked, SketchProbe) and asked.compares_all


def _compared(
    gatherer: Gatherer, probes: list[str], limit: float, suspect: Read, candidates: Sequence[Read]
) -> dict[str, Joint]:
    """Runs a job and takes its outcomes; a probe it says nothing of has failed with the job."""
    labels = tuple(read.named.label for read in candidates)
    sides = {read.named.label: [str(p) for p in read.sketches] for read in candidates}
    heard: dict[str, Joint] = {}
    errors: list[str] = []

    def listen(message: Mapping[str, Any]) -> None:
        if message.get("probe") in probes:
            told = set(message["candidates"])
            took_part = tuple(label for label in labels if label in told)
            heard[message["probe"]] = took_part, restored(Outcome, message["outcome"])
        elif "error" in message:
            errors.append(str(message["error"].get("message")))

    job = gatherer.errands.job(
        "compare-all",
        probes,
        suspect=[str(p) for p in suspect.sketches],
        candidate=[path for paths in sides.values() for path in paths],  # what the worker may read
        candidates=list(sides.items()),
    )
    end = gatherer.errands.run(job, what=f"compare all: {', '.join(probes)}", limit=limit, listen=listen)
    detail = end.detail or "; ".join(errors) or "the worker gave no outcome"
    failure = Failure(error=end.error or "no-answer", detail=detail[:1000])
    return {i: heard.get(i, (labels, suspect.absent.get(i, failure))) for i in probes}
