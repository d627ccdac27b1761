"""Sends workers out and collects what they bring: one read per subject, one comparison per pair.

Bundled probes share a worker per checkpoint and per candidate; a stranger's probe, and one that hands hostile
input to other libraries, gets a worker and a time limit of its own, so that its crash is only its own failure.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from forensics import jobs
from forensics.archive import restored
from forensics.case import Named, Request, Role
from forensics.errors import NOT_THE_CHECKPOINT, CaseError, CheckpointError, ReportError
from forensics.probe import SketchProbe
from forensics.readings import Abstention, Failure, Outcome, Reason
from forensics.records import Problem, Subject
from forensics.registry import Offered
from forensics.remembered import Memory
from forensics.sketches import is_sketch_file, load
from forensics.visits import Visit, visited

READ_LIMIT = 600.0
READ_SPEED = 20e6
"""Bytes per second below which a read is given up, beyond the first ten minutes."""
COMPARE_LIMIT = 1800.0


class Watch(Protocol):
    """Somebody who is told how far things are; called from several threads."""

    def reading(self, label: str, done: int, total: int) -> None:
        """Bytes of a subject read so far."""

    def examining(self, probe: str, candidate: str) -> None:
        """A probe is put to a candidate."""


@dataclass(slots=True)
class Read:
    """A subject after its reading: its record, where its sketches lie, or why it could not be read."""

    named: Named
    role: Role
    subject: Subject
    sketches: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    error: CheckpointError | None = None
    seconds: float = 0.0
    absent: dict[str, Outcome] = field(default_factory=dict)
    """Outcomes of probes whose own worker failed on this subject."""

    def begin_again(self) -> None:
        """Forgets what was found so far."""
        self.subject = _blank(self.named, self.role)
        self.sketches.clear()
        self.problems.clear()
        self.absent.clear()

    @property
    def is_sketch(self) -> bool:
        """Whether only a sketch was handed over."""
        return self.subject.form == "sketch"


@dataclass(slots=True)
class Gatherer:
    """The workers of one case. `scratch` is a folder of ours that goes away with the case."""

    request: Request
    offered: Mapping[str, Offered]
    scratch: Path
    watch: Watch
    seconds: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    precisions: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """By (probe, candidate): from which precisions suspect and candidate were read."""
    memory: Memory = field(default_factory=Memory)
    digests: dict[str, str] = field(default_factory=dict)
    """By label: how the digest of a checkpoint came about in this run."""

    def _job(self, task: str, probes: list[str], **rest: Any) -> dict[str, Any]:
        settings = {
            "only_bundled": self.request.only_bundled,
            "parameters": dict(self.request.parameters),
            "quick": self.request.quick,
            "base": self.request.base,
        }
        return {"task": task, "probes": probes, **settings, **rest}

    def alone(self, probe: str) -> bool:
        """Whether a probe is read in a worker of its own."""
        offered = self.offered[probe]
        return offered.probe.isolated or not offered.origin.bundled

    def sketching(self) -> list[str]:
        """Ids of the probes that sketch."""
        return [i for i, o in self.offered.items() if isinstance(o.probe, SketchProbe) and not o.skipped]

    def read_all(self) -> list[Read]:
        """Every subject of the case, a few at a time, in the order of the case."""
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            try:
                return list(pool.map(lambda item: self.read(*item), enumerate(self.request.subjects())))
            except BaseException:  # an interrupted case must not wait for its workers
                pool.shutdown(wait=False, cancel_futures=True)
                jobs.end_all()
                raise

    def read(self, index: int, item: tuple[Named, Role]) -> Read:
        """One subject: shared pass first, then each lone probe."""
        named, role = item
        found = Read(named=named, role=role, subject=_blank(named, role))
        if is_sketch_file(named.path):
            self._take_sketch(found)
            return found
        lone = [i for i in self.sketching() if self.alone(i)]
        visit = visited(self.memory, str(named.path), named.label, self.sketching())
        self._read_together(found, visit, self.scratch / f"{index}.sketch", lone)
        for probe in lone if not found.error else []:
            if probe not in visit.sketches:
                out = self.scratch / f"{index}.{probe}.sketch"
                self._read_alone(found, out, [probe])
                visit.keep_sketches(out)
        if not found.error:
            found.sketches += visit.write(self.scratch / f"{index}.remembered.sketch", found.subject.digest)
            self.digests[named.label] = visit.how
        return found

    def _read_together(self, found: Read, visit: Visit, out: Path, lone: list[str]) -> None:
        """What the bundled probes share: one pass, or what is remembered of an earlier one and probes it lacks."""
        together = [i for i in self.sketching() if i not in lone]
        missing = [i for i in together if i not in visit.sketches]
        if visit.trusted and visit.subject:
            found.subject = _relabelled(visit.subject, found, form=visit.subject.form)
            found.problems += visit.problems
            size = max(1, sum(f.size for f in found.subject.files))
            self.watch.reading(found.named.label, size, size)
            if not missing or self._read_alone(found, out, missing):
                visit.keep_sketches(out)
                return
            found.begin_again()
            visit.forget()
        self._read_shared(found, out, missing if visit.subject else together)
        if not found.error and not visit.confirm(found.subject, lone) and missing != together:
            found.begin_again()
            self._read_shared(found, out, together)
            if not found.error:
                visit.confirm(found.subject, lone)
        if not found.error:
            visit.keep(found.subject, found.problems, out)

    def _take_sketch(self, found: Read) -> None:
        try:
            book = load(found.named.path)
        except (CheckpointError, ReportError) as error:
            found.error = CheckpointError(f"{found.named.label}: {error.message}", error.hint, code="SKETCH")
            return
        if any(s.subject != book.subject.digest for s in book.sketches.values()):
            message = f"{found.named.label}: a sketch in the file is of another checkpoint than the file says"
            found.error = CheckpointError(message, "sketch the checkpoint again", code="SKETCH")
            return
        found.subject = _relabelled(book.subject, found, form="sketch")
        found.sketches.append(found.named.path)
        self.digests[found.named.label] = "as the sketch file says"

    def _read_shared(self, found: Read, out: Path, probes: list[str]) -> None:
        label = found.named.label

        def listen(message: Mapping[str, Any]) -> None:
            if "progress" in message:
                done, total = message["progress"]
                self.watch.reading(label, int(done), int(total))
            elif "subject" in message:
                read = restored(Subject, message["subject"])
                found.subject = _relabelled(read, found, form=read.form)
                found.problems += [restored(Problem, p) for p in message["problems"]]
                found.sketches.append(out)
            elif "error" in message:
                found.error = _checkpoint_error(label, message["error"])

        # What a worker cannot blame on the checkpoint ends the case: it must not pass for an unreadable model.
        job = self._job("read", probes, location=str(found.named.path), label=label, out=str(out), digest="")
        end = jobs.run(job, limit=READ_LIMIT + _size(found.named.path) / READ_SPEED, listen=listen)
        with self.lock:
            self.seconds[f"read {label}"] = end.seconds
        if found.error and found.error.code == NOT_THE_CHECKPOINT:
            raise CaseError(found.error.message, found.error.hint)
        if not end.done:
            found.error = CheckpointError(
                f"{label}: the reading worker ended early ({end.error}: {end.detail})",
                "the checkpoint may be hostile, or too large for this machine's memory",
                code="WORKER",
            )

    def _read_alone(self, found: Read, out: Path, probes: list[str]) -> bool:
        """Sketches by probes that take no part in a pass, by its digest; where it fails, a failure of each."""
        label = found.named.label
        for probe in probes:
            self.watch.examining(probe, label)
        errors: list[str] = []

        def listen(message: Mapping[str, Any]) -> None:
            if "error" in message:
                errors.append(str(message["error"].get("message")))

        job = self._job(
            "read",
            probes,
            location=str(found.named.path),
            label=label,
            out=str(out),
            digest=found.subject.digest,
        )
        limit = READ_LIMIT + _size(found.named.path) / READ_SPEED
        limits = [self.offered[i].probe.time_limit if self.alone(i) else limit for i in probes]
        end = jobs.run(job, limit=max(limits), listen=listen)
        with self.lock:
            self.seconds[f"read {label} for {', '.join(probes)}"[:200]] = end.seconds
        if end.done and out.exists():
            found.sketches.append(out)
            return True
        detail = f"{label}: {end.detail or '; '.join(errors)}"
        found.absent |= {i: Failure(error=end.error or "ERROR", detail=detail[:1000]) for i in probes}
        return False

    def compare(self, suspect: Read, other: Read) -> dict[str, Outcome]:
        """Outcome of every probe for one candidate or control, by probe id."""
        outcomes: dict[str, Outcome] = {}
        if other.error:
            detail = f"the checkpoint could not be read: {other.error.message}"
            return {i: Failure(error=other.error.code, detail=detail[:1000]) for i in self.offered}
        skipped: dict[str, Outcome] = {
            i: Abstention(reason=Reason.FIRST_LOOK, detail="it needs the whole reading pass")
            for i, o in self.offered.items()
            if o.skipped
        }
        absent = other.absent | suspect.absent | skipped
        together = [i for i in self.sketching() if self.offered[i].origin.bundled]
        alone = [i for i in self.sketching() if i not in together and i not in absent]
        batches = [(together, COMPARE_LIMIT)] if together else []
        batches += [([i], self.offered[i].probe.time_limit) for i in alone]
        for probes, limit in batches:
            self._collect(outcomes, probes, limit, other, self._comparison(probes, suspect, other))
        for probe in [i for i in self.offered if i not in self.sketching() and i not in skipped]:
            self._examine(outcomes, probe, suspect, other)
        outcomes |= absent
        return {i: outcomes[i] for i in self.offered}

    def _comparison(self, probes: list[str], suspect: Read, other: Read) -> dict[str, Any]:
        sides = {"suspect": [str(p) for p in suspect.sketches], "candidate": [str(p) for p in other.sketches]}
        return self._job("compare", probes, **sides)

    def _examine(self, outcomes: dict[str, Outcome], probe: str, suspect: Read, other: Read) -> None:
        if suspect.is_sketch or other.is_sketch:
            detail = "this probe needs both checkpoints, and one side is only a sketch"
            outcomes[probe] = Abstention(reason=Reason.SKETCH_ONLY, detail=detail)
            return
        labels = [suspect.named.label, other.named.label]
        places = {"suspect": str(suspect.named.path), "candidate": str(other.named.path)}
        job = self._job("examine", [probe], labels=labels, **places)
        self._collect(outcomes, [probe], self.offered[probe].probe.time_limit, other, job)

    def _collect(
        self,
        outcomes: dict[str, Outcome],
        probes: list[str],
        limit: float,
        other: Read,
        job: Mapping[str, Any],
    ) -> None:
        """Runs a job and takes its outcomes; a probe it says nothing of has failed with the job."""
        candidate, heard = other.named.label, {}
        errors: list[str] = []
        for probe in probes:
            self.watch.examining(probe, candidate)

        def listen(message: Mapping[str, Any]) -> None:
            if message.get("probe") in probes:
                heard[message["probe"]] = restored(Outcome, message["outcome"])
                suspects, candidates = (str(p)[:120] for p in message["precisions"])
                self.precisions[message["probe"], candidate] = (suspects, candidates)
            elif "error" in message:
                errors.append(str(message["error"].get("message")))

        end = jobs.run(job, limit=limit, listen=listen)
        with self.lock:
            self.seconds[f"compare {candidate}: {', '.join(probes)}"[:200]] = end.seconds
        detail = end.detail or "; ".join(errors) or "the worker gave no outcome"
        failure = Failure(error=end.error or "no-answer", detail=detail[:1000])
        outcomes |= {i: heard.get(i, failure) for i in probes}


def _blank(named: Named, role: Role) -> Subject:
    return Subject(label=named.label, role=role, form="unreadable")


def _relabelled(subject: Subject, found: Read, *, form: Any) -> Subject:
    return replace(subject, label=found.named.label, role=found.role, form=form)


def _checkpoint_error(label: str, raw: Mapping[str, Any]) -> CheckpointError:
    message = str(raw.get("message"))[:500]
    shown = message if message.startswith(label) else f"{label}: {message}"
    return CheckpointError(shown, str(raw.get("hint"))[:300], code=str(raw.get("code"))[:60])


def _size(path: Path) -> int:
    """Bytes at a place, for the time limit; 0 where it cannot be told."""
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(f.stat().st_size for f in path.glob("*.safetensors"))
    except OSError:
        return 0
