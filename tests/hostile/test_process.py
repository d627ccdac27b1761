"""What happens around the reading: workers that die or panic, a full disk, a home that is not there, odd locales."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.cli import main
from forensics.reading import read
from forensics.testing import tiny_checkpoint
from tests.strangers import install
from tests.tiny import llama_tensors, write

OPENING = """
class PanicException(BaseException):
    "What Rust libraries raise: no Exception, so that nobody catches it by accident."

@hookimpl
def forensics_open(location):
    if location.endswith("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if location.endswith("panics"):
        raise PanicException("called `Option::unwrap()` on a `None` value")
    if location.endswith("leaves"):
        os._exit(0)
    if location.endswith("talks"):
        os.write(int(sys.argv[1]), b'{"subject": {"label": "x"}, "problems": []}\\n')
    if location.endswith("floods"):
        while True:
            os.write(int(sys.argv[1]), b"x" * 65536)
    if location.endswith("waits"):
        time.sleep(300)
"""
DEATHS = ("killed", "panics", "leaves", "talks", "floods")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Sound checkpoints, some of which make a stranger's opener misbehave by their name."""
    folder = tmp_path_factory.mktemp("process")
    install(folder / "site", "rogue-plugin", OPENING)
    for seed, name in enumerate(("base", "suspect", *DEATHS, "waits")):
        tiny_checkpoint(folder / name, seed=seed, layers=2, width=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "site"))
        patch.syspath_prepend(folder / "site")
        yield folder


def command(
    folder: Path, *candidates: str, suspect: str = "suspect", **rest: Any
) -> subprocess.CompletedProcess[str]:
    """A case in a process of its own, into `out`."""
    environment = os.environ | rest.pop("environment", {})
    return subprocess.run(
        [
            sys.executable, "-P", "-m", "forensics", "investigate", "--suspect", suspect, "--candidates", *candidates,
            "--probes", "norm-gains", "--out", rest.pop("out", "out"),
        ],
        cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=200, check=False, **rest,
    )  # fmt: skip


def record(folder: Path, name: str = "out") -> Mapping[str, Any]:
    """What a case left."""
    return json.loads((folder / name / "dossier.json").read_text(encoding="utf-8"))


def test_deaths_of_workers_are_findings_and_others_are_judged(place: Path) -> None:
    """Killed, panicking, leaving, talking nonsense or too much: each is its own candidate's error, the rest go on."""
    done = command(place, *DEATHS, "base")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    case = record(place)
    told = {p["where"]: (p["code"], p["message"]) for p in case["problems"] if p["where"] in DEATHS}
    assert {code for code, _ in told.values()} == {"WORKER"}
    assert sorted(told) == sorted(DEATHS)
    assert "signal 9" in told["killed"][1]
    assert "PanicException" in told["panics"][1]
    assert "garbled" in told["talks"][1]
    assert "too long" in told["floods"][1]
    verdicts = {o["candidate"]: o["verdict"] for o in case["opinions"]}
    assert {verdicts[name] for name in DEATHS} == {"inconclusive"}
    outcomes = {f["candidate"]: f["outcome"]["kind"] for f in case["findings"]}
    assert outcomes["base"] != "failure"


