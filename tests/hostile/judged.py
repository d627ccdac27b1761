"""A case without workers: the same reading, comparing and weighing in this process, for tests of many pairs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from forensics import investigation
from forensics.case import Named
from forensics.evidence import weighing
from forensics.gather import Read
from forensics.readings import Outcome
from forensics.reading import read
from forensics.records import Case, Opinion
from forensics.registry import Offered, Registry
from forensics.worker import compared


@cache
def instruments() -> tuple[Registry, Mapping[str, Offered], Any]:
    """Every bundled probe that sketches in the shared worker, and the reference population."""
    registry = Registry.load(only_bundled=True)
    ids = tuple(i for i, o in registry.probes.items() if not o.probe.isolated)
    offered, _ = weighing.accepted(registry.calibrations())
    return registry, registry.chosen(ids, {}), weighing.load_reference(offered)


def reading(path: Path, role: Any) -> tuple[Read, Any]:
    """One subject's record and sketches."""
    registry, offered, _ = instruments()
    checkpoint = registry.open(str(path), path.name)
    try:
        done = read(checkpoint, [o.probe for o in offered.values()])  # type: ignore[misc]
    finally:
        checkpoint.close()
    from dataclasses import replace

    subject = replace(done.subject, label=path.name, role=role)
    return Read(named=Named(label=path.name, path=path), role=role, subject=subject), done.sketches


def outcomes(suspect: Path, candidate: Path) -> dict[str, Outcome]:
    """What every probe says of a pair."""
    _, offered, _ = instruments()
    (_, mine), (_, theirs) = reading(suspect, "suspect"), reading(candidate, "candidate")
    return {i: compared(o.probe, mine[i], theirs[i]) for i, o in offered.items()}  # type: ignore[arg-type]


def opinion(suspect: Path, candidate: Path) -> Opinion:
    """What the house concludes of a pair."""
    _, offered, reference = instruments()
    (one, mine), (other, theirs) = reading(suspect, "suspect"), reading(candidate, "candidate")
    findings = [
        investigation._finding(o, other, compared(o.probe, mine[i], theirs[i]), None)  # type: ignore[arg-type]
        for i, o in offered.items()
    ]
    case = Case(
        id="",
        suspect=suspect.name,
        candidates=(candidate.name,),
        controls=(),
        probes=tuple(offered),
        generated_at=None,
    )
    return weighing.weigh(findings, [one.subject, other.subject], case, reference).opinions[0]
