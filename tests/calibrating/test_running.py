"""Whole runs on tiny checkpoints: resumed, around broken ones, refused below 11 families, a plugin with a weight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.testing import descend, tiny_checkpoint
from tests import strangers

FIRST_ROW = """
class Rows:
    def __init__(self, probe):
        self.probe, self.row = probe, None
    def wants(self, spec):
        return spec.role == "up_proj" and spec.layer == 0
    def see(self, spec, rows, start):
        if start == 0:
            self.row = rows[:2].ravel().copy()
    def finish(self):
        return self.probe.sketch({"row": self.row})
"""
COMPARING = """
def sketcher(self, checkpoint):
    return Rows(self)
def compare(self, suspect, candidate):
    import numpy
    value = numpy.corrcoef(suspect.arrays["row"], candidate.arrays["row"])[0, 1]
    return Measurement(value=float(value), quantity="correlation", summary="s")
"""


def command(*arguments: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TERM": "dumb"}
    call = [sys.executable, "-m", "forensics", *arguments]
    return subprocess.run(
        call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two families, one of them with a child, and a folder that is no checkpoint."""
    folder = tmp_path_factory.mktemp("pairs")
    for k in range(2):
        tiny_checkpoint(folder / f"b{k}", seed=k)
    descend(folder / "b0", folder / "d0", seed=9)
    (folder / "broken").mkdir()
    (folder / "broken" / "model.safetensors").write_bytes(b"\xff" * 64)
    pairs = [("b0", "d0", "derived"), ("b0", "b1", "independent"), ("b0", "broken", "independent"),
             ("b1", "gone", "independent")]  # fmt: skip
    listed = [{"parent": p, "child": c, "label": label} for p, c, label in pairs]
    (folder / "pairs.json").write_text(json.dumps(listed))
    return folder


def run(place: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Calibrates weight-std on the two families, which cannot suffice."""
    options = ["--pairs", "pairs.json", "--work", "../work", "--out", "../c.json", "--probes", "weight-std"]
    return command("calibrate", *options, "--only-bundled", *more, cwd=place)


def kept(place: Path) -> dict[str, int]:
    """What lies in the working folder, with the time it was written."""
    return {str(p): p.stat().st_mtime_ns for p in (place.parent / "work").rglob("*") if p.is_file()}


def test_run_goes_on_where_it_was_and_around_what_is_broken(place: Path) -> None:
    """What was done is not done again, what was torn or lost is; what is broken costs itself only."""
    first = run(place)
    assert first.returncode == 2, first.stderr
    assert "weight-std: it answered for derived pairs of 1 and unrelated pairs of 2" in first.stderr
    assert "left out: broken and b0: broken:" in first.stderr
    assert "left out: gone and b1: gone: no such file or folder" in first.stderr
    assert not (place.parent / "c.json").exists()
    readings = place.parent / "work" / "readings.jsonl"
    before, lines = kept(place), readings.read_text().splitlines()
    assert len(lines) == 2
    assert {json.loads(line)["readings"]["weight-std"]["value"] > 0.9 for line in lines} == {True, False}
    again = run(place)
    assert again.returncode == 2
    assert readings.read_text().splitlines() == lines
    done = [name for name in before if name.endswith(("read.json", ".sketch"))]
    assert len([name for name in done if name.endswith("read.json")]) == 3
    assert {name: kept(place)[name] for name in done} == {name: before[name] for name in done}
    readings.write_text(lines[0] + "\n" + lines[1][:40])
    lost = next(name for name in done if name.endswith("read.json"))
    Path(lost).unlink()
    assert run(place).returncode == 2
    now = kept(place)
    assert lost in now
    others = [name for name in done if Path(name).parent != Path(lost).parent]
    assert {name: now[name] for name in others} == {name: before[name] for name in others}
    assert json.loads(readings.read_text().splitlines()[-1]) == json.loads(lines[1])


def test_working_folder_is_no_ones_elses_and_outside_checkpoints(place: Path) -> None:
    """A folder that others can write to could hold planted sketches; one inside a checkpoint would change it."""
    shared = place.parent / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    for work, complaint in ((str(shared), "other users can write"), ("b0/work", "lies inside b0")):
        refused = command("calibrate", "--pairs", "pairs.json", "--work", work, cwd=place)
        assert refused.returncode == 2
        assert complaint in refused.stderr
        assert "Traceback" not in refused.stderr


def test_first_look_says_what_it_suffices_for(place: Path) -> None:
    """A first look calibrates probes whose value it gives, and names those that need more."""
    options = [
        "--pairs",
        "pairs.json",
        "--work",
        "../quick",
        "--probes",
        "norm-gains",
        "neuron-match",
        "weight-std",
    ]
    quick = command("calibrate", *options, "--quick", "--only-bundled", cwd=place)
    assert quick.returncode == 2
    assert "a first look suffices for norm-gains\n" in quick.stderr
    assert "does not suffice for neuron-match: its first look reads less than a case does" in quick.stderr
    assert "does not suffice for weight-std: it needs the whole reading pass" in quick.stderr


@pytest.mark.slow
def test_plugin_gains_a_weight(tmp_path: Path) -> None:
    """A stranger's probe, calibrated on 12 families, weighs a later case, under the file's digest."""
    source = (
        FIRST_ROW + strangers.probe("first_row", COMPARING, base="SketchProbe") + strangers.offer("first_row")
    )
    strangers.install(tmp_path / "plugin", "row-thing", source)
    pairs = []
    for k in range(12):
        tiny_checkpoint(tmp_path / f"b{k}", seed=k, layers=2)
        descend(tmp_path / f"b{k}", tmp_path / f"d{k}", seed=k)
        pairs.append({"parent": f"b{k}", "child": f"d{k}", "label": "derived"})
        pairs.append({"parent": f"b{k}", "child": f"b{(k + 1) % 12}", "label": "unrelated"})
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    plugin = str(tmp_path / "plugin")
    made = command("calibrate", "--pairs", "pairs.json", "--probes", "first-row", cwd=tmp_path, path=plugin)
    assert made.returncode == 0, made.stderr
    assert "first-row: 12 families" in made.stdout
    case = [
        "investigate",
        "--suspect",
        "d3",
        "--candidates",
        "b3",
        "b5",
        "--probes",
        "first-row",
        "--no-cache",
    ]
    done = command(*case, "--calibration", "calibration.json", "--out", "case", cwd=tmp_path, path=plugin)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "case" / "dossier.json").read_text())
    weights = {f["candidate"]: f["weight"]["log10_lr"] for f in record["findings"]}
    assert weights["b3"] > 0.5
    assert weights["b5"] < -0.5
    populations = record["environment"]["populations"]
    assert [p["id"] for p in populations] == [json.loads((tmp_path / "calibration.json").read_text())["id"]]
    plain = command(*case, "--out", "plain", cwd=tmp_path, path=plugin)
    assert plain.returncode == 0
    record = json.loads((tmp_path / "plain" / "dossier.json").read_text())
    assert {f["weight"] for f in record["findings"]} == {None}