def test_worker_does_not_outlive_a_killed_case(place: Path) -> None:
    """When the case itself is killed outright, the kernel ends its workers."""
    if sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    case = subprocess.Popen(
        [sys.executable, "-P", "-m", "forensics", "investigate", "--suspect", "waits", "--candidates", "base"],
        cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    workers: list[Path] = []
    deadline = time.monotonic() + 60
    while not workers and time.monotonic() < deadline:
        workers = [p for p in Path("/proc").glob("[0-9]*") if confined_child(p, case.pid)]
        time.sleep(0.05)
    assert workers
    case.kill()
    case.wait()
    deadline = time.monotonic() + 10
    while any(is_running(w) for w in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(w) for w in workers)


def status(process: Path) -> str:
    """Its state in words, empty where it is gone."""
    try:
        return (process / "status").read_text(errors="replace")
    except OSError:
        return ""


def confined_child(process: Path, parent: int) -> bool:
    """Whether it is a worker of that parent, and confined already."""
    said = status(process)
    return f"PPid:\t{parent}\n" in said and "NoNewPrivs:\t1" in said


def is_running(process: Path) -> bool:
    """Whether it lives."""
    return bool(said := status(process)) and "State:\tZ" not in said


def test_full_disk_is_two_lines(place: Path, tmp_path: Path) -> None:
    """Where sketches cannot be written the case ends with status 2, nothing half-written, and no checkpoint blamed."""

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))

    done = command(place, "base", out=str(tmp_path / "out"), preexec_fn=small)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) <= 2
    assert "cannot write" in done.stderr
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file."""
    return {
        str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_read_only_subjects_and_a_home_that_is_not_there(place: Path, tmp_path: Path) -> None:
    """Without a home, without caches and on read-only folders a case runs, and leaves the subjects as they were."""
    before = {name: tree(place / name) for name in ("suspect", "base")}
    for name in before:
        (place / name).chmod(0o555)
    nowhere = {"HOME": "/proc/nowhere", "HF_HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    done = command(place, "base", out=str(tmp_path / "out"), environment=nowhere)
    assert done.returncode == 0, done.stderr
    assert {name: tree(place / name) for name in before} == before


ODD: dict[str, dict[str, str]] = {
    "nonsense": {"LC_ALL": "C", "TZ": ":/etc/passwd", "LANGUAGE": "\udcff", "COLUMNS": "1", "TERM": "x"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
    "ASCII": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:strict",
    },
}


@pytest.mark.parametrize(
    "odd",
    [pytest.param(v, id=k, marks=[pytest.mark.slow] if k != "nonsense" else []) for k, v in ODD.items()],
)
def test_odd_locales_and_file_names(odd: dict[str, str], place: Path, tmp_path: Path) -> None:
    """Locale, time zone and file names that are no text in any encoding neither crash nor change what was found."""
    suspect = tmp_path / "Schr\u00f6dinger \U0001f408 \u65e5\u672c"
    tiny_checkpoint(suspect, seed=1, layers=2, width=32)
    (Path(os.fsdecode(os.fsencode(suspect) + b"/caf\xe9.md"))).write_text("x")
    other = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    tiny_checkpoint(Path(other), seed=2, layers=2, width=32)
    found = []
    for name, environment in (("plain", {}), ("odd", odd)):
        out = str(tmp_path / name)
        done = command(place, f"b={other}", suspect=f"a={suspect}", out=out, environment=environment)
        assert done.returncode == 0, done.stderr
        found.append((tmp_path / name / "dossier.json").read_bytes())
    assert found[0] == found[1]


def test_file_that_shrinks_while_it_is_read_is_an_error_of_its_candidate(tmp_path: Path) -> None:
    """A short read is an error with a code; nothing is mapped, so nobody is killed."""
    from forensics.checkpoint import open_checkpoint
    from forensics.errors import CheckpointError

    write(tmp_path / "a", {**llama_tensors(), "large": np.zeros((4096, 4096), np.float32)})
    checkpoint = open_checkpoint(tmp_path / "a")

    def shrink(done: int, total: int) -> None:
        if done < total:
            os.truncate(tmp_path / "a" / "model.safetensors", 4096)

    with pytest.raises(CheckpointError) as refused:
        read(checkpoint, [], shrink)
    assert refused.value.code == "SHRANK"


def test_file_that_is_replaced_between_opening_and_reading_is_the_one_that_was_opened(tmp_path: Path) -> None:
    """The digest in the record is that of the bytes that were read, through one descriptor."""
    from forensics.checkpoint import open_checkpoint

    write(tmp_path / "a", llama_tensors(0))
    first = hashlib.sha256((tmp_path / "a" / "model.safetensors").read_bytes()).hexdigest()
    checkpoint = open_checkpoint(tmp_path / "a")
    write(tmp_path / "b", llama_tensors(1))
    os.replace(tmp_path / "b" / "model.safetensors", tmp_path / "a" / "model.safetensors")
    seen = {f.name: f.sha256 for f in read(checkpoint, []).subject.files}
    assert seen["model.safetensors"] == first


def test_one_place_under_several_names_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The suspect among its candidates, by any path or link, is an error that says how to put it right."""
    monkeypatch.chdir(place)
    (place / "link").symlink_to("suspect")
    for other in ("./suspect", "base/../suspect", "link", str(place / "suspect")):
        assert main(["investigate", "--suspect", "suspect", "--candidates", "base", f"x={other}"]) == 2
        assert "same place" in capsys.readouterr().err


def test_signal_is_what_the_system_calls_it() -> None:
    """A worker's end by a signal is told by number and name."""
    from forensics.jobs import _ending

    assert "signal 9 (Killed)" in _ending(-signal.SIGKILL)
    assert "status 3" in _ending(3)
