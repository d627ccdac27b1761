"""The process in which hostile files are read and probes run: `python -m forensics.worker FD`, job on stdin.

It answers in JSON lines on the descriptor it was given. Every task sends its results one by one, so that what
was finished before a crash or a time limit is kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.archive import plain
from forensics.checkpoint.brokered import BrokeredPlace
from forensics.checkpoint.repository import read_repository
from forensics.comparing import compared, compared_together, outcome_of
from forensics.confinement import Allowance, confine, peak_memory
from forensics.errors import NOT_THE_CHECKPOINT, CheckpointError, ForensicsError, told
from forensics.probe import Pair, Probe, Sketch, SketchProbe
from forensics.registry import Offered, Registry
from forensics.sketches import SketchBook, load, save

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint

Send = Callable[[Mapping[str, Any]], None]


def _sketch_probes(offered: Mapping[str, Offered]) -> list[SketchProbe]:
    return [o.probe for o in offered.values() if isinstance(o.probe, SketchProbe)]


def _opened(
    job: Mapping[str, Any], registry: Registry, location: str, label: str, repository: str = ""
) -> Checkpoint:
    """The checkpoint at a location, which the parent may serve from a hub, with the repository named for it."""
    served = {at: BrokeredPlace.attached(**lead) for at, lead in job.get("hubs", {}).items()}
    checkpoint = registry.open(location, label, base=job.get("base", ""), places=served)
    if repository:
        checkpoint.attach(read_repository(Path(repository)))
    return checkpoint


def read_task(job: Mapping[str, Any], registry: Registry, offered: Mapping[str, Offered], send: Send) -> None:
    """Reads one checkpoint, leaves its sketches in `job["out"]` and reports its record."""
    from forensics.reading import first_look, read, sketch_only

    checkpoint = _opened(job, registry, job["location"], job["label"], *job.get("repositories", ()))
    try:
        if job["digest"]:
            sketches = sketch_only(checkpoint, _sketch_probes(offered), job["digest"])
            save(Path(job["out"]), SketchBook(subject=_placeholder(job["label"]), sketches=sketches))
            return
        last = [0.0]

        def progress(done: int, total: int) -> None:
            if total and (done - last[0] >= total / 100 or done == total):
                last[0] = done
                send({"progress": [done, total]})

        reading = first_look if job.get("quick", False) else read
        done = reading(checkpoint, _sketch_probes(offered), progress)
    finally:
        checkpoint.close()
    save(Path(job["out"]), SketchBook(subject=done.subject, sketches=done.sketches))
    seen_here = [p for p in registry.problems if p.code == "PLUGIN_FAILED"]
    send({"subject": plain(done.subject), "problems": [plain(p) for p in (*done.problems, *seen_here)]})


def _placeholder(label: str) -> Any:
    from forensics.records import Subject

    return Subject(label=label, role="suspect", form="checkpoint")


def compare_task(
    job: Mapping[str, Any], registry: Registry, offered: Mapping[str, Offered], send: Send
) -> None:
    """Compares two subjects' sketches with every probe asked for."""
    del registry
    sides: list[dict[str, Sketch]] = []
    for side in ("suspect", "candidate"):
        found: dict[str, Sketch] = {}
        for path in job[side]:
            found |= load(Path(path)).sketches
        sides.append(found)
    for probe in _sketch_probes(offered):
        mine, theirs = (side.get(probe.id) for side in sides)
        precisions = [sketch.precision if sketch else "" for sketch in (mine, theirs)]
        outcome = compared(probe, mine, theirs, quick=job.get("quick", False))
        send({"probe": probe.id, "outcome": plain(outcome), "precisions": precisions})


def compare_all_task(
    job: Mapping[str, Any], registry: Registry, offered: Mapping[str, Offered], send: Send
) -> None:
    """Puts several candidates' sketches at once to every probe asked for."""
    del registry

    def kept(paths: list[str], probe: str) -> Sketch | None:
        books = [load(Path(path)).sketches for path in paths]
        return next((book[probe] for book in reversed(books) if probe in book), None)

    for probe in _sketch_probes(offered):
        mine = kept(job["suspect"], probe.id)
        theirs = {label: kept(paths, probe.id) for label, paths in job["candidates"]}
        labels, outcome = compared_together(probe, mine, theirs, quick=job.get("quick", False))
        send({"probe": probe.id, "candidates": labels, "outcome": plain(outcome)})


