"""What can be told of a checkpoint's files without reading them, and when that is enough to know them again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from forensics.checkpoint.folder import ADAPTER
from forensics.checkpoint.manifest import recorded_name
from forensics.checkpoint.opening import local_place
from forensics.checkpoint.repository import walked
from forensics.errors import CheckpointError
from forensics.records import FileSeen

Facts: TypeAlias = tuple[int, int, int, int, int]
"""Size, modification and change time in nanoseconds, inode, device."""
RACY = 2_000_000_000
"""Nanoseconds: a file written so shortly before it was looked at may have been written again unseen, since a file
system's clock may tick every two seconds only (FAT)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A place as it was found at one moment."""

    place: str
    """What identifies the place; opaque."""
    taken: int
    """When, in nanoseconds since 1970, before any fact was asked for."""
    single: bool
    """Whether one file was named and not a folder."""
    files: Mapping[str, Facts]
    """By name as a record spells it."""
    beneath: Mapping[str, Facts] = field(default_factory=dict)
    """Files of the base below an adapter, whose names begin with `base/`."""
    repository: Mapping[str, Facts] = field(default_factory=dict)
    """Files of the code repository named for it."""

    def covers(self, seen: Iterable[FileSeen]) -> bool:
        """Whether these are the files that a record names, each once, and each could be opened and read."""
        names, facts = [f.name for f in seen], {**self.files, **self.beneath}
        read = all(f.sha256 or not f.note.startswith(("not opened", "not read")) for f in seen)
        own = set(names) - self.beneath.keys()
        once = len(names) == len(set(names)) and own == self.files.keys()
        return read and once and all(f.size == facts[f.name][0] for f in seen)


def sighting(location: str, base: str, repository: str = "") -> Sighting | None:
    """The files at a location and, for an adapter, at its base's; None for what is no local place of plain files."""
    taken = time.time_ns()
    try:
        place, files = _facts(location, "")
        beneath: dict[str, Facts] = {}
        if base and ADAPTER in files:
            below, beneath = _facts(base, "base/")
            place = f"{place}\n{base}\n{below}"
    except (OSError, ValueError, RuntimeError, CheckpointError):
        return None
    apart = repository_facts(repository)
    if files.keys() & beneath.keys() or apart is None:
        return None
    return Sighting(
        place=place + apart[0], taken=taken, single=os.path.isfile(location), files=files, beneath=beneath,
        repository=apart[1],
    )  # fmt: skip


def repository_facts(repository: str) -> tuple[str, dict[str, Facts]] | None:
    """What the place of a repository adds to that of its checkpoint, and facts of its files by name.

    None where not every file was listed or two names read alike; nothing without a repository.
    """
    if not repository:
        return "", {}
    root = Path(repository)
    try:
        names, whole = walked(root)
        facts = {recorded_name(name): _fact(os.stat(root / name)) for name in names}
    except (OSError, ValueError):
        return None
    if not whole or len(facts) < len(names):
        return None
    return f"\nrepository {os.fsencode(root.resolve()).decode('utf-8', 'backslashreplace')}", facts


def _facts(location: str, prefix: str) -> tuple[str, dict[str, Facts]]:
    """Resolved path and facts by name; ValueError for names that a record cannot tell apart and for odd files."""
    place = local_place(Path(location), location)
    names, problems = place.names()
    if problems:
        raise ValueError("not every file was listed")
    facts: dict[str, Facts] = {}
    for name in names:
        status = os.stat(place.root / name)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("no regular file")
        shown = prefix + recorded_name(name)
        if shown in facts:
            raise ValueError("two names that read alike")
        facts[shown] = _fact(status)
    resolved = os.fsencode(Path(location).resolve()).decode("utf-8", "backslashreplace")
    return resolved, facts


def _fact(status: os.stat_result) -> Facts:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def same_files(one: Sighting, other: Sighting) -> bool:
    """Whether every fact about every file agrees."""
    return (one.place, one.single, one.files, one.beneath, one.repository) == (
        other.place, other.single, other.files, other.beneath, other.repository,
    )  # fmt: skip


def unchanged(earlier: Sighting, now: Sighting) -> bool:
    """Whether no file can have changed since: the change time follows every writing and cannot be set at will."""
    seen = (*earlier.files.values(), *earlier.beneath.values(), *earlier.repository.values())
    stamps = [max(facts[1], facts[2]) for facts in seen]
    return same_files(earlier, now) and max(stamps, default=0) <= earlier.taken - RACY


def alike(earlier: Sighting, now: Sighting) -> bool:
    """Whether names, sizes and modification times agree, which whoever writes the files can bring about."""
    mine, theirs = (
        [sorted((n, f[0], f[1]) for n, f in part.items()) for part in (s.files, s.beneath, s.repository)]
        for s in (earlier, now)
    )
    return mine == theirs and (earlier.place, earlier.single) == (now.place, now.single)
