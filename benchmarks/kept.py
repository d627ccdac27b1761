"""Measured pairs kept without their checkpoints, and the verdict of the whole on each.

A file of kept pairs holds, gzipped, one JSON line for what was measured with (probes and versions), one per checkpoint
(what its record says of it, file by file only in its digest) and one per pair with every probe's reading, to six
significant digits. So the rules can be put to the pairs anew after a change of thresholds or of the fusion.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure_pairs import Bench
from forensics import sketches
from forensics.archive import plain, restored
from forensics.evidence import weighing
from forensics.readings import Abstention, Exact, Group, Measurement, Outcome, Reason, Sign, SignKind
from forensics.records import Case, Finding, Opinion, Origin, ProbeUsed, Subject

SCHEMA = "forensics-kept-pairs/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Measured pairs and what judging them needs."""

    measured_with: str
    """Digest of probes, alignment and readers, as `measure_pairs` names its folder."""
    versions: Mapping[str, str]
    """Of the probes, by id."""
    subjects: Mapping[str, Subject]
    """By the name of the checkpoint."""
    lines: tuple[Mapping[str, Any], ...]

    def judged(self, reference: weighing.Reference) -> list[dict[str, Any]]:
        """Every pair with the opinion on it."""
        return [{**line, "opinion": judge(self, line, reference)} for line in self.lines]


def of_bench(bench: Bench, lines: Sequence[Mapping[str, Any]]) -> Kept:
    """What was measured, with the subjects from the sketches."""
    names = sorted({line[side] for line in lines for side in ("suspect", "candidate")})
    return Kept(
        measured_with=bench.cache.name,
        versions={probe.id: probe.version for probe in bench.probes()},
        subjects={name: replace(sketches.load(bench.book(name)).subject, files=()) for name in names},
        lines=tuple(lines),
    )


def write(path: Path, kept: Kept) -> None:
    """The same bytes for the same pairs."""
    head = {"schema": SCHEMA, "measured_with": kept.measured_with, "versions": dict(kept.versions)}
    subjects = ({"name": name, "subject": plain(one)} for name, one in sorted(kept.subjects.items()))
    text = "".join(_line(row) for row in (head, *subjects, *kept.lines))
    with path.open("wb") as out, gzip.GzipFile("", "wb", compresslevel=9, fileobj=out, mtime=0) as packed:
        packed.write(text.encode())


def load(path: Path) -> Kept:
    """What `write` wrote; ValueError for anything else, SystemExit where nothing was kept yet."""
    if not path.exists():
        raise SystemExit(f"no pairs are kept in {path.name} yet: measure them first (--zoo)")
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    if not rows or rows[0].get("schema") != SCHEMA:
        raise ValueError(f"{path.name} holds no kept pairs")
    return Kept(
        measured_with=rows[0]["measured_with"],
        versions=rows[0]["versions"],
        subjects={r["name"]: restored(Subject, r["subject"]) for r in rows[1:] if "subject" in r},
        lines=tuple(r for r in rows[1:] if "readings" in r),
    )


def judge(kept: Kept, line: Mapping[str, Any], reference: weighing.Reference) -> Opinion:
    """The opinion on one measured pair, as a case with one candidate would give it."""
    suspect, candidate = (kept.subjects[line[side]] for side in ("suspect", "candidate"))
    origin = Origin(distribution="model-forensics", version="", sha256="", bundled=True)
    width = min(s.architecture.width for s in (suspect, candidate) if s.architecture is not None)
    findings = []
    for probe, version in sorted(kept.versions.items()):
        used = ProbeUsed(id=probe, version=version, title="", measures="", parameters={}, origin=origin)
        outcome = _outcome(line["readings"][probe], width)
        findings.append(Finding(probe=used, candidate="candidate", outcome=outcome))
    subjects = [
        replace(suspect, label="suspect", role="suspect"),
        replace(candidate, label="candidate", role="candidate"),
    ]
    case = Case(id="", suspect="suspect", candidates=("candidate",))
    return weighing.weigh(findings, subjects, case, reference).opinions[0]


def _line(row: Mapping[str, Any]) -> str:
    """Compact JSON on a line of its own."""
    return json.dumps(_short(row), sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def _short(value: Any) -> Any:
    """Floats to six significant digits, everywhere."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return value


def _outcome(reading: Mapping[str, Any], width: int) -> Outcome:
    """As much of a measurement as the weighing looks at, or an abstention."""
    if "none" in reading:
        return Abstention(reason=Reason.NOT_COMPARABLE, detail=str(reading["none"]))
    p = reading["p"]
    return Measurement(
        value=reading["value"],
        quantity="",
        summary="",
        group=None if reading["group"] is None else Group(reading["group"]),
        layers=tuple(reading["layers"]),
        exact=None if p is None else Exact(p=p, null_hypothesis="", method=""),
        facts={"width": width},
        signs=tuple(Sign(sign=SignKind(kind), detail="seen when measured") for kind in reading["signs"]),
    )