def examine_task(
    job: Mapping[str, Any], registry: Registry, offered: Mapping[str, Offered], send: Send
) -> None:
    """Puts one paired probe to both checkpoints."""
    mine, theirs = job.get("repositories", ("", ""))
    suspect = _opened(job, registry, job["suspect"], job["labels"][0], mine)
    candidate = _opened(job, registry, job["candidate"], job["labels"][1], theirs)
    try:
        for one in offered.values():
            probe = one.probe
            if isinstance(probe, Probe):
                pair = Pair(suspect=suspect, candidate=candidate)
                outcome = outcome_of(lambda probe=probe, pair=pair: probe.examine(pair))  # type: ignore[misc]
                precisions = [side.precision() for side in (suspect, candidate)]
                send({"probe": probe.id, "outcome": plain(outcome), "precisions": precisions})
    finally:
        suspect.close()
        candidate.close()


def self_test_task(
    job: Mapping[str, Any], registry: Registry, offered: Mapping[str, Offered], send: Send
) -> None:
    """Makes one twin of a checkpoint after the other and puts every probe to it and the checkpoint's own sketches."""
    from forensics.twins.kinds import KINDS
    from forensics.twins.reading import sketch_twin

    own: dict[str, Sketch] = {}
    for path in job["candidate"]:
        own |= load(Path(path)).sketches
    checkpoint = _opened(job, registry, job["location"], job["label"])
    try:
        for kind in KINDS:
            told_of = {"twin": kind.name}

            def progress(done: int, total: int, told_of: Mapping[str, str] = told_of) -> None:
                send({**told_of, "progress": [done, total]})

            try:
                made = sketch_twin(checkpoint, _sketch_probes(offered), kind, job["seed"], progress)
            except ForensicsError as error:
                send({**told_of, "not_made": error.message})
                continue
            for probe in _sketch_probes(offered):
                outcome = compared(probe, made.get(probe.id), own.get(probe.id))
                send({**told_of, "probe": probe.id, "outcome": plain(outcome)})
            send({**told_of, "made": True})
    finally:
        checkpoint.close()


def inspect_task(
    job: Mapping[str, Any], registry: Registry, offered: Mapping[str, Offered], send: Send
) -> None:
    """Opens one checkpoint and says what would be examined."""
    from forensics.inspection import inspected

    del offered
    checkpoint = _opened(job, registry, job["location"], job["label"], *job.get("repositories", ()))
    try:
        send({"inspection": inspected(checkpoint)})
    finally:
        checkpoint.close()


def perform(job: Mapping[str, Any], send: Send) -> None:
    """Does one job; a ForensicsError becomes an answer."""
    registry = Registry.load(only_bundled=job["only_bundled"])
    offered = (
        registry.chosen(tuple(job["probes"]), job["parameters"], quick=job.get("quick", False))
        if job["probes"]
        else {}
    )
    tasks = {
        "read": read_task,
        "compare": compare_task,
        "compare-all": compare_all_task,
        "examine": examine_task,
        "inspect": inspect_task,
        "self-test": self_test_task,
    }
    try:
        tasks[job["task"]](job, registry, offered, send)
    except ForensicsError as error:
        code = error.code if isinstance(error, CheckpointError) else NOT_THE_CHECKPOINT
        send({"error": {"message": error.message, "hint": error.hint, "code": code}})
    send({"done": True, "peak": peak_memory()})


def main() -> int:
    """Confines itself, does the job, answers; anything unforeseen ends in an answer too."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", errors="backslashreplace")

    def send(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    job = json.load(sys.stdin)
    send({"confined": confine(Allowance.received(job["allowance"]))})
    try:
        perform(job, send)
    except BaseException as error:  # a worker ends here: a panic in a library must not be silent
        send({"crash": {"error": type(error).__name__, "detail": told(error)}})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
