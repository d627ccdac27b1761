"""Several candidates at once: only where a probe asks for it, in a worker, recorded and never weighed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any, ClassVar

import numpy as np
import pytest

from forensics import Measurement, Reason, Sketch, SketchProbe
from forensics.cli import main
from forensics.comparing import compared_together
from forensics.readings import Abstention
from forensics.testing import descend, read_safetensors, tiny_checkpoint, write_safetensors
from tests import strangers

pytestmark = pytest.mark.usefixtures("unrendered")

STRANGER = strangers.probe(
    "counts_all",
    """
def sketcher(self, checkpoint):
    return Reads(self)
def compare(self, suspect, candidate):
    return Measurement(value=1.0, quantity="q", summary="s")
def compare_all(self, suspect, candidates):
    if len(candidates) > 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return Measurement(value=float(len(candidates)), quantity="candidates", summary="Counted: " + " ".join(candidates))
""",
    base="SketchProbe",
)
READS = """
class Reads:
    def __init__(self, probe):
        self.probe = probe
    def wants(self, spec):
        return False
    def see(self, spec, rows, start):
        pass
    def finish(self):
        return self.probe.sketch({})
"""


@dataclass(frozen=True, kw_only=True)
class Counting(SketchProbe):
    """Says how many candidates it was given."""

    id: ClassVar[str] = "counting"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Count"
    measures: ClassVar[str] = "Nothing."

    def compare_all(self, suspect: Sketch, candidates: Mapping[str, Sketch]) -> Measurement:  # noqa: ARG002
        """The number."""
        return Measurement(value=float(len(candidates)), quantity="candidates", summary="Counted.")


PROBE = Counting()
SKETCH = PROBE.sketch({})
ABSENT = replace(SKETCH, absent=Abstention(reason=Reason.TOO_SMALL, detail="small"))


def test_only_a_probe_that_overrides_it_is_asked() -> None:
    """A probe without `compare_all` of its own has nothing to say of several candidates."""
    assert PROBE.compares_all
    assert not replace_method(Counting).compares_all


def replace_method(kind: type[SketchProbe]) -> SketchProbe:
    """A probe of the same kind without the method."""
    made = type(
        "Plain", (SketchProbe,), {n: getattr(kind, n) for n in ("id", "version", "title", "measures")}
    )
    return made()


def test_candidates_whose_sketches_cannot_be_used_are_left_out() -> None:
    """Missing, absent and otherwise made sketches take no part; with fewer than two left it abstains."""
    odd = replace(SKETCH, version="2")
    given = {"a": SKETCH, "none": None, "b": SKETCH, "absent": ABSENT, "odd": odd}
    labels, outcome = compared_together(PROBE, SKETCH, given, quick=False)
    assert isinstance(outcome, Measurement)
    assert (labels, outcome.value) == (("a", "b"), 2.0)
    labels, outcome = compared_together(PROBE, SKETCH, {"a": SKETCH, "absent": ABSENT}, quick=False)
    assert isinstance(outcome, Abstention)
    assert (labels, outcome.reason) == (("a",), Reason.NOT_COMPARABLE)
    _, outcome = compared_together(PROBE, ABSENT, given, quick=False)
    assert isinstance(outcome, Abstention)
    assert outcome.reason is Reason.TOO_SMALL


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two fine-tunes of it, their mean, and a stranger."""
    folder = tmp_path_factory.mktemp("joint")
    tiny_checkpoint(folder / "base", seed=1, layers=3, width=64)
    tiny_checkpoint(folder / "stranger", seed=9, layers=3, width=64)
    for seed, name in ((2, "one"), (3, "two")):
        descend(folder / "base", folder / name, noise=0.1, seed=seed)
    copytree(folder / "one", folder / "merge")
    parents = [read_safetensors(folder / name / "model.safetensors") for name in ("one", "two")]
    means = {
        name: (dtype, np.asarray((w + parents[1][name][1]) / 2, np.float32))
        for name, (dtype, w) in parents[0].items()
    }
    write_safetensors(folder / "merge" / "model.safetensors", means)
    return folder


def examined(
    place: Path, out: Path, suspect: str, *others: str, probes: str = "delta-anatomy", **more: str
) -> Any:
    """The record of a case."""
    arguments = ["investigate", "--no-cache", "--probes", *probes.split(), "--suspect", str(place / suspect)]
    arguments += ["--candidates", *(str(place / name) for name in others), "--out", str(out)]
    for key, value in more.items():
        arguments += [f"--{key}", str(place / value)]
    assert main(arguments) == 0
    return json.loads((out / "dossier.json").read_text(encoding="utf-8"))


def test_a_case_with_several_candidates_tells_a_merge(place: Path, tmp_path: Path) -> None:
    """The record holds one joint finding, with the candidates that took part and no control."""
    found = examined(place, tmp_path, "merge", "two", "stranger", "one", controls="base")
    (joint,) = found["joint"]
    assert joint["candidates"] == ["two", "stranger", "one"]
    assert joint["outcome"]["facts"]["mixture"] == "merge"
    assert {k["candidate"] for k in joint["outcome"]["kinship"]} == {"one", "two"}
    assert [o["verdict"] for o in found["opinions"]] == ["inconclusive"] * 3
    assert [o["relation"] for o in found["opinions"]] == ["undetermined"] * 3


def test_one_candidate_is_not_put_together(place: Path, tmp_path: Path) -> None:
    """With one candidate there is nothing to put together, whatever the number of controls."""
    assert examined(place, tmp_path, "merge", "one", controls="two")["joint"] == []


def test_a_strangers_probe_is_asked_in_a_worker_of_its_own(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third party's `compare_all` is recorded like ours; when it dies it is only its own failure."""
    strangers.install(tmp_path / "site", "counter", READS + STRANGER + strangers.offer("counts_all"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = examined(place, tmp_path / "a", "merge", "one", "two", probes="counts-all")
    assert [j["outcome"]["value"] for j in found["joint"]] == [2.0]
    both = "counts-all delta-anatomy"
    found = examined(place, tmp_path / "b", "merge", "one", "two", "base", probes=both)
    kinds = {j["probe"]["id"]: j["outcome"]["kind"] for j in found["joint"]}
    assert kinds == {"counts-all": "failure", "delta-anatomy": "measurement"}
