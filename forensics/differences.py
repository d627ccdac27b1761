"""What changed between two examinations, and what else differs in the same two records that it may come from.

A pure function of two dossiers. A cause is never proved, only offered: it is what differs and can have such an
effect; where nothing does, the change is unexplained and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from forensics.archive import plain
from forensics.readings import Measurement
from forensics.records import Dossier, Finding, Opinion, Subject
from forensics.surroundings import Change as Change  # noqa: PLC0414 - the face of this room
from forensics.surroundings import cases, changed, instrument, populations, probes, subjects, turned, versions

Key: TypeAlias = tuple[str, str]
"""Candidate and probe."""
UNEXPLAINED = "unexplained: nothing else differs that could have this effect"


def as_json(changes: Iterable[Change]) -> dict[str, Any]:
    """The changes for a program."""
    return {"changes": [plain(change) for change in changes]}


def differences(before: Dossier, after: Dossier) -> tuple[Change, ...]:
    """Every change, inputs and instruments first, what they led to last."""
    pair = _Pair.of(before, after)
    found = tuple(_findings(pair))
    return (
        *cases(before, after),
        *subjects(*pair.subjects),
        *versions(before, after),
        *probes(before, after),
        *populations(before, after),
        *found,
        *_opinions(pair, found),
        *_others(pair),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two records of which one may explain the other, with what is asked for again and again."""

    sides: tuple[Dossier, Dossier]
    subjects: tuple[dict[str, Subject], dict[str, Subject]]
    """By the name under which they are compared: suspects with each other, all others by label."""
    findings: tuple[dict[Key, Finding], dict[Key, Finding]]
    opinions: tuple[dict[str, Opinion], dict[str, Opinion]]
    """Of candidates and controls."""
    surroundings: tuple[str, ...]
    """Versions that differ."""
    calibrations: tuple[str, ...]
    """Reference populations that differ."""

    @classmethod
    def of(cls, before: Dossier, after: Dossier) -> _Pair:
        """Two dossiers made ready."""
        first, second = (_indexed(d) for d in (before, after))
        return cls(
            sides=(before, after),
            subjects=(first[0], second[0]),
            findings=(first[1], second[1]),
            opinions=(first[2], second[2]),
            surroundings=tuple(turned(c) for c in versions(before, after)),
            calibrations=tuple(f"calibration {c.what}" for c in populations(before, after)),
        )

    def content(self, key: str) -> str:
        """How a subject's files differ; empty where they do not."""
        mine, theirs = (side.get(key) for side in self.subjects)
        if (mine.digest if mine else None) != (theirs.digest if theirs else None):
            return f"{key}: other files"
        return f"{key}: read in another form" if mine and theirs and mine.form != theirs.form else ""


def _indexed(dossier: Dossier) -> tuple[dict[str, Subject], dict[Key, Finding], dict[str, Opinion]]:
    return (
        {"suspect" if s.label == dossier.case.suspect else s.label: s for s in dossier.subjects},
        {(f.candidate, f.probe.id): f for f in dossier.findings},
        {o.candidate: o for o in (*dossier.opinions, *dossier.controls)},
    )


def _reading(finding: Finding | None) -> str:
    if finding is None:
        return ""
    found = finding.outcome
    return f"{found.value:.9g}" if isinstance(found, Measurement) else f"{found.kind}: {found.detail}"[:200]


def _weight(finding: Finding | None) -> str:
    if finding is None:
        return ""
    weight = finding.weight
    return f"{weight.log10_lr:+.3g} ({weight.lower:+.3g} to {weight.upper:+.3g})" if weight else "none"


def _findings(pair: _Pair) -> Iterator[Change]:
    mine, theirs = pair.findings
    for key in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(key), theirs.get(key)
        name, causes = f"{key[1]} on {key[0]}", _why_read(pair, *key)
        read = list(changed("finding", f"{name}, reading", (_reading(one), _reading(other)), causes))
        if one and other:
            p = (one.exact.p if one.exact else None, other.exact.p if other.exact else None)
            read += changed("finding", f"{name}, exact p", p, causes)
            why = ["its reading changed"] if read else []
            why += pair.calibrations
            why += (
                []
                if one.probe.standard == other.probe.standard
                else ["parameters are as calibrated in one only"]
            )
            read += changed(
                "finding", f"{name}, weight", (_weight(one), _weight(other)), _or_versions(pair, why)
            )
        yield from read


def _or_versions(pair: _Pair, causes: list[str]) -> list[str]:
    """Direct causes; where there is none, versions; where these are the same, nothing."""
    return causes or list(pair.surroundings) or [UNEXPLAINED]


def _why_read(pair: _Pair, candidate: str, probe: str) -> list[str]:
    """What a reading may have changed by: files and instrument."""
    mine, theirs = pair.findings[0].get((candidate, probe)), pair.findings[1].get((candidate, probe))
    causes = []
    if mine is None or theirs is None:
        named = [candidate in (*d.case.candidates, *d.case.controls) for d in pair.sides]
        asked = [probe in d.case.probes for d in pair.sides]
        causes += [f"{candidate} stands in one case only"] if named[0] != named[1] else []
        causes += ["the probe took part in one case only"] if asked[0] != asked[1] else []
        return _or_versions(pair, causes)
    causes += [told for told in (pair.content("suspect"), pair.content(candidate)) if told]
    causes += [turned(change) for change in instrument(mine.probe, theirs.probe)]
    return _or_versions(pair, causes)


def _opinions(pair: _Pair, found: Iterable[Change]) -> Iterator[Change]:
    mine, theirs = pair.opinions
    led: dict[str, list[str]] = {}
    for change in found:
        probe, _, rest = change.what.partition(" on ")
        led.setdefault(rest.rpartition(", ")[0], []).append(probe)
    for candidate in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(candidate), theirs.get(candidate)
        causes = _why_concluded(pair, candidate, sorted(set(led.get(candidate, ()))))
        for name in ("verdict", "relation", "direction", "log10_lr", "lower", "upper", "cap", "coverage"):
            values = (getattr(one, name) if one else None, getattr(other, name) if other else None)
            yield from changed("opinion", f"{candidate}, {name}", values, causes)


def _why_concluded(pair: _Pair, candidate: str, probes: list[str]) -> list[str]:
    """What an opinion may have changed by: its findings and their weights, calibrations, who else was in the case."""
    causes = [f"findings changed: {', '.join(probes)}"] if probes else []
    causes += pair.calibrations
    causes += [
        f"other {c.what} in the case"
        for c in cases(*pair.sides)
        if c.what in {"candidates", "controls", "probes"}
    ]
    causes += [told for key in ("suspect", candidate) if (told := pair.content(key))] if not probes else []
    if [c.alarms for c in pair.sides[0].certificates] != [c.alarms for c in pair.sides[1].certificates]:
        causes.append("the self-test came out otherwise")
    return _or_versions(pair, causes)


def _others(pair: _Pair) -> Iterator[Change]:
    """Parts that are not told one by one: that they differ, and how many entries they have."""
    for name in (
        "joint",
        "candidate_relations",
        "claims",
        "problems",
        "certificates",
        "exhibits",
        "statements",
    ):
        mine, theirs = (getattr(d, name) for d in pair.sides)
        if [plain(one) for one in mine] != [plain(one) for one in theirs]:
            yield Change(
                part="other", what=name, before=f"{len(mine)} entries", after=f"{len(theirs)} entries"
            )
