"""The working folder of a calibration: sketches and records of each checkpoint, under everything that decides them.

An interrupted run goes on from here. Whoever can plant a sketch forges evidence, so the folder is its owner's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from forensics.archive import plain, restored
from forensics.cache import require_private
from forensics.case import Named
from forensics.errors import CaseError, ForensicsError
from forensics.reads import Read
from forensics.records import Subject
from forensics.registry import Offered
from forensics.remembered import key
from forensics.sighting import Sighting

HINT = "name a folder of your own with --work"
RECORD = "read.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """An opened working folder."""

    folder: Path
    instruments: str
    """Digest of the probes as they are offered and of the code that reads."""

    @property
    def readings(self) -> Path:
        """Where the readings of pairs are added line by line."""
        return self.folder / "readings.jsonl"

    def name(self, named: Named, seen: Sighting | None) -> str:
        """Name of what is kept of a checkpoint; empty where its files cannot be told apart, so nothing may be kept."""
        if seen is None or not self.instruments:
            return ""
        files = [seen.place, seen.single, dict(seen.files)]
        return key("checkpoint", named.label, files, self.instruments)

    def place(self, name: str) -> Path:
        """An empty folder for a checkpoint that is about to be read."""
        folder = self.folder / "checkpoints" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def keep(self, name: str, read: Read) -> None:
        """Writes down that a checkpoint was read to its end; one whose probe failed is read again another time."""
        if not name or read.error or read.absent or read.is_sketch:
            return
        record = {"subject": plain(read.subject), "sketches": [path.name for path in read.sketches]}
        partial = self.folder / "checkpoints" / name / f"{RECORD}.part"
        partial.write_text(json.dumps(record), encoding="utf-8")
        os.replace(partial, partial.with_name(RECORD))

    def kept(self, name: str, named: Named, location: str) -> Read | None:
        """A checkpoint as it was read before; None where it was not, or what was kept is damaged."""
        folder = self.folder / "checkpoints" / name
        if not name or not (folder / RECORD).is_file():
            return None
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            read = Read.of(named, "suspect")
            read.take(restored(Subject, record["subject"]))
            read.location = location
            read.sketches = [folder / Path(str(file)).name for file in record["sketches"]]
        except (ForensicsError, OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return read if all(path.is_file() for path in read.sketches) else None


def instruments(offered: Mapping[str, Offered], vintage: str, *, quick: bool) -> str:
    """Digest of everything besides the files that decides a reading; empty where some code cannot be told."""
    described = [
        (o.probe.id, o.probe.version, o.probe.api, dict(o.probe.parameters()), o.origin.distribution, o.origin.sha256)
        for o in offered.values()
    ]  # fmt: skip
    if not vintage or not all(o.origin.sha256 for o in offered.values()):
        return ""
    return key("instruments", described, vintage, quick)


@contextlib.contextmanager
def working(folder: Path, made_by: str) -> Iterator[Keeping]:
    """Opens the working folder for this run alone; CaseError where it cannot be used or trusted."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve(strict=True)
        require_private(folder)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except CaseError as error:
        message = error.message.replace("the cache ", "the working folder ")
        raise CaseError(message, HINT) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise CaseError(
            f"the working folder cannot be used: {getattr(error, 'strerror', error)}", HINT
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CaseError(
                f"another run is at work in {folder}", "wait for it, or name another --work"
            ) from None
        yield Keeping(folder=folder, instruments=made_by)
    finally:
        os.close(lock)
