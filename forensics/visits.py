"""One subject on its way through a case: what is remembered of it, whether that is believed, what it leaves behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from forensics.archive import plain, restored
from forensics.errors import ForensicsError
from forensics.probe import Sketch
from forensics.records import Problem, Subject
from forensics.remembered import Memory, key
from forensics.sighting import Sighting, alike, same_files, unchanged
from forensics.sketches import SketchBook, load, save

READ = "read in this run"
UNCHANGED = "remembered, unchanged files"
TRUSTED = "remembered, size and mtime only"
REHASHED = "rehashed"


def content_key(seen: Sighting, subject: Subject) -> str:
    """What a pass over these files depends on; empty where the record does not say what was read.

    The place is part of it: a worker that its checkpoint took over must not leave sketches for another's. The digest in
    the record leaves out names, and files too large to be hashed although samples of them are read; for these, and for
    the unhashed files beside the weights of an adapter's base, the facts stand in.
    """
    if subject.form not in ("checkpoint", "merged") or not seen.covers(subject.files):
        return ""
    hashed = {f.name for f in subject.files if f.sha256}
    places = {n: f for part in (seen.files, seen.beneath) for n, f in part.items() if n not in hashed}
    files = [(f.name, f.size, f.sha256, f.note) for f in subject.files]
    return key("subject", seen.place, subject.digest, seen.single, files, places)


@dataclass(slots=True, kw_only=True)
class Visit:
    """One subject on its way through a case: what is known of it, and what it leaves for the next case."""

    memory: Memory
    location: str
    label: str
    repository: str = ""
    seen: Sighting | None = None
    content: str = ""
    """Content key as remembered, then as read; empty where nothing may be kept."""
    subject: Subject | None = None
    problems: list[Problem] = field(default_factory=list)
    sketches: dict[str, Sketch] = field(default_factory=dict)
    how: str = READ
    """How the digest in the record came about in this run."""

    @property
    def trusted(self) -> bool:
        """Whether the remembered record may stand for the files without reading them."""
        return self.subject is not None and self.how in {UNCHANGED, TRUSTED}

    def forget(self) -> None:
        """Lets go of everything remembered: the files are read as if for the first time."""
        self.content, self.subject, self.how = "", None, READ
        self.problems.clear()
        self.sketches.clear()

    def confirm(self, subject: Subject, lone: Iterable[str]) -> bool:
        """After a pass: whether the files hold what was remembered. If not, only `lone` probes' sketches may be known.

        True as well where nothing was remembered.
        """
        before, found = self.content, content_key(self.seen, subject) if self.seen else ""
        if before and before == found:
            return True
        self.forget()
        self.content = found
        self.sketches = self.memory.sketches(found, self.label, lone, subject.digest)
        return not before

    def agreed(self, subject: Subject, problems: list[Problem]) -> tuple[Subject, list[Problem]]:
        """Of a new record and the one remembered of the same content, that of the pass which looked at more numbers.

        A pass decodes quantised tensors only for probes that take part in it, and so may miss a NaN in them.
        """
        known = self.subject
        if known is None or known.recognised >= subject.recognised:
            return subject, problems
        known = replace(known, label=subject.label, role=subject.role, commit=subject.commit)
        return known, list(self.problems)

    def keep(self, subject: Subject, problems: Iterable[Problem], book: Path) -> None:
        """Remembers a finished pass, unless the files changed meanwhile."""
        if not self._still():
            return
        assert self.seen is not None
        told = {"subject": plain(subject), "problems": [plain(p) for p in problems]}
        self.memory.write(self.memory.subject_key(self.content, self.label), told)
        facts = {
            "place": self.seen.place, "taken": self.seen.taken, "single": self.seen.single,
            "files": dict(self.seen.files), "beneath": dict(self.seen.beneath),
            "repository": dict(self.seen.repository),
        }  # fmt: skip
        self.memory.write(key("place", self.seen.place), {"seen": facts, "content": self.content})
        self.keep_sketches(book)

    def keep_sketches(self, book: Path) -> None:
        """Remembers the sketches of a file that a worker left, without those whose probe failed."""
        if self.how == TRUSTED or not self._still():
            return
        with contextlib.suppress(OSError, ForensicsError):  # our scratch folder is full: nothing is kept
            for sketch in load(book).sketches.values():
                self.memory.keep(self.content, self.label, sketch)
        self.memory.trim()

    def _still(self) -> bool:
        """Whether anything may be kept, and the files are as they were when this run began to read them."""
        if not self.content or self.seen is None or self.memory.store is None:
            return False
        now = self.memory.see(self.location, self.memory.base, self.repository)
        if now is None or not same_files(self.seen, now):
            self.content = ""
        return bool(self.content)

    def write(self, out: Path, digest: str) -> list[Path]:
        """The remembered sketches as a sketch file, for a comparison; nothing where there are none."""
        if not self.sketches:
            return []
        placeholder = Subject(label=self.label, role="suspect", form="sketch", digest=digest)
        save(out, SketchBook(subject=placeholder, sketches=self.sketches))
        return [out]


def visited(memory: Memory, location: str, label: str, probes: Iterable[str], repository: str = "") -> Visit:
    """What is remembered of the checkpoint at a location, as far as the case's trust goes."""
    visit = Visit(memory=memory, location=location, label=label, repository=repository)
    visit.seen = memory.see(location, memory.base, repository) if memory.store else None
    record = memory.read(key("place", visit.seen.place)) if visit.seen else None
    if visit.seen is None or record is None:
        return visit
    try:
        visit.how = _trust(memory, restored(Sighting, record["seen"]), visit.seen)
        visit.content = str(record["content"])
        known = memory.read(memory.subject_key(visit.content, label))
        if visit.how == READ or known is None:
            visit.forget()
            return visit
        visit.subject = restored(Subject, known["subject"])
        visit.problems = [restored(Problem, p) for p in known["problems"]]
        visit.sketches = memory.sketches(visit.content, label, probes, visit.subject.digest)
    except (ForensicsError, KeyError, TypeError, ValueError):
        visit.forget()
    return visit


def _trust(memory: Memory, earlier: Sighting, now: Sighting) -> str:
    if memory.trust == "rehash":
        return REHASHED
    if unchanged(earlier, now):
        return UNCHANGED
    return TRUSTED if memory.trust == "mtime" and alike(earlier, now) else READ
