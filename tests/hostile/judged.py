"""A case without workers: the same reading, comparing and weighing in this process, for tests of many pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from forensics import entering
from forensics.case import Named, Role
from forensics.comparing import compared
from forensics.evidence import weighing
from forensics.gather import Read
from forensics.reading import ReadingDone, read
from forensics.readings import Outcome
from forensics.records import Case, Opinion
from forensics.registry import Offered, Registry


@cache
def instruments() -> tuple[Registry, Mapping[str, Offered], Any]:
    """Every bundled probe that sketches in the shared worker, and the reference population."""
    registry = Registry.load(only_bundled=True)
    ids = tuple(i for i, o in registry.probes.items() if not o.probe.isolated)
    offered, _ = weighing.accepted(registry.calibrations())
    return registry, registry.chosen(ids, {}), weighing.load_reference(offered)


@cache
def sketched(path: Path) -> ReadingDone:
    """One subject's record and sketches; read once."""
    registry, offered, _ = instruments()
    checkpoint = registry.open(str(path), path.name)
    try:
        return read(checkpoint, [o.probe for o in offered.values()])  # type: ignore[misc]
    finally:
        checkpoint.close()


def reading(path: Path, role: Role) -> Read:
    """What a worker would have told of it."""
    subject = replace(sketched(path).subject, label=path.name, role=role)
    return Read(named=Named(label=path.name, path=path), role=role, subject=subject)


def outcomes(suspect: Path, candidate: Path) -> dict[str, Outcome]:
    """What every probe says of a pair."""
    _, offered, _ = instruments()
    mine, theirs = sketched(suspect).sketches, sketched(candidate).sketches
    return {i: compared(o.probe, mine[i], theirs[i]) for i, o in offered.items()}  # type: ignore[arg-type]


def opinion(suspect: Path, candidate: Path) -> Opinion:
    """What the house concludes of a pair."""
    _, offered, reference = instruments()
    one, other = reading(suspect, "suspect"), reading(candidate, "candidate")
    findings = [
        entering.finding(offered[i], other.named.label, outcome)
        for i, outcome in outcomes(suspect, candidate).items()
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
