"""`--emit`: which files are written, when, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from forensics import casefiles
from forensics.cli import main
from forensics.emitting import FORMATS, emitted
from forensics.errors import ReportError
from forensics.testing import descend, tiny_checkpoint
from tests.emitting.cases import ALL, record
from tests.report import example

pytestmark = pytest.mark.usefixtures("unrendered")

EVERY = [word for form in FORMATS for word in ("--emit", form)]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case folder with a record and its sums."""
    (tmp_path / "dossier.json").write_bytes(record(example.dossier()))
    casefiles.write_sums(tmp_path)
    return tmp_path


def sums(folder: Path) -> dict[str, str]:
    """SHA256SUMS by file name."""
    lines = (folder / "SHA256SUMS").read_text("utf-8").splitlines()
    return {line.split("  ")[1]: line.split("  ")[0] for line in lines}


def holds(folder: Path) -> bool:
    """Whether every sum is that of its file."""
    return all(hashlib.sha256((folder / n).read_bytes()).hexdigest() == s for n, s in sums(folder).items())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ALL)
def test_same_record_same_bytes(name: str, form: str) -> None:
    """Twice the same, in one process; nothing of clock, host or order of hashing is in it."""
    raw = record(ALL[name])
    assert emitted(form, raw, 0.5) == emitted(form, raw, 0.5)


def test_a_case_leaves_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`investigate` writes the documents into the case folder with their sums; a later case removes them."""
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(tmp_path / "base", layers=4, width=64)
    descend(tmp_path / "base", tmp_path / "suspect", noise=0.02, seed=9)
    arguments = ["investigate", "--suspect", "suspect", "--candidates", "base", "--out", "out"]
    arguments += ["--probes", "weight-std", "norm-gains", "--only-bundled"]
    assert main([*arguments, *EVERY]) == 0
    raw = (tmp_path / "out" / "dossier.json").read_bytes()
    for form, name in FORMATS.items():
        assert (tmp_path / "out" / name).read_bytes() == emitted(form, raw)
    assert set(FORMATS.values()) < set(sums(tmp_path / "out"))
    assert holds(tmp_path / "out")
    assert main(arguments) == 0
    assert not set(FORMATS.values()) & {p.name for p in (tmp_path / "out").iterdir()}
    assert holds(tmp_path / "out")


def test_report_emits_beside_the_dossier(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`report --emit` prints the files it wrote, and nothing else without `--to`."""
    assert main(["report", str(case / "dossier.json"), *EVERY]) == 0
    assert capsys.readouterr().out.splitlines() == [str(case / name) for name in FORMATS.values()]
    assert set(sums(case)) == {"dossier.json", *FORMATS.values()}
    assert holds(case)
    assert main(["report", str(case / "dossier.json"), "--emit", "cyclonedx", "--to", "text"]) == 0
    assert "2026-0117" in capsys.readouterr().out


def test_a_new_bound_renews_one_sum(case: Path) -> None:
    """A document that is written again has its sum renewed; the sum of a changed record stays what it was."""
    assert main(["report", str(case / "dossier.json"), "--emit", "cyclonedx"]) == 0
    before = sums(case)
    (case / "dossier.json").write_bytes(record(example.many()))
    assert main(["report", str(case / "dossier.json"), "--emit", "cyclonedx", "--pedigree-from", "0.5"]) == 0
    assert sums(case)["bom.cdx.json"] != before["bom.cdx.json"]
    assert sums(case)["dossier.json"] == before["dossier.json"]
    assert not holds(case)


def test_two_dossiers_in_one_folder_stay_apart(tmp_path: Path) -> None:
    """A dossier under another name lends it to its documents; without sums none are made."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(record(example.dossier()))
        assert main(["report", str(tmp_path / name), "--emit", "model-card"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.json", "a.model-card.md", "b.json", "b.model-card.md",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--emit", "sarif"], "choose from"),
        (["--emit", "cyclonedx", "--pedigree-from", "much"], "no log10 likelihood ratio"),
        (["--emit", "cyclonedx", "--pedigree-from", "-1"], "no log10 likelihood ratio"),
        (["--emit", "cyclonedx", "--pedigree-from", "nan"], "no log10 likelihood ratio"),
        (["--pedigree-from", "1"], "--emit cyclonedx or --emit model-card"),
        (["--emit", "in-toto", "--pedigree-from", "1"], "--emit cyclonedx or --emit model-card"),
        (["--emit", "cyclonedx", "-o", "x"], "give --to as well"),
    ],
)
def test_what_makes_no_sense_is_told(
    words: list[str], told: str, case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, a message that says how to put it right, and no document."""
    try:
        status = main(["report", str(case / "dossier.json"), *words])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    assert told in capsys.readouterr().err
    assert sorted(p.name for p in case.iterdir()) == ["SHA256SUMS", "dossier.json"]


def test_a_first_look_cannot_be_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--quick --emit in-toto` is refused before anything is read."""
    arguments = [
        "investigate",
        "--quick",
        "--suspect",
        "a",
        "--candidates",
        "b",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*arguments, "--emit", "in-toto"]) == 2
    assert "--emit in-toto or --quick" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_can_be_emitted_is_though_one_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record without digests gives no statement and an error, and the other documents all the same."""
    (tmp_path / "dossier.json").write_bytes(record(example.bare()))
    assert main(["report", str(tmp_path / "dossier.json"), *EVERY]) == 2
    assert "holds no digest" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bom.cdx.json", "dossier.json", "model-card.md"]


def test_unknown_formats_and_other_files_are_errors() -> None:
    """A program that asks for what does not exist, or of what is no record, is told."""
    with pytest.raises(ReportError, match="'junit' is no format"):
        emitted("junit", record(example.dossier()))
    with pytest.raises(ReportError, match="not JSON"):
        emitted("in-toto", b"no record")
