"""The files a case leaves: the record first and whole, then what is rendered from it, then the sums.

A rendering that fails leaves the record in place; nothing is ever half-written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forensics.archive import encode
from forensics.case import Request
from forensics.emitting import FORMATS, emitted
from forensics.errors import CaseError, ReportError
from forensics.exhibits import COPY, FOLDER
from forensics.investigation import Investigated

RECORD = "dossier.json"
RENDERED = ("dossier.html", "dossier.pdf")
EMITTED = tuple(FORMATS.values())
SUMS = "SHA256SUMS"
RUN = "run.json"


def prepare(folder: Path, request: Request) -> None:
    """Makes the folder, or says why it cannot be used, before hours are spent on a case."""
    for named, _ in request.subjects():
        if named.path.is_dir() and folder.resolve().is_relative_to(named.path.resolve()):
            raise CaseError(f"--out lies inside {named.label}", "name a folder outside every checkpoint")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ".writable", b"")
        (folder / ".writable").unlink()
        for name in (RECORD, *RENDERED, *EMITTED, SUMS, RUN):
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
        if (folder / FOLDER).is_symlink() or ((folder / FOLDER).exists() and not (folder / FOLDER).is_dir()):
            raise NotADirectoryError(errno.ENOTDIR, f"{FOLDER} is no folder")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into an error that the user can mend."""
    try:
        yield
    except OSError as error:
        raise ReportError(
            f"cannot write to {folder}: {error.strerror}", "free space, or name another folder with --out"
        ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Writes beside and renames, so that the file is the old one or the new one; never through a link."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.unlink(missing_ok=True)
        with open(partial, "xb") as out:
            out.write(content)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_record(folder: Path, done: Investigated, request: Request) -> bytes:
    """Writes the record, the parties' documents and the run's notes; returns the record's bytes.

    Renderings and documents of an older record in this folder are removed.
    """
    record = encode(done.dossier)
    for name in (*RENDERED, *EMITTED, SUMS, RUN):
        (folder / name).unlink(missing_ok=True)
    for old in copies(folder):
        if old not in request.filed.copies:
            (folder / old).unlink()
    write_whole(folder / RECORD, record)
    for name, content in request.filed.copies.items():
        (folder / FOLDER).mkdir(exist_ok=True)
        write_whole(folder / name, content)
    write_whole(folder / RUN, _run_notes(done, request))
    write_sums(folder)
    return record


def write_sums(folder: Path) -> None:
    """SHA256SUMS over the record, its renderings, what was emitted and the parties' documents, for `sha256sum -c`."""
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (RECORD, *RENDERED, *EMITTED, *copies(folder))
        if (folder / name).exists()
    ]
    write_whole(folder / SUMS, "".join(lines).encode())


def copies(folder: Path) -> list[str]:
    """Copies of the parties' documents in a case's folder, by their paths from there; other files are not ours."""
    inside = folder / FOLDER
    if inside.is_symlink() or not inside.is_dir():
        return []
    found = [p for p in inside.iterdir() if COPY.fullmatch(p.name) and p.is_file() and not p.is_symlink()]
    return sorted(f"{FOLDER}/{path.name}" for path in found)


def render(folder: Path, done: Investigated, record: bytes) -> list[str]:
    """Writes HTML and PDF; returns warnings. ReportError where a rendering is impossible; the record stays."""
    from forensics.report import html_of, pdf_of

    write_whole(folder / RENDERED[0], html_of(done.dossier, record).encode())
    write_sums(folder)
    rendered = pdf_of(done.dossier, record)
    write_whole(folder / RENDERED[1], rendered.pdf)
    write_sums(folder)
    return [*(f"refused while rendering: {url}" for url in rendered.refused), *rendered.warnings]


def emit(
    folder: Path, record: bytes, formats: Sequence[str], pedigree_from: float | None, *, stem: str = ""
) -> tuple[list[Path], list[ReportError]]:
    """Writes the record in other formats, each file's name after `stem`; returns the files, and what could not be made.

    Lines of SHA256SUMS for these files are renewed where there is one; all others are left as they stand, so that a
    changed record does not become a sound one.
    """
    written: list[Path] = []
    refusals: list[ReportError] = []
    for form in dict.fromkeys(formats):
        try:
            content = emitted(form, record, pedigree_from)
        except ReportError as error:
            refusals.append(error)
            continue
        written.append(folder / f"{stem}{FORMATS[form]}")
        write_whole(written[-1], content)
    sums = folder / SUMS
    if written and sums.is_file():
        names = {os.fsencode(path.name) for path in written}
        kept = [line for line in sums.read_bytes().splitlines() if line[66:] not in names]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in written]
        made = [b"%b  %b" % (d.encode(), os.fsencode(p.name)) for d, p in zip(digests, written, strict=True)]
        write_whole(sums, b"".join(line + b"\n" for line in (*kept, *made)))
    return written, refusals


def _run_notes(done: Investigated, request: Request) -> bytes:
    """What belongs to this run and not to the record: host, absolute paths, timings."""
    notes: Mapping[str, Any] = {
        "arguments": sys.argv[1:],
        "confined": dict(done.confined),
        "digests": dict(done.digests),
        "fetched": dict(done.fetched),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "python": sys.executable,
        "paths": {named.label: named.hub or str(named.path.resolve()) for named, _ in request.subjects()},
        "started": done.started,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": {name: round(value, 3) for name, value in sorted(done.seconds.items())},
    }
    text = json.dumps(notes, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"
