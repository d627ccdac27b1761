"""A bounded folder of entries that are believed only if nobody else could have written them and they are whole.

An entry is a line with the SHA-256 of what follows, then the content. Entries appear whole or not at all, so several
processes may share the folder without a lock; what one process evicts, another finds missing and makes again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from forensics.errors import CaseError

NAME = re.compile(r"(place|subject|sketch)-[0-9a-f]{64}")
"""Names of entries; nothing else in the folder is ever counted or removed."""
PARTIAL = re.compile(r"\.(place|subject|sketch)-[0-9a-f]{64}\.[0-9a-f]{16}\.part")
BEGINNING = b"forensics-cache/1 "
HEAD = len(BEGINNING) + 64 + 1
SIZE_LIMIT = 2 << 30
"""Bytes that the folder may hold unless $FORENSICS_CACHE_LIMIT says otherwise."""
ENTRY_LIMIT = 288 << 20
"""Bytes of one entry; a sketch file is smaller."""
COUNT_LIMIT = 20_000
STALE = 3600.0
"""Seconds after which a file that somebody began and never finished is removed."""
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
HINT = "name a folder of your own with --cache-dir, or give --no-cache"


def usual_folder() -> Path:
    """$FORENSICS_CACHE, else `forensics` in $XDG_CACHE_HOME, else in ~/.cache; CaseError where there is no home."""
    if named := os.environ.get("FORENSICS_CACHE"):
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(caches):  # a relative one is to be ignored (XDG Base Directory Specification 0.8)
        return Path(caches) / "forensics"
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise CaseError("there is no home folder to keep a cache in", HINT)
    return Path(home) / ".cache" / "forensics"


def size_limit() -> int:
    """Bytes from $FORENSICS_CACHE_LIMIT (plain, or with K, M or G), else SIZE_LIMIT; CaseError where it is no size."""
    said = os.environ.get("FORENSICS_CACHE_LIMIT", "").strip()
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)", said, re.IGNORECASE | re.ASCII)
    if said and not found:
        raise CaseError(f"FORENSICS_CACHE_LIMIT is {said[:40]!r}", "set it to bytes, e.g. 500M, or unset it")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()] if found else SIZE_LIMIT


def require_private(folder: Path) -> None:
    """CaseError where somebody else could put files into `folder` (an absolute path without links) or exchange it.

    Whoever can plant a sketch forges evidence. Ancestors may be writable for all only where the sticky bit keeps
    others from renaming what is ours, as in /tmp.
    """
    status = os.stat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise CaseError(f"the cache {folder} is no folder", HINT)
    if status.st_uid not in {os.geteuid(), 0} or status.st_mode & OTHERS_WRITE:
        raise CaseError(f"other users can write to the cache {folder}", HINT)
    for above in folder.parents:
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise CaseError(f"other users can exchange the cache {folder}, for {above} is open to all", HINT)


@dataclass(slots=True, kw_only=True)
class Store:
    """An opened cache folder. No method raises for what the disk refuses: an entry that cannot be had is missing."""

    folder: Path
    limit: int = SIZE_LIMIT
    count: int = COUNT_LIMIT
    trouble: str = ""
    """Why entries are no longer written; empty while they are."""
    fresh: set[str] = field(default_factory=set)
    """Entries written or used by this process, which it never evicts."""

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Makes the folder (for its owner alone) if need be; CaseError where it cannot be used or trusted."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = folder.resolve(strict=True)
            require_private(folder)
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise CaseError(f"the cache {folder} cannot be used: {reason}", HINT) from None
        return cls(folder=folder, limit=size_limit())

    def get(self, name: str) -> bytes | None:
        """An entry's content, or None; what is no whole regular file of ours under that name is removed."""
        try:
            fd = os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError:
            self.discard(name)
            return None
        with open(fd, "rb") as file:
            content = _content(file.read(HEAD + ENTRY_LIMIT) if _is_ours(fd) else b"")
            if content is not None:
                self.fresh.add(name)
                with contextlib.suppress(OSError):
                    os.utime(fd)
        if content is None:
            self.discard(name)
        return content

    def put(self, name: str, content: bytes) -> bool:
        """Writes an entry beside and renames it; False where that did not work."""
        assert NAME.fullmatch(name)
        if self.trouble or len(content) > min(self.limit, ENTRY_LIMIT):
            return False
        partial = self.folder / f".{name}.{secrets.token_hex(8)}.part"
        head = BEGINNING + hashlib.sha256(content).hexdigest().encode() + b"\n"
        try:
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "wb") as out:
                out.writelines((head, content))
            os.replace(partial, self.folder / name)
        except OSError as error:
            self.trouble = f"the cache {self.folder} could not be written: {error.strerror}"
            _remove(partial)
            return False
        except BaseException:
            _remove(partial)
            raise
        self.fresh.add(name)
        return True

    def discard(self, name: str) -> None:
        """Removes an entry that is not to be believed (of a link: the link)."""
        _remove(self.folder / name)

    def trim(self) -> None:
        """Evicts the entries that were used longest ago until the folder is within its bounds."""
        found, total = [], 0
        for name, status in self._listed():
            if NAME.fullmatch(name):
                found.append((status.st_mtime_ns, name, status.st_size))
                total += status.st_size
            elif PARTIAL.fullmatch(name) and time.time() - status.st_mtime > STALE:
                _remove(self.folder / name)
        left = len(found)
        for _, name, size in sorted(found):
            if total <= self.limit and left <= self.count:
                return
            if name not in self.fresh:
                self.discard(name)
                total, left = total - size, left - 1

    def _listed(self) -> list[tuple[str, os.stat_result]]:
        """Every file of the folder with its facts; another process may remove some meanwhile."""
        listed = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        listed.append((entry.name, entry.stat(follow_symlinks=False)))
        except OSError:
            return listed
        return listed


def _is_ours(fd: int) -> bool:
    """Whether an open file is regular, of bounded size, ours, and writable for nobody else."""
    status = os.fstat(fd)
    owned = status.st_uid in {os.geteuid(), 0} and not status.st_mode & OTHERS_WRITE
    return owned and stat.S_ISREG(status.st_mode) and status.st_size <= HEAD + ENTRY_LIMIT


def _content(raw: bytes) -> bytes | None:
    """What follows the head, or None where head and content do not fit each other."""
    content = raw[HEAD:]
    head = BEGINNING + hashlib.sha256(content).hexdigest().encode() + b"\n"
    return content if raw[:HEAD] == head else None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
