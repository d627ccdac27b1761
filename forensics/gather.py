"""Sends workers out and collects what they bring: one read per subject, one comparison per pair.

Bundled probes share a worker per checkpoint and per candidate; a stranger's probe, and one that hands hostile
input to other libraries, gets a worker and a time limit of its own, so that its crash is only its own failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from forensics.archive import restored
from forensics.case import Named, Request, Role
from forensics.errands import Errands, each
from forensics.errors import NOT_THE_CHECKPOINT, CaseError, CheckpointError
from forensics.probe import SketchProbe
from forensics.readings import Abstention, Failure, Outcome, Reason
from forensics.reads import Read
from forensics.records import Problem, Subject
from forensics.registry import Offered
from forensics.remembered import Memory
from forensics.sketches import is_sketch_file
from forensics.visits import Visit, visited

COMPARE_LIMIT = 1800.0


class Watch(Protocol):
    """Somebody who is told how far things are; called from several threads."""

    def reading(self, label: str, done: int, total: int) -> None:
        """Bytes of a subject read so far."""

    def examining(self, probe: str, candidate: str) -> None:
        """A probe is put to a candidate."""


@dataclass(slots=True, kw_only=True)
class Gatherer:
    """The workers of one case. `scratch` is a folder of ours that goes away with the case."""

    request: Request
    offered: Mapping[str, Offered]
    scratch: Path
    watch: Watch
    errands: Errands
    memory: Memory = field(default_factory=Memory)
    precisions: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)
    """By (probe, suspect, candidate): from which precisions these two were read."""
    digests: dict[str, str] = field(default_factory=dict)
    """By label: how the digest of a checkpoint came about in this run."""

    def alone(self, probe: str) -> bool:
        """Whether a probe is read in a worker of its own."""
        offered = self.offered[probe]
        return offered.probe.isolated or not offered.origin.bundled

    def sketching(self) -> list[str]:
        """Ids of the probes that sketch."""
        return [i for i, o in self.offered.items() if isinstance(o.probe, SketchProbe) and not o.skipped]

    def read_all(self) -> list[Read]:
        """Every subject of the case, a few at a time, in the order of the case.

        A suspect or control that a hub does not have ends the case at once.
        """
        for named in (self.request.suspect, *self.request.controls):
            self.errands.location(named)
        return list(each(lambda item: self.read(*item), enumerate(self.request.subjects())))

    def read(self, index: int, item: tuple[Named, Role]) -> Read:
        """One subject: shared pass first, then each lone probe."""
        named, role = item
        found = Read.of(named, role)
        if is_sketch_file(named.path):
            if named.repository:
                hint = "sketch the checkpoint again with --repository"
                raise CaseError(f"{named.label} is a sketch file and takes no repository", hint)
            found.take_sketch()
            self.digests[named.label] = "as the sketch file says"
            return found
        try:
            found.location = self.errands.location(named)
            self.errands.hub.located(self.request.base)
        except CheckpointError as error:
            found.error = CheckpointError(f"{named.label}: {error.message}", error.hint, code=error.code)
            return found
        lone = [i for i in self.sketching() if self.alone(i)]
        visit = visited(self.memory, found.location, named.label, self.sketching(), named.repository)
        self._read_together(found, visit, self.scratch / f"{index}.sketch", lone)
        if not found.error:
            self._read_lone(found, visit, f"{index}", [i for i in lone if i not in visit.sketches])
            found.sketches += visit.write(self.scratch / f"{index}.remembered.sketch", found.subject.digest)
            self.digests[named.label] = visit.how
        return found

    def _read_lone(self, found: Read, visit: Visit, stem: str, probes: list[str]) -> None:
        """Probes outside the pass: ours in one worker, each by itself where that fails; strangers apart."""
        ours = [i for i in probes if self.offered[i].origin.bundled]
        batches = [[i] for i in probes]
        out = self.scratch / f"{stem}.lone.sketch"
        if len(ours) > 1 and self._read_alone(found, out, ours):
            visit.keep_sketches(out)
            batches = [[i] for i in probes if i not in ours]
        for batch in batches:
            out = self.scratch / f"{stem}.{batch[0]}.sketch"
            if self._read_alone(found, out, batch):
                visit.keep_sketches(out)

    def _read_together(self, found: Read, visit: Visit, out: Path, lone: list[str]) -> None:
        """What the bundled probes share: one pass, or what is remembered of an earlier one and probes it lacks."""
        together = [i for i in self.sketching() if i not in lone]
        missing = [i for i in together if i not in visit.sketches]
        if visit.trusted and visit.subject:
            found.take(visit.subject, commit=self.errands.hub.commit(found.location))
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
            found.subject, found.problems = visit.agreed(found.subject, found.problems)
            visit.keep(found.subject, found.problems, out)

    def _read_shared(self, found: Read, out: Path, probes: list[str]) -> None:
        label = found.named.label

        def listen(message: Mapping[str, Any]) -> None:
            if "progress" in message:
                done, total = message["progress"]
                self.watch.reading(label, int(done), int(total))
            elif "subject" in message:
                subject = restored(Subject, message["subject"])
                found.take(subject, commit=self.errands.hub.commit(found.location))
                found.problems += [restored(Problem, p) for p in message["problems"]]
                found.sketches.append(out)
            elif "error" in message:
                found.fail(message["error"])

        # What a worker cannot blame on the checkpoint ends the case: it must not pass for an unreadable model.
        about = {"location": found.location, "label": label, "repositories": [found.named.repository]}
        job = self.errands.job("read", probes, **about, out=str(out), digest="")
        limit = self.errands.reading_limit(found.location)
        end = self.errands.run(job, what=f"read {label}", limit=limit, listen=listen)
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

        job = self.errands.job(
            "read",
            probes,
            location=found.location,
            label=label,
            repositories=[found.named.repository],
            out=str(out),
            digest=found.subject.digest,
        )
        limit = self.errands.reading_limit(found.location)
        limits = [self.offered[i].probe.time_limit if self.alone(i) else limit for i in probes]
        what = f"read {label} for {', '.join(probes)}"
        end = self.errands.run(job, what=what, limit=max(limits), listen=listen)
        if end.done and out.exists():
            found.sketches.append(out)
            found.absent = {i: why for i, why in found.absent.items() if i not in probes}
            return True
        detail = f"{label}: {end.detail or '; '.join(errors)}"
        found.absent |= {i: Failure(error=end.error or "ERROR", detail=detail[:1000]) for i in probes}
        return False

    def compare(self, suspect: Read, other: Read) -> dict[str, Outcome]:
        """Outcome of every probe for one candidate or control, by probe id."""
        if other.error:
            detail = f"the checkpoint could not be read: {other.error.message}"
            return {i: Failure(error=other.error.code, detail=detail[:1000]) for i in self.offered}
        outcomes = self.compare_sketches(suspect, other)
        for probe, offered in self.offered.items():
            if offered.skipped:
                detail = "it needs the whole reading pass"
                outcomes[probe] = Abstention(reason=Reason.FIRST_LOOK, detail=detail)
            elif probe not in self.sketching():
                self._examine(outcomes, probe, suspect, other)
        return {i: outcomes[i] for i in self.offered}

    def compare_sketches(self, suspect: Read, other: Read) -> dict[str, Outcome]:
        """Outcome of every probe that sketches, by probe id; both sides were read."""
        outcomes: dict[str, Outcome] = {}
        absent = other.absent | suspect.absent
        together = [i for i in self.sketching() if self.offered[i].origin.bundled]
        alone = [i for i in self.sketching() if i not in together and i not in absent]
        batches = [(together, COMPARE_LIMIT)] if together else []
        batches += [([i], self.offered[i].probe.time_limit) for i in alone]
        for probes, limit in batches:
            job = self._comparison(probes, suspect, other)
            self._collect(outcomes, probes, limit, (suspect, other), job)
        outcomes |= absent
        return {i: outcomes[i] for i in self.sketching()}

    def precisions_of(self, probe: str, suspect: Read, other: Read) -> tuple[str, str] | None:
        """From which precisions a probe read the two; None where it did not say."""
        return self.precisions.get((probe, suspect.named.label, other.named.label))

    def _comparison(self, probes: list[str], suspect: Read, other: Read) -> dict[str, Any]:
        sides = {"suspect": [str(p) for p in suspect.sketches], "candidate": [str(p) for p in other.sketches]}
        return self.errands.job("compare", probes, **sides)

    def _examine(self, outcomes: dict[str, Outcome], probe: str, suspect: Read, other: Read) -> None:
        if suspect.is_sketch or other.is_sketch:
            detail = "this probe needs both checkpoints, and one side is only a sketch"
            outcomes[probe] = Abstention(reason=Reason.SKETCH_ONLY, detail=detail)
            return
        labels = [suspect.named.label, other.named.label]
        places = {"suspect": suspect.location, "candidate": other.location}
        repositories = [suspect.named.repository, other.named.repository]
        job = self.errands.job("examine", [probe], labels=labels, repositories=repositories, **places)
        self._collect(outcomes, [probe], self.offered[probe].probe.time_limit, (suspect, other), job)

    def _collect(
        self,
        outcomes: dict[str, Outcome],
        probes: list[str],
        limit: float,
        pair: tuple[Read, Read],
        job: Mapping[str, Any],
    ) -> None:
        """Runs a job and takes its outcomes; a probe it says nothing of has failed with the job."""
        sides = pair[0].named.label, pair[1].named.label
        told = sides[1] if pair[0].role == "suspect" else f"{sides[1]} with {sides[0]}"
        errors: list[str] = []
        heard: dict[str, Outcome] = {}
        for probe in probes:
            self.watch.examining(probe, told)

        def listen(message: Mapping[str, Any]) -> None:
            if message.get("probe") in probes:
                heard[message["probe"]] = restored(Outcome, message["outcome"])
                suspects, candidates = (str(p)[:120] for p in message["precisions"])
                self.precisions[message["probe"], *sides] = (suspects, candidates)
            elif "error" in message:
                errors.append(str(message["error"].get("message")))

        what = f"compare {told}: {', '.join(probes)}"
        end = self.errands.run(job, what=what, limit=limit, listen=listen)
        detail = end.detail or "; ".join(errors) or "the worker gave no outcome"
        failure = Failure(error=end.error or "no-answer", detail=detail[:1000])
        outcomes |= {i: heard.get(i, failure) for i in probes}
