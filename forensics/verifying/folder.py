"""The files of a finished case: their sums, the record in its one form, and every copy of it.

Whatever lies in the folder may be forged: files are opened through no link, read up to a limit, and never obeyed.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.archive import decode
from forensics.casefiles import RECORD, RENDERED, SUMS, copies
from forensics.errors import ReportError
from forensics.exhibits import COPY, FOLDER, Exhibit, Statement, copied_as
from forensics.records import Dossier
from forensics.report.detach import attachments
from forensics.report.html import EMBED_LIMIT, OFFERED
from forensics.verifying.checks import Check, failed, passed, unchecked

LARGEST_RECORD = 64 << 20
LARGEST = 256 << 20
"""Bytes of one file of a case."""
LINE = re.compile(r"([0-9a-f]{64})  ([!-~]{1,120})")
"""One line of sums, as `sha256sum` writes it for the names that a case leaves."""


class UnreadableError(Exception):
    """Why a file of a case was not read."""


def content_of(path: Path, limit: int = LARGEST) -> bytes:
    """A regular file's bytes, through no link; UnreadableError, or FileNotFoundError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableError("is a link" if error.errno == errno.ELOOP else str(error.strerror)) from None
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise UnreadableError("is no regular file")
        if seen.st_size > limit:
            raise UnreadableError(f"is larger than {limit >> 20} MB")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise UnreadableError(str(error.strerror)) from None
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finished case on the disk."""

    folder: Path
    name: str
    """Name of the record's file in it."""
    whole: bool
    """Whether the folder was named and not the record alone: then its sums and documents have to be there."""
    record: bytes

    @classmethod
    def at(cls, path: Path) -> Found:
        """The case in a folder, or of a record's file; ReportError where there is none that can be read."""
        whole = path.is_dir()
        source = path / RECORD if whole else path
        try:
            record = content_of(source, LARGEST_RECORD)
        except FileNotFoundError:
            hint = "name a case's folder or its dossier.json"
            raise ReportError(f"{source}: no such file", hint) from None
        except UnreadableError as error:
            raise ReportError(f"{source} {error}", "name a case's folder or its dossier.json") from None
        return cls(folder=source.parent, name=source.name, whole=whole, record=record)

    def lacking(self, what: str, detail: str) -> Check:
        """A file of the case that is not there: a failure where the whole folder was named."""
        return failed(what, detail) if self.whole else unchecked(what, detail)


def files_checked(found: Found) -> tuple[list[Check], Dossier | None]:
    """Every check on the files of a case, and its record where that can be read."""
    checks = list(_sums(found))
    try:
        dossier: Dossier | None = decode(found.record)
    except ReportError as error:
        dossier = None
        checks.append(failed(found.name, error.message))
    if dossier is not None:
        written = f"fits the schema {dossier.schema}; written by {dossier.tool.name} {dossier.tool.version}"
        checks += [passed(found.name, written), _form(found)]
    checks += [_page(found), _pdf(found)]
    if dossier is not None:
        checks += _documents(found, dossier)
    return checks, dossier


def _sums(found: Found) -> Iterator[Check]:
    """One check per line of SHA256SUMS, and one per file of the case that no line names."""
    if found.name != RECORD:
        yield unchecked(
            SUMS, f"the sums of a case name its record {RECORD}, and this one is called otherwise"
        )
        return
    try:
        raw = content_of(found.folder / SUMS, 1 << 16)
    except FileNotFoundError:
        yield found.lacking(SUMS, "is not there")
        return
    except UnreadableError as error:
        yield failed(SUMS, str(error))
        return
    named: set[str] = set()
    for line in raw.decode("utf-8", "replace").splitlines():
        matched = LINE.fullmatch(line)
        digest, name = (matched[1], matched[2]) if matched else ("", "")
        if not (name in (RECORD, *RENDERED) or _is_copy(name)):
            yield failed(SUMS, f"a line that no case leaves: {line[:120]}")
        elif name in named:
            yield failed(SUMS, f"names {name} twice")
        else:
            yield _sum(found, name, digest)
        named.add(name)
    here = [name for name in (RECORD, *RENDERED) if os.path.lexists(found.folder / name)]
    for name in (*here, *copies(found.folder)):
        if name not in named:
            yield failed(SUMS, f"does not name {name}, which lies in the folder")


def _is_copy(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder == FOLDER and COPY.fullmatch(rest) is not None


def _sum(found: Found, name: str, digest: str) -> Check:
    try:
        same = hashlib.sha256(content_of(found.folder / name)).hexdigest() == digest
    except FileNotFoundError:
        return failed(SUMS, f"names {name}, which is not there")
    except UnreadableError as error:
        return failed(SUMS, f"{name} {error}")
    return passed(SUMS, f"{name} has the sum") if same else failed(SUMS, f"{name} has another sum")


def _form(found: Found) -> Check:
    """Whether the record is in the one form that it is written in, so that it says one thing to every reader."""
    try:
        form = json.dumps(
            json.loads(found.record), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False
        )
        same = form.encode() + b"\n" == found.record
    except (ValueError, RecursionError):
        same = False
    if same:
        return passed(found.name, "in canonical form")
    return failed(found.name, "not in canonical form: keys twice, another order, other spaces or numbers")


def _page(found: Found) -> Check:
    """Whether the page offers this record for saving; of a large one it states only the digest."""
    name = RENDERED[0]
    try:
        page = content_of(found.folder / name)
    except FileNotFoundError:
        return unchecked(name, "is not there")
    except UnreadableError as error:
        return failed(name, str(error))
    digest = hashlib.sha256(found.record).hexdigest()
    beginning = OFFERED.encode()
    if b"<!--" in page or b"<script" in page.lower() or page.count(b"<a download") > 1:
        return failed(name, "is not a page that this program writes")
    if beginning not in page:
        if len(found.record) > EMBED_LIMIT and f"<b>{digest}</b>".encode() in page:
            return passed(name, "states the digest of this record, which is too large to be embedded")
        return failed(name, "carries no copy of the record")
    carried = page.partition(beginning)[2].partition(b'"')[0]
    try:
        same = base64.b64decode(carried, validate=True) == found.record
    except (binascii.Error, ValueError):
        same = False
    return passed(name, "carries this record") if same else failed(name, "carries another record")


def _pdf(found: Found) -> Check:
    """Whether the PDF has this record attached, and nothing else."""
    name = RENDERED[1]
    try:
        told = attachments(content_of(found.folder / name))
    except FileNotFoundError:
        return unchecked(name, "is not there")
    except (UnreadableError, ReportError) as error:
        return failed(name, str(error))
    if [attached for attached, _ in told] != [RECORD]:
        return failed(name, f"has {len(told)} files attached and not {RECORD} alone")
    same = told[0][1] == hashlib.sha256(found.record).hexdigest()
    return passed(name, "carries this record") if same else failed(name, "carries another record")


def _documents(found: Found, dossier: Dossier) -> Iterator[Check]:
    """Whether the parties' documents lie in the folder as the record identifies them."""
    documents: list[Exhibit | Statement] = [*dossier.exhibits, *dossier.statements]
    for document in documents:
        name = copied_as(document)
        if not name:
            yield failed(document.name, "the record states no digest of it")
            continue
        try:
            content = content_of(found.folder / name)
        except FileNotFoundError:
            yield found.lacking(name, "is not there")
        except UnreadableError as error:
            yield failed(name, str(error))
        else:
            same = hashlib.sha256(content).hexdigest() == document.sha256 and len(content) == document.size
            said = "what the record says was put in"
            yield passed(name, f"is {said}") if same else failed(name, f"is not {said}")
