"""Hostile checkpoints in one real case, with real workers, beside a good candidate that is judged all the same."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from forensics.testing import descend, tiny_checkpoint
from tests.hostile.case import Case, Traps
from tests.hostile.registry import read_cases

CHOSEN = [c for c in read_cases() if c.whole]
THIRD = [c for c in read_cases() if not c.slow and not c.whole][::3]
PROBES = ("weight-std", "norm-gains", "repository-scan", "tokenizer-diff")


@dataclass(frozen=True, slots=True)
class Judged:
    """A case of one sound suspect, its base, and hostile candidates."""

    record: Mapping[str, Any]
    out: Path
    done: subprocess.CompletedProcess[str]
    traps: Traps
    server: socket.socket


def judged(folder: Path, cases: list[Case], server: socket.socket) -> Judged:
    """Runs `forensics investigate` on all of them at once."""
    (folder / "elsewhere").mkdir()
    secret = folder / "elsewhere" / "secret.safetensors"
    secret.write_text("do not read this")
    traps = Traps(canary=folder / "elsewhere" / "canary", secret=secret, port=server.getsockname()[1])
    tiny_checkpoint(folder / "base", layers=4, width=64)
    descend(folder / "base", folder / "suspect", noise=0.02, seed=9)
    named = []
    for index, case in enumerate(cases):
        path = folder / str(index) / "subject"
        path.parent.mkdir()
        case.build(path, traps)
        named.append(f"{case.number}={path / case.single if case.single else path}")
    done = subprocess.run(
        [
            sys.executable, "-P", "-m", "forensics", "investigate", "--suspect", "suspect",
            "--candidates", *named, "base",
            "--probes", *PROBES, "--only-bundled", "--out", "out",
        ],
        cwd=folder, capture_output=True, text=True, timeout=550, check=False,
        env=os.environ | {"FORENSICS_WORKER_MEMORY": "1000", "HF_TOKEN": "hf_secret"},
    )  # fmt: skip
    record = json.loads((folder / "out" / "dossier.json").read_text()) if done.returncode == 0 else {}
    subprocess.run(["rm", "-rf", *(str(folder / str(i)) for i in range(len(cases)))], check=True)
    return Judged(record, folder / "out", done, traps, server)


@pytest.fixture(scope="module", params=["chosen", pytest.param("third", marks=pytest.mark.slow)])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Judged, list[Case]]]:
    """The case of those chosen for it; with the slow tests, of a third of all others too."""
    cases = CHOSEN if request.param == "chosen" else THIRD
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield judged(tmp_path_factory.mktemp("whole"), cases, server), cases


def test_case_ends_well(whole: tuple[Judged, list[Case]]) -> None:
    """The status is 0, nobody is shown a traceback, and what is printed holds no control character."""
    case, _ = whole
    assert case.done.returncode == 0, case.done.stderr[-3000:]
    for text in (case.done.stdout, case.done.stderr):
        assert "Traceback" not in text
        assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_the_good_candidate_is_judged(whole: tuple[Judged, list[Case]]) -> None:
    """Beside all that is hostile, the suspect's base was read whole and measured."""
    case, _ = whole
    findings = {f["probe"]["id"]: f["outcome"] for f in case.record["findings"] if f["candidate"] == "base"}
    assert findings["norm-gains"]["kind"] == "measurement"
    assert findings["norm-gains"]["value"] > 0.9
    (base,) = [s for s in case.record["subjects"] if s["label"] == "base"]
    assert base["recognised"] == base["parameters"] > 0


def test_each_hostile_candidate_is_a_finding(whole: tuple[Judged, list[Case]]) -> None:
    """Each is refused or read with its code, as when it is read alone, and an error is never `independent`."""
    case, cases = whole
    problems: dict[str, set[str]] = {}
    for problem in case.record["problems"]:
        problems.setdefault(problem["where"], set()).add(problem["code"])
    forms = {s["label"]: s["form"] for s in case.record["subjects"]}
    verdicts = {o["candidate"]: o["verdict"] for o in case.record["opinions"]}
    for one in cases:
        expected = {one.refused} if one.refused else set(one.codes)
        assert expected <= problems.get(one.number, set()), (one.number, one.title, problems.get(one.number))
        assert (forms[one.number] == "unreadable") == bool(one.refused), (one.number, one.title)
        if one.refused:
            assert verdicts[one.number] == "inconclusive"
            outcomes = {f["outcome"]["kind"] for f in case.record["findings"] if f["candidate"] == one.number}
            assert outcomes == {"failure"}
        assert verdicts[one.number] != "derived"


def test_nothing_outside_was_touched(whole: tuple[Judged, list[Case]]) -> None:
    """No canary, no connection, no secret in any file of the case, and nothing attached but the record."""
    case, _ = whole
    assert not case.traps.canary.exists()
    with pytest.raises(BlockingIOError):
        case.server.accept()
    for path in case.out.iterdir():
        raw = path.read_bytes()
        assert b"do not read this" not in raw
        assert b"hf_secret" not in raw
    reader = PdfReader(io.BytesIO((case.out / "dossier.pdf").read_bytes()))
    assert list(reader.attachments) == ["dossier.json"]


def test_what_workers_gave_up_is_not_in_the_record(whole: tuple[Judged, list[Case]]) -> None:
    """The record is the same on every machine; what a kernel offers is not."""
    case, _ = whole
    assert "landlock" not in json.dumps(case.record)
