"""The parties' documents from the disk: read whole once, identified, quoted; opened like anything hostile."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from forensics.case import Filed
from forensics.errors import CaseError
from forensics.exhibits import Exhibit, Side, Statement, copied_as
from forensics.report.display import display

LARGEST = 64 << 20
"""Bytes of one document."""
LARGEST_STATEMENT = 1 << 20
"""Bytes of one statement."""
TOGETHER = 256 << 20
"""Bytes of all documents of a case."""
MOST = 100
"""Documents of a case."""
NAME, NOTE, QUOTED = 120, 1000, 8000
"""Characters of a name, of a note, and of a statement in the record."""

BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"ID3", "audio/mpeg"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
)
OFFICE = "application/vnd.openxmlformats-officedocument."
BY_NAME = {
    ("application/zip", ".docx"): f"{OFFICE}wordprocessingml.document",
    ("application/zip", ".xlsx"): f"{OFFICE}spreadsheetml.sheet",
    ("application/zip", ".pptx"): f"{OFFICE}presentationml.presentation",
    ("application/zip", ".odt"): "application/vnd.oasis.opendocument.text",
    ("application/x-ole-storage", ".doc"): "application/msword",
}
"""Containers that only a name tells apart; it is believed within its container alone."""


def filed(
    given: Iterable[tuple[str, str]], speaking_for: Sequence[str] = (), against: Sequence[str] = ()
) -> Filed:
    """The documents named on the command line; CaseError where one cannot be put in, saying why.

    `given` holds ("exhibit", path) and ("note", text) in the order of the command line; a note belongs to the exhibit
    before it. The other two name files of statements.
    """
    copies: dict[str, bytes] = {}
    held: dict[str, str] = {}

    def enter(path: str, largest: int) -> bytes:
        content = _content(path, largest)
        digest = hashlib.sha256(content).hexdigest()
        if digest in held:
            raise CaseError(f"{path} is the same document as {held[digest]}", "name each document once")
        held[digest] = path
        return content

    exhibits: list[Exhibit] = []
    for path, note in _noted(given):
        content = enter(path, LARGEST)
        exhibits.append(_exhibit(path, note, content))
        copies[copied_as(exhibits[-1])] = content
    statements: list[Statement] = []
    sides: tuple[tuple[Side, Sequence[str]], ...] = (("for", speaking_for), ("against", against))
    for side, paths in sides:
        for path in paths:
            content = enter(path, LARGEST_STATEMENT)
            statements.append(_statement(side, path, content))
            copies[copied_as(statements[-1])] = content
    if len(held) > MOST:
        raise CaseError(f"{len(held)} documents were put in, and a case takes {MOST}", "put in fewer")
    if sum(map(len, copies.values())) > TOGETHER:
        raise CaseError(f"the documents are larger than {TOGETHER >> 20} MB together", "put in fewer")
    return Filed(exhibits=tuple(exhibits), statements=tuple(statements), copies=copies)


def _noted(given: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(path, note) of each exhibit."""
    found: list[tuple[str, str]] = []
    for kind, text in given:
        if kind == "exhibit":
            found.append((text, ""))
            continue
        if not found:
            raise CaseError(
                "--exhibit-note stands before any --exhibit", "write --exhibit FILE before its note"
            )
        path, note = found[-1]
        if note:
            raise CaseError(f"{path} has two notes", "give each --exhibit one --exhibit-note at most")
        if len(text) > NOTE:
            raise CaseError(f"the note on {path} is longer than {NOTE} characters", "shorten it")
        found[-1] = (path, text)
    return found


def _content(path: str, largest: int) -> bytes:
    """A regular file's bytes, followed through no link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ELOOP:
            raise CaseError(f"{path} is a link", "name the document itself") from None
        reason = getattr(error, "strerror", None) or "no such name is possible"
        raise CaseError(f"cannot read {path}: {reason}", "check the path") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CaseError(f"{path} is no regular file", "name a document, not a folder or device")
    with open(descriptor, "rb") as file:
        try:
            content = file.read(largest + 1)
        except OSError as error:
            raise CaseError(f"cannot read {path}: {error.strerror}", "check the path") from None
    if len(content) > largest:
        raise CaseError(f"{path} is larger than {largest >> 20} MB", "put in a shorter or a smaller document")
    if not content:
        raise CaseError(f"{path} is empty", "name the document itself")
    return content


def _name(path: str) -> str:
    name = Path(path).name.encode("utf-8", "backslashreplace").decode()
    return display(name[:NAME]) + ("…" if len(name) > NAME else "")


def _exhibit(path: str, note: str, content: bytes) -> Exhibit:
    return Exhibit(
        name=_name(path),
        note=note.strip(),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        media_type=media_type(content, Path(path).suffix.lower()),
    )


def _statement(side: Side, path: str, content: bytes) -> Statement:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "save it as plain UTF-8 text; other documents go with --exhibit"
        raise CaseError(f"{path} is not UTF-8 text: byte {error.start}", hint) from None
    if not _is_text(text):
        raise CaseError(f"{path} holds bytes that no text has", "other documents go with --exhibit")
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise CaseError(f"{path} says nothing", "name a file with the statement")
    return Statement(
        side=side,
        name=_name(path),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        text=text[:QUOTED],
        omitted=max(0, len(text) - QUOTED),
    )


def media_type(content: bytes, ending: str = "") -> str:
    """What a document is by its bytes, `application/octet-stream` where they do not say; `ending` as `.docx`."""
    found = next((kind for beginning, kind in BEGINNINGS if content.startswith(beginning)), "")
    if content[:4] == b"RIFF":
        found = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(content[8:12], "")
    elif content[4:8] == b"ftyp":
        found = "video/mp4"
    if found:
        return BY_NAME.get((found, ending), found)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "application/octet-stream"
    if not _is_text(text):
        return "application/octet-stream"
    opening = text[:1000].lstrip().lower()
    if opening.startswith(("<!doctype html", "<html")):
        return "text/html"
    return "image/svg+xml" if opening.startswith("<svg") or "<svg" in opening[:300] else "text/plain"


def _is_text(text: str) -> bool:
    """Whether there is no control character but tabs, line ends, form feeds and terminal escapes."""
    return not any(unicodedata.category(c) == "Cc" for c in set(text) - set("\t\n\r\f\x1b\x85"))
