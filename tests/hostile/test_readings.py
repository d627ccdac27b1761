"""Every hostile checkpoint is read as a worker reads it: a code, in time, in memory, and nothing else is touched."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.case import Case, Traps
from tests.hostile.registry import read_cases

BENCH = Path(__file__).with_name("bench.py")


@dataclass(slots=True)
class Bench:
    """The process that reads, the traps around it, and a folder for each case."""

    process: subprocess.Popen[str]
    traps: Traps
    server: socket.socket
    folder: Path
    count: int = field(default=0)

    def read(self, case: Case) -> dict[str, Any]:
        """Builds the case and has it read."""
        self.count += 1
        place = self.folder / str(self.count)
        path = place / "subject"
        place.mkdir()
        case.build(path, self.traps)
        order = {
            "location": str(path / case.single if case.single else path),
            "out": str(place / "out" / "sketch"),
            "also": [str(p) for p in case.also(path)] if case.also else [],
            "limit": max(30.0, 3 * case.seconds),
            "base": "",
        }
        (place / "out").mkdir()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        subprocess.run(["rm", "-rf", str(place)], check=True)  # deeper than Python's own removal goes
        return answer

    def untouched(self) -> bool:
        """Whether no canary appeared and nobody called."""
        with pytest.raises(BlockingIOError):
            self.server.accept()
        return not self.traps.canary.exists()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for all cases."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "elsewhere").mkdir()
    secret = folder / "elsewhere" / "secret.safetensors"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        traps = Traps(canary=folder / "elsewhere" / "canary", secret=secret, port=server.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-P", str(BENCH)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            yield Bench(process, traps, server, folder)
            assert process.stdin is not None
            process.stdin.close()


def marked(case: Case) -> Any:
    """The case as a parameter of a test, with its number."""
    marks = [pytest.mark.slow] if case.slow else []
    return pytest.param(case, id=f"{case.number}: {case.title}", marks=marks)


@pytest.mark.parametrize("case", [marked(c) for c in read_cases()])
def test_hostile_checkpoint_is_a_finding(case: Case, bench: Bench) -> None:
    """Refused or read with the stated codes, within seconds and megabytes, without touching anything outside."""
    answer = bench.read(case)
    assert "crash" not in answer, answer["crash"]
    assert answer["touched"] == []
    assert bench.untouched()
    if case.refused:
        assert answer["error"] is not None, answer["problems"]
        assert answer["error"]["code"] == case.refused, answer["error"]
        assert len(answer["error"]["message"]) < 2_000
    else:
        assert answer["error"] is None, answer["error"]
        codes = {p["code"] for p in answer["problems"]} - {"NO_CONFIG"}
        assert set(case.codes) <= codes if case.more else set(case.codes) == codes, answer["problems"]
        assert all(len(p["message"]) < 1_000 for p in answer["problems"])
        if case.check:
            case.check(answer["subject"])
    assert answer["seconds"] < case.seconds
    assert answer["waited"] < 5 * case.seconds  # the machine may be busy; a pipe would be waited for for ever
    assert answer["memory"] < case.megabytes << 20
