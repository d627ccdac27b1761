"""Workers: what a stranger's probe does to its own process is its own failure, and nothing is left running."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from forensics import jobs
from forensics.archive import restored
from forensics.case import Named, Request
from forensics.errands import Errands
from forensics.gather import Gatherer, Read
from forensics.investigation import Silence
from forensics.jobs import JobEnd
from forensics.readings import Abstention, Failure, Measurement, Outcome, Reason
from forensics.registry import Offered, Registry
from tests.strangers import MEASURING, install, offer, probe
from tests.tiny import llama_tensors, write

LIMIT = 60.0


def examining(name: str, statement: str, head: str = "") -> str:
    """A probe that does something before it measures."""
    return probe(name, MEASURING.replace("pair):\n", f"pair):\n    {statement}\n"), head=head)


SKETCHING = """
def sketcher(self, checkpoint):
    return Counting(self)

def compare(self, suspect, candidate):
    n = sum(int(s.arrays["rows"][0]) for s in (suspect, candidate))
    return Measurement(value=n, quantity="rows", summary="s")
"""
COUNTING = """
import numpy as np

class Counting:
    def __init__(self, probe):
        self.probe, self.rows = probe, 0

    def wants(self, spec):
        return spec.role == "q_proj"

    def see(self, spec, rows, start):
        if self.probe.id == "sketch-aborts":
            os.abort()
        self.rows += len(rows)

    def finish(self):
        return self.probe.sketch({"rows": np.array([self.rows])})
"""
GRANDCHILD = 'os.write(int(sys.argv[1]), b\'{"grandchild": %d}\\n\' % subprocess.Popen(["sleep", "300"]).pid)'
FORKED = "os.fork() and os.abort() or time.sleep(300)"
CALM = {
    "measures": "pass",
    "prints": 'print("noise" * 100_000); print("more", file=sys.stderr)',
    "raises": "raise ValueError('cannot read /home/somebody/weights.bin')",
    "abstains": 'raise Abstain(Reason.TOO_SMALL, "too small")',
    "abstains_oddly": 'raise Abstain("mood", 3)',
    "signs_oddly": 'raise Abstain(Reason.TOO_SMALL, "x", signs=(3,))',
    "returns_text": 'return "0.5"',
    "returns_none": "return None",
    "measures_nan": 'return Measurement(value=float("nan"), quantity="q", summary="s")',
    "measures_nan32": 'import numpy as np; return Measurement(value=np.float32("nan"), quantity="q", summary="s")',
    "measures_text": 'return Measurement(value="high", quantity="q", summary="s")',
    "measures_none": 'return Measurement(value=None, quantity="q", summary="s")',
    "measures_huge": 'return Measurement(value=10**400, quantity="q", summary="s")',
    "fact_is_a_list": 'return Measurement(value=1.0, quantity="q", summary="s", facts={"x": [1]})',
    "odd_text": 'return Measurement(value=1.0, quantity="q", summary="\\ud800", facts={"\\udcff": "\\ud800"})',
    "out_of_memory": "raise MemoryError",
    "too_deep": "return self.examine(pair)",
}
WILD = {
    "aborts": "os.abort()",
    "leaves": "sys.exit(0)",
    "forks": FORKED,
    "lies": r'os.write(int(sys.argv[1]), b"x\n")',
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two tiny checkpoints, and a stranger's distribution on every worker's path."""
    folder = tmp_path_factory.mktemp("case")
    source = "".join(examining(name, statement) for name, statement in (CALM | WILD).items())
    source += examining("hangs", f"{GRANDCHILD}; time.sleep(300)", head="time_limit = 8.0")
    sketching = ("sketch_counts", "sketch_aborts")
    source += COUNTING + "".join(probe(name, SKETCHING, base="SketchProbe") for name in sketching)
    install(folder / "site", "stress-plugin", source + offer(*CALM, *WILD, "hangs", *sketching))
    write(folder / "a")
    write(folder / "b", llama_tensors(1), shards=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "site")
        patch.setenv("PYTHONPATH", str(folder / "site"))
        yield folder


def job(case: Path, *probes: str, task: str = "examine", **rest: Any) -> dict[str, Any]:
    """A job for a worker, by default an examination of the two checkpoints."""
    ids = [name.replace("_", "-") for name in probes]
    places = {"suspect": str(case / "a"), "candidate": str(case / "b"), "labels": ["a", "b"]}
    return {"task": task, "probes": ids, "only_bundled": False, "parameters": {}, **places, **rest}


