"""Whole cases with checkpoints on a hub: readings as from disk, a commit in the record, little fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from forensics.cli import main
from forensics.testing import tiny_checkpoint
from tests.hub.server import COMMIT, NAME, Hub, contents, serving

pytestmark = pytest.mark.usefixtures("unrendered")

PROBES = ["--probes", "norm-gains", "--only-bundled"]
MORE = ["--probes", "norm-gains", "neuron-match", "attention-circuits"]
"""In place of PROBES, where readings matter."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint deep enough that a first look reads a small part of it."""
    return tiny_checkpoint(tmp_path_factory.mktemp("hubs") / "model", seed=5, layers=12, width=64)


@pytest.fixture
def hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that serves it."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(contents(model)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def knows_one(hub: Hub) -> None:
    """Lets the hub deny every repository but its own."""
    denied = {"X-Error-Code": "RepoNotFound"}
    hub.answer = lambda call: "org/none" in call.path and call.send(404, b"{}", denied)


def case(out: Path, suspect: str, candidate: str, *more: str) -> Mapping[str, Any]:
    """The record of a case."""
    arguments = [
        "investigate",
        "--suspect",
        suspect,
        "--candidates",
        candidate,
        "--out",
        str(out),
        *PROBES,
        *more,
    ]
    assert main(arguments) == 0
    found: Mapping[str, Any] = json.loads((out / "dossier.json").read_text(encoding="utf-8"))
    return found


def notes(out: Path) -> Mapping[str, Any]:
    """The run's notes."""
    found: Mapping[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return found


def test_checkpoint_on_a_hub_reads_as_from_disk(hub: Hub, model: Path, tmp_path: Path) -> None:
    """Read whole, it has the digest, record and readings of the local folder, and the commit that it was pinned to."""
    record = case(tmp_path / "out", NAME, f"local={model}", "--cache-dir", str(tmp_path / "cache"), *MORE)
    there, here = record["subjects"]
    assert (there["commit"], here["commit"]) == (COMMIT, "")
    assert {**there, "label": "", "role": "", "commit": ""} == {**here, "label": "", "role": "", "commit": ""}
    assert record["opinions"][0]["relation"] == "identical"
    assert notes(tmp_path / "out")["fetched"]["bytes"] >= sum(p.stat().st_size for p in model.iterdir())
    assert hub.url not in json.dumps(record)


def test_second_case_fetches_nothing(hub: Hub, model: Path, tmp_path: Path) -> None:
    """A commit never changes, so what is remembered of it is not fetched again."""
    first = case(tmp_path / "a", NAME, f"local={model}", "--cache-dir", str(tmp_path / "cache"))
    asked = len(hub.at("/resolve/"))
    second = case(tmp_path / "b", NAME, f"local={model}", "--cache-dir", str(tmp_path / "cache"))
    assert (len(hub.at("/resolve/")), first) == (asked, second)
    assert notes(tmp_path / "b")["digests"][NAME].startswith("remembered")


def test_first_look_fetches_a_part(
    hub: Hub, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --remote less than a third of the weights is fetched, and the user is told how much."""
    del hub
    record = case(tmp_path / "out", NAME, f"local={model}", "--remote", *MORE)
    fetched = notes(tmp_path / "out")["fetched"]
    weights = (model / "model.safetensors").stat().st_size
    (seen,) = (f for f in record["subjects"][0]["files"] if f["name"] == "model.safetensors")
    part = int(seen["note"].split()[2])
    assert part < weights / 3
    assert fetched["bytes"] < weights
    assert "fetched 0." in capsys.readouterr().err
    assert record["opinions"][0]["verdict"] == "inconclusive"


def test_hub_that_does_not_know_the_name_is_two_lines(
    hub: Hub, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is neither a path nor a repository: what was asked, what is wrong, what to do; status 2."""
    knows_one(hub)
    arguments = [
        "investigate",
        "--suspect",
        "org/none",
        "--candidates",
        str(model),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["note", "error", "hint"]
    assert "org/none" in lines[1]


def test_candidate_that_the_hub_refuses_does_not_end_the_case(hub: Hub, model: Path, tmp_path: Path) -> None:
    """One candidate that cannot be had is a failure of its findings; the others are judged."""
    knows_one(hub)
    arguments = [
        "investigate", "--suspect", str(model), "--candidates", NAME, "org/none", "--out", str(tmp_path / "out"),
        "--no-cache", *PROBES,
    ]  # fmt: skip
    assert main(arguments) == 0
    record = json.loads((tmp_path / "out" / "dossier.json").read_text(encoding="utf-8"))
    assert [s["form"] for s in record["subjects"]] == ["checkpoint", "checkpoint", "unreadable"]
    kinds = {f["outcome"]["kind"] for f in record["findings"] if f["candidate"] == "org/none"}
    assert kinds == {"failure"}
    assert [o["verdict"] for o in record["opinions"]][1] == "inconclusive"


def test_inspection_of_a_hub_fetches_headers(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect` of a hub id reads headers and small files, and names the commit."""
    del hub
    assert main(["inspect", NAME]) == 0
    captured = capsys.readouterr()
    assert f"at commit {COMMIT}" in captured.out
    assert "100.0% of" in captured.out
    assert "fetched" in captured.err


def test_token_for_another_hub_needs_a_telling_name(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that workers would inherit cannot hold the token."""
    arguments = ["investigate", "--suspect", str(model), "--candidates", NAME, "--out", str(tmp_path)]
    assert main([*arguments, "--hub-token-env", "SECRETS"]) == 2
    assert "TOKEN" in capsys.readouterr().err
