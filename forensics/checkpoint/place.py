"""Where the files of a checkpoint lie: a local folder here, a pinned revision of a hub repository elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from forensics.checkpoint.source import ByteSource, LocalBytes
from forensics.errors import CheckpointError
from forensics.records import Problem
from forensics.subjects import WEIGHTS

FILES_LIMIT = 5_000
DEPTH_LIMIT = 4
FIRST = frozenset({
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
    "config.json", "params.json", "adapter_config.json", "tokenizer.json",
})  # fmt: skip
"""Names by which loaders ask; they are always on the list."""
NEEDED = (
    ".index.json", "config.json", "tokenizer.json", "tokenizer.model", "spiece.model", "tekken.json", ".tiktoken",
    "tiktoken.model", "vocab.json", "merges.txt",
)  # fmt: skip


class Place(Protocol):
    """Files by relative name with forward slashes. Every method refuses names that lead outside (PATH_ESCAPE)."""

    def names(self) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        """All names, sorted, within budgets; problems (without `where`) say what was left out."""
        ...

    def holds(self, name: str) -> bool:
        """Whether there is such a file; CheckpointError (PATH_ESCAPE) for a name that leads outside."""
        ...

    def open(self, name: str) -> ByteSource:
        """The file's bytes; CheckpointError where it cannot be had."""
        ...

    def known_sha256(self, name: str) -> str:
        """The SHA-256 that the place itself claims for the file, empty where it claims none. A claim, not a finding."""
        ...


def read_small(place: Place, name: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a file, or None where there is no such file."""
    if not place.holds(name):
        return None
    source = place.open(name)
    try:
        return source.read(0, min(source.size, limit))
    finally:
        source.close()


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder on disk, or some files of one (`only`), e.g. a single GGUF with its siblings."""

    root: Path
    only: frozenset[str] = field(default_factory=frozenset)

    def names(self) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        """See Place. Hidden folders are left out, links to folders are not followed."""
        if self.only:
            return tuple(sorted(self.only)), ()
        return _walked(self.root)

    def holds(self, name: str) -> bool:
        """See Place."""
        return os.path.exists(inside(self.root, name)) and (not self.only or name in self.only)

    def open(self, name: str) -> ByteSource:
        """See Place."""
        return LocalBytes.open(inside(self.root, name), name)

    def known_sha256(self, name: str) -> str:
        """See Place: a folder claims nothing."""
        del name
        return ""


def _walked(root: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    names: list[str] = []
    problems: list[Problem] = []
    for folder, folders, files in os.walk(root, followlinks=False):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < DEPTH_LIMIT else []
        names += [(Path(folder) / f).relative_to(root).as_posix() for f in files]
        if len(names) > FILES_LIMIT:
            problems.append(
                Problem(where="", code="TOO_MANY_FILES", message=f"only {FILES_LIMIT} files were listed")
            )
            break
    return budgeted(names), tuple(problems)


def budgeted(names: Iterable[str]) -> tuple[str, ...]:
    """At most FILES_LIMIT names, sorted.

    Junk must not push weights off the list: of any format, for a second set beside the first keeps `independent` away.
    """
    ranked = sorted(
        names,
        key=lambda n: (n not in FIRST, not n.endswith(WEIGHTS), not n.endswith(NEEDED), n.count("/"), n),
    )
    return tuple(sorted(ranked[:FILES_LIMIT]))


def proper(name: str) -> str:
    """The name itself if it is a relative one that climbs nowhere; else CheckpointError (PATH_ESCAPE)."""
    pure = PurePosixPath(name)
    if (
        not name
        or pure.is_absolute()
        or ".." in pure.parts
        or any(bad in name for bad in ("\\", "\0", "://"))
    ):
        raise CheckpointError(f"{name[:200]!r} names a file outside the folder", code="PATH_ESCAPE")
    return name


def inside(root: Path, name: str) -> Path:
    """The real path of a file named relative to `root`.

    Refused (PATH_ESCAPE): absolute names, `..`, backslashes, NUL, schemes, and links that leave the folder, except
    a hub cache's own links from `snapshots/` into `blobs/`.
    """
    proper(name)
    try:
        home, real = root.resolve(), (root / name).resolve()
    except (OSError, RuntimeError, ValueError):
        raise CheckpointError(f"{name[:200]!r} cannot be resolved", code="PATH_ESCAPE") from None
    allowed = [home]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in allowed):
        raise CheckpointError(f"{name[:200]!r} leads outside the folder", code="PATH_ESCAPE")
    return real


def display_name(name: str) -> str:
    """A file's name as Unicode text of bounded length: bytes that are none are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()[:200]
