"""The subjects' files against what a record says of them: read again through the same readers, hashed, not probed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from forensics.case import Named, Request
from forensics.errands import Errands
from forensics.errors import CaseError, CheckpointError, ReportError
from forensics.gather import Gatherer, Watch
from forensics.records import Dossier, FileSeen, Subject
from forensics.repositories import Repositories
from forensics.verifying.checks import Check, failed, passed, unchecked

TOLD = 50
"""Files of one subject that are named one by one."""


def subjects_checked(
    dossier: Dossier, given: Sequence[Named], request: Request, watch: Watch
) -> Iterator[Check]:
    """Checks on every subject of the record; those that `given` does not name are told not to be checked.

    ReportError for a name that is no subject's, CheckpointError for a place that does not exist.
    """
    matched = matching(dossier, given)
    with tempfile.TemporaryDirectory(prefix="forensics-") as scratch:
        errands = Errands(request=request, hub=Repositories(token_env=request.token_env))
        gatherer = Gatherer(request=request, offered={}, scratch=Path(scratch), watch=watch, errands=errands)
        for index, subject in enumerate(dossier.subjects):
            what = f"{subject.role} {subject.label}"
            named = matched.get(subject.label)
            if named is None:
                yield unchecked(what, "name its files with --subjects")
            elif subject.form == "unreadable":
                yield unchecked(what, "could not be read when it was examined")
            elif subject.form == "merged" and not request.base:
                yield unchecked(what, "was read with a base; name that with --base")
            else:
                read = gatherer.read(index, (named, subject.role))
                if read.error:
                    yield failed(what, read.error.message)
                else:
                    yield from compared(what, subject, replace(read.subject, label=subject.label))


def matching(dossier: Dossier, given: Sequence[Named]) -> dict[str, Named]:
    """What was named, by the label of its subject: the same label, else the only one with the same last part."""
    labels = [subject.label for subject in dossier.subjects]
    found: dict[str, Named] = {}
    for named in given:
        alike = [one for one in labels if one == named.label]
        alike = alike or [one for one in labels if _last(one) == _last(named.label)]
        if len(alike) != 1:
            known = ", ".join(label[:60] for label in labels[:12])
            raise ReportError(
                f"{named.label} is no subject of this record", f"write LABEL=PATH; known: {known}"
            )
        if alike[0] in found:
            raise CaseError(f"{alike[0]} was named twice", "name each subject once")
        if not named.hub and not named.path.exists():
            raise CheckpointError(f"{named.path}: no such file or folder", "check the path", code="MISSING")
        found[alike[0]] = named
    return found


def _last(label: str) -> str:
    return label.rstrip("/").rpartition("/")[2]


def compared(what: str, before: Subject, now: Subject) -> Iterator[Check]:
    """A record of a subject and what its files are now, file by file; then the subject as a whole."""
    if now.form == "sketch":
        stated = "a sketch file states the same files; it holds none to hash"
        alike = before.files == now.files and before.digest == now.digest
        yield unchecked(what, stated) if alike else failed(what, "the sketch is of other files")
        return
    then, today = ({file.name: file for file in subject.files} for subject in (before, now))
    names = sorted(then.keys() | today.keys())
    checks = [_file(what, name, then.get(name), today.get(name)) for name in names]
    wrong = [check for check in checks if check and check.standing == "FAILED"]
    unread = [check for check in checks if check and check.standing == "not checked"]
    yield from wrong[:TOLD]
    yield from unread[:TOLD]
    count = sum(check is None for check in checks)
    told = f"{count} files are the same, {len(wrong)} are not, {len(unread)} were not checked"
    if wrong:
        yield failed(what, told)
    elif not count:
        yield unchecked(what, f"{told}: nothing of it was hashed whole")
    elif before.form != "first-look" and not unread and before.digest != now.digest:
        yield failed(what, f"{told}; the digest over them is another")
    else:
        yield passed(what, told)
    if before.commit and now.commit and before.commit != now.commit:
        yield unchecked(what, f"examined at commit {before.commit[:60]}, read now at {now.commit}")


def _file(what: str, name: str, then: FileSeen | None, now: FileSeen | None) -> Check | None:
    """What is to be said of one file; None where it is the same."""
    where = f"{what}, {name[:200]}"
    if then is None:
        return failed(where, "new: the record does not name it")
    if now is None:
        return failed(where, "missing")
    if not then.sha256:
        if then.size != now.size:
            return failed(where, f"changed: {then.size} bytes then, {now.size} now")
        return unchecked(where, f"not hashed when it was examined ({then.note[:80]})")
    if not now.sha256:
        return failed(where, f"cannot be hashed now: {now.note[:200]}")
    if then.sha256 != now.sha256:
        return failed(where, f"changed: sha256 {then.sha256[:16]}… then, {now.sha256[:16]}… now")
    return None
