"""A repository named apart from the weights: told on the command line, read by the worker, kept in the record."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forensics import sighting
from forensics.case import Named, Remembering, Request
from forensics.cli import main
from forensics.errors import CaseError, CheckpointError
from forensics.investigation import investigate
from forensics.naming import named_groups
from forensics.records import Dossier
from forensics.registry import Registry
from tests.tiny import llama_tensors, write

LICENCE = "Demo Terms\nCopyright 2025 Demo Lab\n\n" + " ".join(
    f"You may use part {i} of it." for i in range(80)
)
NOTICE = "Open Source Software Notice\n\nSoftware: demo\nCopyright 2025 Demo Lab\nLicense: MIT\n"


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Two models that differ, the candidate with a licence, and the suspect's repository apart from its weights."""
    for seed, name in enumerate(("suspect", "candidate")):
        write(tmp_path / name, llama_tensors(seed=seed))
    (tmp_path / "candidate" / "LICENSE").write_text(LICENCE)
    apart = tmp_path / "apart"
    (apart / ".git").mkdir(parents=True)
    (apart / ".git" / "NOTICE").write_text("Copyright 2025 Hidden Ones")
    (apart / "LICENSE").write_text(LICENCE.replace("Demo Lab", "Other Lab"))
    (apart / "Open Source Software Notice").write_text(NOTICE)
    return tmp_path


def case(places: Path, *, repository: bool = True, cache: str = "") -> Dossier:
    """The dossier of the two models, the suspect with its repository or without."""
    suspect = Named(
        label="suspect", path=places / "suspect", repository=str(places / "apart") if repository else ""
    )
    request = Request(
        suspect=suspect,
        candidates=(Named(label="candidate", path=places / "candidate"),),
        probes=("repository-scan",),
        only_bundled=True,
        remember=Remembering(folder=cache) if cache else None,
    )
    return investigate(request, Registry.load(only_bundled=True)).dossier


def rows(dossier: Dossier, title: str) -> list[tuple[object, ...]]:
    """The rows of one of the scan's tables."""
    outcome = dossier.findings[0].outcome
    assert outcome.kind == "measurement"
    return next((list(table.rows) for table in outcome.tables if table.title == title), [])


def test_the_repository_speaks_in_the_suspects_name(places: Path) -> None:
    """Its licence is the candidate's with another holder, its notice names the candidate's; .git is silent."""
    dossier = case(places)
    assert rows(dossier, "Licence texts")[0][:3] == (
        "repository:LICENSE",
        "LICENSE",
        "same text, other holder",
    )
    held = rows(dossier, "Holders in licences, notices and third-party lists")
    assert held[0] == (
        "notice", "repository:Open Source Software Notice", 4, "Demo Lab", "the candidate's holder",
    )  # fmt: skip
    record = json.dumps(held) + repr(dossier)
    assert "Hidden Ones" not in record
    assert str(places) not in record
    seen = dossier.subjects[0].repository
    assert seen is not None
    assert (seen.name, seen.files, seen.texts) == ("apart", 2, 2)
    without = case(places, repository=False)
    assert without.subjects[0].repository is None
    assert without.subjects[0].digest != dossier.subjects[0].digest
    assert without.opinions[0].verdict == dossier.opinions[0].verdict


def test_a_remembered_sketch_never_outlives_a_change(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cache, a changed notice is seen, and an unchanged repository gives the same record."""
    monkeypatch.setattr(sighting, "RACY", 0)
    cache = str(places / "cache")
    first = case(places, cache=cache)
    assert case(places, cache=cache) == first
    (places / "apart" / "Open Source Software Notice").write_text(NOTICE.replace("Demo Lab", "Nobody"))
    changed = case(places, cache=cache)
    assert "Demo Lab" not in {
        row[3] for row in rows(changed, "Holders in licences, notices and third-party lists")
    }
    assert changed.subjects[0].digest != first.subjects[0].digest


def test_repositories_are_named_among_candidates_and_controls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LABEL:repository=PATH belongs to the checkpoint with that label, wherever either of them stands."""
    candidates, controls = named_groups(
        ["one:repository=code/one", "one=weights/one", "org/two"], ["three", "org/two:repository=code/two"]
    )
    assert [(n.label, n.repository) for n in (*candidates, *controls)] == [
        ("one", "code/one"), ("org/two", "code/two"), ("three", ""),
    ]  # fmt: skip
    for wrong in (["four:repository=x", "one=y"], ["one=y", "one:repository=a", "one:repository=b"]):
        with pytest.raises(CaseError):
            named_groups(wrong)
    monkeypatch.chdir(tmp_path)
    os.mkdir("one:repository=y")
    ((odd,),) = named_groups(["one:repository=y"])
    assert str(odd.path) == "one:repository=y"


def test_repositories_that_make_no_sense_are_refused(places: Path) -> None:
    """No folder, the checkpoint's own folder, and one repository for two are errors that say so."""
    model, other = (
        places / "suspect",
        Named(label="b", path=places / "candidate", repository=str(places / "apart")),
    )

    def asked(repository: Path) -> Request:
        return Request(suspect=Named(label="a", path=model, repository=str(repository)), candidates=(other,))

    with pytest.raises(CheckpointError, match="no such folder"):
        asked(places / "nowhere").checked()
    with pytest.raises(CaseError, match="own folder"):
        asked(places / "suspect" / ".").checked()
    with pytest.raises(CaseError, match="same repository"):
        asked(places / "apart").checked()


def test_inspect_and_sketch_take_a_repository(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect` counts its texts; a sketch holds its papers and stands in for both."""
    model, apart = str(places / "suspect"), str(places / "apart")
    assert main(["inspect", model, "--repository", apart]) == 0
    assert "2 texts of 2 files" in capsys.readouterr().out
    book = str(places / "a.sketch")
    assert (
        main(
            ["sketch", model, "--repository", apart, "-o", book, "--probes", "repository-scan", "--no-cache"]
        )
        == 0
    )
    capsys.readouterr()
    out = ["--out", str(places / "out"), "--probes", "repository-scan", "--no-cache", "--only-bundled"]
    asked = ["investigate", "--suspect", book, "--candidates", str(places / "candidate")]
    assert main([*asked, *out, "--suspect-repository", apart]) == 2
    assert "--repository" in capsys.readouterr().err
    assert main([*asked, *out]) == 0
    record = json.loads((places / "out" / "dossier.json").read_text())
    assert record["subjects"][0]["repository"]["name"] == "apart"
    assert "Other Lab" in json.dumps(record)
