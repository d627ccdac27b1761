"""What differs around the findings of two records: case, subjects, versions, instruments, calibrations.

What it led to, and which of it may explain what, is told in `differences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from forensics.records import Dossier, ProbeUsed, Subject

Part: TypeAlias = Literal["case", "subject", "version", "probe", "calibration", "finding", "opinion", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not in both records alike."""

    part: Part
    what: str
    before: str
    """As the first record says it; empty where it says nothing."""
    after: str
    causes: tuple[str, ...] = ()
    """For findings and opinions: what else differs, most direct first, or that nothing does."""


def turned(change: Change) -> str:
    """A change on one line."""
    return f"{change.what} {change.before or 'absent'} → {change.after or 'absent'}"


def changed(part: Part, what: str, values: tuple[Any, Any], causes: Iterable[str] = ()) -> Iterator[Change]:
    """The change where the two values, told as text, are not the same."""
    before, after = ("" if value is None else str(value) for value in values)
    if before != after:
        yield Change(part=part, what=what, before=before, after=after, causes=tuple(causes))


def cases(before: Dossier, after: Dossier) -> Iterator[Change]:
    """The question put: its names, and who and what took part."""
    mine, theirs = before.case, after.case
    for name in ("id", "suspect", "generated_at"):
        yield from changed("case", name, (getattr(mine, name), getattr(theirs, name)))
    for name in ("candidates", "controls", "probes"):
        both = [sorted(getattr(one, name)) for one in (mine, theirs)]
        yield from changed("case", name, (", ".join(both[0]), ", ".join(both[1])))


def subjects(mine: Mapping[str, Subject], theirs: Mapping[str, Subject]) -> Iterator[Change]:
    """Subjects of both sides by the name under which they are compared, then their files one by one."""
    for key in sorted(mine.keys() & theirs.keys()):
        for name in ("form", "role", "digest", "commit", "dtypes", "parameters", "recognised"):
            values = (getattr(mine[key], name), getattr(theirs[key], name))
            told = [", ".join(v) if isinstance(v, tuple) else v for v in values]
            yield from changed("subject", f"{key}, {name}", (told[0], told[1]))
        then, now = (
            {f.name: f.sha256 or f.note or "not hashed" for f in s.files} for s in (mine[key], theirs[key])
        )
        for file in sorted(then.keys() | now.keys()):
            yield from changed("subject", f"{key}, {file}", (then.get(file), now.get(file)))


def versions(mine: Dossier, theirs: Dossier) -> Iterator[Change]:
    """The program, Python, the device and libraries."""
    for name, tool in (("program", "name"), ("program version", "version")):
        yield from changed("version", name, (getattr(mine.tool, tool), getattr(theirs.tool, tool)))
    for name in ("python", "device"):
        values = (getattr(mine.environment, name), getattr(theirs.environment, name))
        yield from changed("version", name, values)
    yield from mapped("version", "", mine.environment.packages, theirs.environment.packages)


def mapped(part: Part, prefix: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Change]:
    """Values of two mappings, name by name."""
    for name in sorted(mine.keys() | theirs.keys()):
        yield from changed(part, f"{prefix}{name}", (mine.get(name), theirs.get(name)))


def _used(dossier: Dossier) -> dict[str, ProbeUsed]:
    used = [*(f.probe for f in dossier.joint), *(f.probe for f in dossier.findings)]
    return {probe.id: probe for probe in used}


def instrument(mine: ProbeUsed, theirs: ProbeUsed) -> Iterator[Change]:
    """Version, parameters and source of one probe."""
    yield from changed("probe", f"{mine.id}, version", (mine.version, theirs.version))
    yield from mapped("probe", f"{mine.id}, parameter ", mine.parameters, theirs.parameters)
    for name in ("distribution", "version", "sha256"):
        values = (getattr(mine.origin, name), getattr(theirs.origin, name))
        yield from changed(
            "probe", f"{mine.id}, {'source' if name == 'sha256' else f'plugin {name}'}", values
        )


def probes(before: Dossier, after: Dossier) -> Iterator[Change]:
    """Instruments that took part in one case only, or otherwise."""
    mine, theirs = _used(before), _used(after)
    for probe in sorted(mine.keys() | theirs.keys()):
        if probe in mine and probe in theirs:
            yield from instrument(mine[probe], theirs[probe])
        else:
            told = [f"version {side[probe].version}" if probe in side else "" for side in (mine, theirs)]
            yield from changed("probe", probe, (told[0], told[1]))


def populations(mine: Dossier, theirs: Dossier) -> Iterator[Change]:
    """What weighed the findings."""
    first, second = ({p.id: p.sha256 for p in d.environment.populations} for d in (mine, theirs))
    yield from mapped("calibration", "", first, second)
    scales = (mine.environment.verbal_scale, theirs.environment.verbal_scale)
    yield from changed("calibration", "verbal scale", scales)
