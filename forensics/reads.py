"""A subject after its reading: its record, where its sketches lie, or why it could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forensics.case import Named, Role
from forensics.errors import CheckpointError, ReportError
from forensics.readings import Outcome
from forensics.records import Problem, Subject
from forensics.sketches import load


@dataclass(slots=True)
class Read:
    """What one checkpoint or sketch file left for the comparisons."""

    named: Named
    role: Role
    subject: Subject
    location: str = ""
    """Where a worker finds it."""
    sketches: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    error: CheckpointError | None = None
    absent: dict[str, Outcome] = field(default_factory=dict)
    """Outcomes of probes whose own worker failed on this subject."""

    @classmethod
    def of(cls, named: Named, role: Role) -> Read:
        """A subject of which nothing is known yet."""
        return cls(named=named, role=role, subject=Subject(label=named.label, role=role, form="unreadable"))

    @property
    def is_sketch(self) -> bool:
        """Whether only a sketch was handed over."""
        return self.subject.form == "sketch"

    def begin_again(self) -> None:
        """Forgets what was found so far."""
        self.subject = Read.of(self.named, self.role).subject
        self.sketches.clear()
        self.problems.clear()
        self.absent.clear()

    def take(self, subject: Subject, *, form: Any = None, commit: str = "") -> None:
        """Takes a subject's record under the name and role that it has in this case."""
        seen, called = subject.repository, self.named.repository_name
        self.subject = replace(
            subject,
            repository=replace(seen, name=called or seen.name) if seen else None,
            label=self.named.label,
            role=self.role,
            form=form or subject.form,
            commit=commit or subject.commit,
        )

    def fail(self, raw: Mapping[str, Any]) -> None:
        """Takes a worker's word for why the checkpoint could not be read."""
        label, message = self.named.label, str(raw.get("message"))[:500]
        shown = message if message.startswith(label) else f"{label}: {message}"
        self.error = CheckpointError(shown, str(raw.get("hint"))[:300], code=str(raw.get("code"))[:60])

    def take_sketch(self) -> None:
        """Takes a sketch file in place of a checkpoint; an error where it is none or contradicts itself."""
        try:
            book = load(self.named.path)
        except (CheckpointError, ReportError) as error:
            self.error = CheckpointError(f"{self.named.label}: {error.message}", error.hint, code="SKETCH")
            return
        if any(s.subject != book.subject.digest for s in book.sketches.values()):
            message = f"{self.named.label}: a sketch in the file is of another checkpoint than the file says"
            self.error = CheckpointError(message, "sketch the checkpoint again", code="SKETCH")
            return
        self.take(book.subject, form="sketch")
        self.sketches.append(self.named.path)