def ran(order: Mapping[str, Any], limit: float = LIMIT) -> tuple[JobEnd, list[Mapping[str, Any]]]:
    """How a job ended, and every answer."""
    answers: list[Mapping[str, Any]] = []
    return jobs.run(order, limit=limit, listen=answers.append), answers


@pytest.fixture(scope="module")
def calm_job(case: Path) -> tuple[JobEnd, list[Mapping[str, Any]]]:
    """The job of every probe that does not harm its process, all in one worker."""
    return ran(job(case, *CALM))


@pytest.fixture(scope="module")
def calm(calm_job: tuple[JobEnd, list[Mapping[str, Any]]]) -> dict[str, Outcome]:
    """Outcomes of these probes."""
    end, answers = calm_job
    assert end.done, end
    return {a["probe"]: restored(Outcome, a["outcome"]) for a in answers if "probe" in a}


EXPECTED = {
    "measures": Measurement, "prints": Measurement, "odd-text": Measurement, "raises": "ValueError",
    "abstains": Reason.TOO_SMALL, "abstains-oddly": "ValueError", "signs-oddly": "TypeError",
    "returns-text": "TypeError", "returns-none": "TypeError",
    "measures-nan": "ForensicsError", "measures-nan32": "TypeError", "measures-text": "TypeError",
    "measures-none": "TypeError", "measures-huge": "TypeError", "fact-is-a-list": "TypeError",
    "out-of-memory": "MemoryError", "too-deep": "RecursionError",
}  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_every_outcome_is_a_measurement_or_says_why_not(
    name: str, expected: Any, calm: dict[str, Outcome]
) -> None:
    """Errors, wrong types and numbers that are not finite are failures by name, and others in the worker go on."""
    outcome = calm[name]
    match outcome:
        case Measurement():
            assert expected is Measurement
        case Abstention():
            assert outcome.reason == expected
        case Failure():
            assert outcome.error == expected
            assert "/home/" not in outcome.detail


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("aborts", "killed", "signal 6"),
        ("leaves", "SystemExit", "0"),
        ("forks", "killed", "signal 6"),
        ("lies", "garbled", "makes no sense"),
    ],
)
def test_worker_that_dies_is_told_at_once(name: str, error: str, told: str, case: Path) -> None:
    """A worker that aborts, exits, leaves a child behind or talks nonsense ends the job soon, with what was heard."""
    end, answers = ran(job(case, "measures", name))
    assert (end.done, end.error) == (False, error)
    assert told in end.detail
    assert end.seconds < LIMIT / 2
    assert [a["probe"] for a in answers] == ["measures"]


def is_running(pid: int) -> bool:
    """Whether a process is alive; a dead one that nobody has buried is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_time_limit_ends_worker_and_grandchildren(
    case: Path, calm_job: tuple[JobEnd, list[Mapping[str, Any]]]
) -> None:
    """At the time limit the worker and what it started are killed."""
    limit = 1.0 + 2 * calm_job[0].seconds  # long enough to get to the probe on a busy machine
    end, answers = ran(job(case, "hangs"), limit=limit)
    assert (end.done, end.error) == (False, "timeout")
    assert limit <= end.seconds < limit + 5
    grandchild = answers[0]["grandchild"]
    until = time.monotonic() + 3
    while is_running(grandchild) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(grandchild)


def test_no_descriptor_is_left(case: Path) -> None:
    """A job leaves no pipe open in the parent, and an answer that makes no sense ends it."""
    before = len(os.listdir("/proc/self/fd"))
    missing = {"task": "read", "location": str(case / "none"), "label": "n", "out": "", "digest": ""}
    end, answers = ran({**job(case), **missing})
    assert end.done
    assert answers[0]["error"]["code"] == "MISSING"
    assert len(os.listdir("/proc/self/fd")) == before


GARBLED = [
    b"",
    b"[]",
    b"3",
    b'"x"',
    b"{",
    b"\xff",
    b'{"crash":3}',
    b'{"crash":{"a":1}}',
    b"[" * 100_000,
    b'{"done":true,"peak":1e999}',
]


@pytest.mark.parametrize("line", GARBLED, ids=repr)
def test_line_that_makes_no_sense_ends_the_job(line: bytes) -> None:
    """A worker's line that is no sensible object ends the job as garbled."""
    end = jobs._heard(line, lambda _: None)
    assert end is not None
    assert (end.done, end.error) == (False, "garbled")


