"""Calibrating with checkpoints on a hub: read in place, pinned to a commit, fetched once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.cli import main
from forensics.testing import tiny_checkpoint
from tests.hub.server import COMMIT, NAME, Hub, contents, serving


def test_pairs_on_a_hub_are_measured_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository is read by ranges beside a local folder, under its commit; the next run fetches no weights again."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    checkpoint = tiny_checkpoint(tmp_path / "local")
    pairs = [{"parent": "local", "child": NAME, "label": "derived"},
             {"parent": "local", "child": "org/none", "label": "unrelated"}]  # fmt: skip
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    arguments = ["calibrate", "--pairs", str(tmp_path / "pairs.json"), "--work", str(tmp_path / "work"),
                 "--out", str(tmp_path / "c.json"), "--probes", "norm-gains", "--only-bundled"]  # fmt: skip
    with serving(contents(checkpoint)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        denied = {"X-Error-Code": "RepoNotFound"}
        hub.answer = lambda call: "org/none" in call.path and call.send(404, b"{}", denied)
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert f"read {NAME}" in told
        assert "left out: org/none and" in told
        before = weights_asked(hub)
        assert before
        assert main(arguments) == 2
        assert weights_asked(hub) == before
    (line,) = (tmp_path / "work" / "readings.jsonl").read_text().splitlines()
    assert json.loads(line)["readings"]["norm-gains"]["value"] > 0.99
    kept = [json.loads(p.read_text())["subject"] for p in (tmp_path / "work").rglob("read.json")]
    assert sorted(subject["commit"] for subject in kept) == ["", COMMIT]
    assert len({subject["digest"] for subject in kept}) == 1


def weights_asked(hub: Hub) -> int:
    """How often the weights were asked for."""
    return sum("safetensors" in call.path for call in hub.seen)
