"""Several candidates: what they are to each other is told first, whatever their order, apart from the suspect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics import jobs, joint
from forensics.archive import encode
from forensics.case import Named, Request
from forensics.investigation import investigate
from forensics.jobs import JobEnd
from forensics.records import CandidateRelation, Dossier
from forensics.registry import Registry
from forensics.testing import descend, tiny_checkpoint
from forensics.worker import perform
from tests import strangers

PROBES = ("identity-mlp", "norm-gains", "weight-std", "delta-anatomy")


@pytest.fixture(autouse=True)
def jobs_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Workers without processes, which are quick; the tasks they were given, in order."""
    asked: list[str] = []

    def run(job: Mapping[str, Any], *, listen: Callable[[Mapping[str, Any]], None], **_: Any) -> JobEnd:
        asked.append(str(job["task"]))
        perform(job, listen)
        return JobEnd(done=True)

    monkeypatch.setattr(jobs, "run", run)
    return asked


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, its fine-tune, the suspect made from the latter, two strangers, and a folder without weights."""
    folder = tmp_path_factory.mktemp("among")
    for seed, name in ((1, "base"), (8, "stranger"), (9, "other")):
        tiny_checkpoint(folder / name, seed=seed, layers=4, width=64)
    descend(folder / "base", folder / "tune", noise=0.05, seed=2)
    descend(folder / "tune", folder / "suspect", noise=0.05, seed=3)
    (folder / "broken").mkdir()
    (folder / "broken" / "model.safetensors").write_bytes(b"\xff" * 40)
    return folder


def case(
    place: Path, *candidates: str, probes: tuple[str, ...] = PROBES, only_bundled: bool = True
) -> Dossier:
    """The record of a case."""
    request = Request(
        suspect=Named(label="suspect", path=place / "suspect"),
        candidates=tuple(Named(label=name, path=place / name) for name in candidates),
        probes=probes,
        only_bundled=only_bundled,
    )
    return investigate(request, Registry.load(only_bundled=only_bundled)).dossier


def by_pair(dossier: Dossier) -> dict[frozenset[str], CandidateRelation]:
    """Relations by the two candidates."""
    return {frozenset({pair.first, pair.second}): pair for pair in dossier.candidate_relations}


def test_fine_tune_among_candidates_reads_above_strangers(place: Path) -> None:
    """A candidate made from another reads high on every weight probe, with an exact p; strangers do not."""
    found = by_pair(case(place, "base", "tune", "stranger"))
    assert len(found) == 3
    kin = found[frozenset({"base", "tune"})]
    apart = found[frozenset({"base", "stranger"})]
    near, far = ({one.probe: one for one in pair.readings} for pair in (kin, apart))
    assert list(near) == list(far)
    assert set(near) == set(PROBES)
    for probe in ("identity-mlp", "norm-gains"):
        assert (near[probe].value or 0.0) > 0.9
        assert abs(far[probe].value or 0.0) < 0.3
    assert near["delta-anatomy"].value is not None
    assert far["delta-anatomy"].absence == "not-comparable"
    assert kin.exact is not None
    assert kin.exact.p < 1e-6
    assert apart.exact is not None
    assert apart.exact.p > 1e-3
    assert (kin.log10_lr or 0.0) > (apart.log10_lr or 0.0)


def test_pairs_leave_the_suspect_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings, Holm corrections, numbers and verdicts on the suspect are those of a case that compares no pairs."""
    probes = ("identity-mlp", "norm-gains")
    with_pairs = case(place, "base", "tune", probes=probes)
    monkeypatch.setattr(joint, "CANDIDATES_MOST", 1)
    without = case(place, "base", "tune", probes=probes)
    assert without.candidate_relations == ()
    assert with_pairs.findings == without.findings
    plain = [replace(o, relation_grounds=()) for o in with_pairs.opinions]
    assert plain == [replace(o, relation_grounds=()) for o in without.opinions]


def test_order_of_candidates_changes_the_order_only(place: Path) -> None:
    """Three candidates in another order give the same relations, and the same case gives the same bytes."""
    probes = ("identity-mlp", "norm-gains")
    one = case(place, "base", "tune", "stranger", probes=probes)
    again = case(place, "base", "tune", "stranger", probes=probes)
    turned = case(place, "stranger", "tune", "base", probes=probes)
    assert encode(one) == encode(again)
    assert by_pair(one) == by_pair(turned)
    assert {o.candidate: o for o in one.opinions} == {o.candidate: o for o in turned.opinions}
    assert [p.first for p in one.candidate_relations] == ["base", "base", "stranger"]


def test_unreadable_candidate_takes_no_part(place: Path, jobs_asked: list[str]) -> None:
    """A candidate that cannot be read is in no pair; with one readable candidate there is no pair at all."""
    found = case(place, "base", "broken", "stranger", probes=("norm-gains",))
    assert [(p.first, p.second) for p in found.candidate_relations] == [("base", "stranger")]
    assert jobs_asked.count("compare") == 3
    assert case(place, "base", "broken", probes=("norm-gains",)).candidate_relations == ()
    assert case(place, "base", probes=("norm-gains",)).candidate_relations == ()


def test_no_checkpoint_is_read_again_and_paired_probes_are_left_out(
    place: Path, tmp_path: Path, jobs_asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pair costs one comparison of sketches that are there; a probe that needs both checkpoints is not put to it."""
    paired = strangers.probe(
        "paired", 'def examine(self, pair):\n    raise Abstain(Reason.TOO_SMALL, "small")'
    )
    strangers.install(tmp_path, "pairing", paired + strangers.offer("paired"))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = case(place, "base", "stranger", probes=("norm-gains", "paired"), only_bundled=False)
    assert jobs_asked.count("read") == 3
    assert sorted(jobs_asked[3:7]) == ["compare", "compare", "examine", "examine"]  # two candidates at a time
    assert jobs_asked[7:] == ["compare"]
    (pair,) = found.candidate_relations
    assert [one.probe for one in pair.readings] == ["norm-gains"]


def test_candidates_beyond_the_limit_are_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first are compared, and the record says which were not."""
    monkeypatch.setattr(joint, "CANDIDATES_MOST", 2)
    found = case(place, "base", "stranger", "tune", "other", probes=("norm-gains",))
    assert [(p.first, p.second) for p in found.candidate_relations] == [("base", "stranger")]
    (problem,) = (p for p in found.problems if p.code == "NOT_COMPARED")
    assert problem.where == "candidates"
    assert "the first 2 candidates" in problem.message
    assert problem.message.endswith("tune, other")