def test_listener_that_cannot_use_an_answer_ends_the_job() -> None:
    """An answer that is an object but not what was expected ends the job too, without an exception."""

    def listen(message: Mapping[str, Any]) -> None:
        done, total = message["progress"]
        assert int(done) <= int(total)

    for said in ({"progress": 3}, {"progress": [0, 1e999]}, {"other": 1}):
        end = jobs._heard(json.dumps(said).encode(), listen)
        assert end is not None
        assert end.error == "garbled"


def gatherer_of(request: Request, offered: Mapping[str, Offered], scratch: Path) -> Gatherer:
    """The workers of a case that nobody watches."""
    return Gatherer(
        request=request, offered=offered, scratch=scratch, watch=Silence(), errands=Errands(request=request)
    )


class Gathered:
    """One case of strangers' probes through the gatherer."""

    def __init__(self, case: Path, scratch: Path, *probes: str) -> None:
        ids = tuple(name.replace("_", "-") for name in probes)
        named = [Named(label=n, path=case / n) for n in "ab"]
        request = Request(suspect=named[0], candidates=(named[1],), probes=ids)
        offered = Registry.load().chosen(ids, {})
        self.gatherer = gatherer_of(request, offered, scratch)
        self.reads: list[Read] = self.gatherer.read_all()
        self.outcomes = self.gatherer.compare(*self.reads)


def test_case_goes_on_around_a_probe_that_dies(case: Path, tmp_path: Path) -> None:
    """A stranger's probe that dies fails alone: the others measure, and the subjects are read."""
    done = Gathered(case, tmp_path, "measures", "sketch_counts", "sketch_aborts")
    assert [r.error for r in done.reads] == [None, None]
    assert all(r.subject.recognised == r.subject.parameters > 0 for r in done.reads)
    kinds = {name: outcome.kind for name, outcome in done.outcomes.items()}
    assert kinds == {"measures": "measurement", "sketch-counts": "measurement", "sketch-aborts": "failure"}
    assert isinstance(done.outcomes["sketch-counts"], Measurement)
    assert done.outcomes["sketch-counts"].value == 32
    outcome = done.outcomes["sketch-aborts"]
    assert isinstance(outcome, Failure)
    assert outcome.error == "killed"


def test_unreadable_subject_fails_every_probe_by_name(case: Path, tmp_path: Path) -> None:
    """A subject that cannot be read is an error of that subject, and each probe says that it could not be read."""
    (tmp_path / "empty").mkdir()
    named = Named(label="e", path=tmp_path / "empty")
    request = Request(suspect=Named(label="a", path=case / "a"), candidates=(named,), probes=("measures",))
    offered = Registry.load().chosen(("measures",), {})
    gatherer = gatherer_of(request, offered, tmp_path)
    unread = gatherer.read(1, (named, "candidate"))
    assert unread.error is not None
    assert (unread.error.code, unread.subject.form) == ("EMPTY", "unreadable")
    outcome = gatherer.compare(unread, unread)["measures"]
    assert isinstance(outcome, Failure)
    assert outcome.error == "EMPTY"


def test_sketch_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    """A sketch file whose sketches are signed with another digest than its subject's is refused."""
    from dataclasses import replace

    from forensics.checkpoint import open_checkpoint
    from forensics.reading import read
    from forensics.sketches import SketchBook, save
    from tests.test_reading import Summing

    done = read(open_checkpoint(write(tmp_path / "a")), [Summing()])
    sketches = {"summing": replace(done.sketches["summing"], subject="0" * 64)}
    named = Named(label="s", path=tmp_path / "s.sketch")
    gatherer = gatherer_of(Request(suspect=named, candidates=()), {}, tmp_path)
    save(named.path, SketchBook(subject=done.subject, sketches=done.sketches))
    assert gatherer.read(0, (named, "suspect")).error is None
    save(named.path, SketchBook(subject=done.subject, sketches=sketches))
    error = gatherer.read(0, (named, "suspect")).error
    assert error is not None
    assert error.code == "SKETCH"
