"""A finished case can be checked against its files, and whatever was touched is named; a forged one does no harm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from forensics import casefiles
from forensics.archive import decode, encode, settled
from forensics.cli import main
from forensics.investigation import Investigated
from forensics.report.detach import attachments
from forensics.testing import descend, tiny_checkpoint
from tests.report import example

ONE = example.opinion("base", 0.31)
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(30)
NAME = "shot\u202egnp.exe"
ARGUMENTS = [
    "--suspect", "suspect", "--candidates", "base", "--probes", "weight-std", "norm-gains", "--only-bundled",
    "--exhibit", NAME, "--exhibit-note", "seen on <b>3 October</b>", "--exhibit", "letter.html",
    "--statement-for", "claim.txt", "--statement-against", "denial.txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two checkpoints, the parties' documents, and in `case` a record of them without renderings."""
    folder = tmp_path_factory.mktemp("verify")
    tiny_checkpoint(folder / "base", layers=4, width=64)
    descend(folder / "base", folder / "suspect", noise=0.02, seed=9)
    (folder / NAME).write_bytes(PICTURE)
    (folder / "letter.html").write_text("<!doctype html><script>alert(1)</script>")
    (folder / "claim.txt").write_text("They <script>copied</script> it.\n\x1b[31mred\n")
    (folder / "denial.txt").write_text("We did not.\n" * 2000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        patch.setattr("forensics.casefiles.render", lambda *_: [])  # `finished` below has a page and a PDF
        (folder / "case" / "exhibits").mkdir(parents=True)
        (folder / "case" / "exhibits" / "0123456789abcdef-old.pdf").write_bytes(b"of an older case")
        (folder / "case" / "exhibits" / "mine.txt").write_text("not ours to remove")
        assert main(["investigate", *ARGUMENTS, "--out", "case"]) == 0
    return folder


@pytest.fixture(scope="module")
def finished(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of that case with a record that says next to nothing, which is quickly typeset."""
    folder = tmp_path_factory.mktemp("finished") / "case"
    shutil.copytree(place / "case", folder)
    whole = decode((folder / "dossier.json").read_bytes())
    said = replace(example.bare(), exhibits=whole.exhibits, statements=whole.statements[:1], opinions=(ONE,))
    record = encode(settled(said))
    (folder / "dossier.json").write_bytes(record)
    next((folder / "exhibits").glob("*denial.txt")).unlink()
    casefiles.render(folder, Investigated(dossier=decode(record), seconds={}), record)
    return folder


def lines(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    """What `forensics verify` prints."""
    capsys.readouterr()
    assert main(["verify", *arguments]) == status
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def case(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished case, to be tampered with."""
    return shutil.copytree(finished, tmp_path / "case")


def test_the_case_keeps_and_sums_the_documents(place: Path) -> None:
    """Copies have harmless names and the bytes given, older ones are gone, strange ones stay and are not summed."""
    kept = {p.name: p.read_bytes() for p in (place / "case" / "exhibits").iterdir()}
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert kept[f"{digest[:16]}-shot-u202egnp.png"] == PICTURE
    assert sum(name.endswith(".txt") for name in kept) == 4
    assert "0123456789abcdef-old.pdf" not in kept
    assert "mine.txt" in kept
    sums = (place / "case" / "SHA256SUMS").read_text()
    assert sums.count("exhibits/") == 4
    assert "mine.txt" not in sums


def test_the_record_names_the_documents_and_no_folder(place: Path) -> None:
    """Names as displayed, notes, types by content; statements quoted with what was cut."""
    record = json.loads((place / "case" / "dossier.json").read_text())
    told = [(e["name"], e["note"], e["media_type"]) for e in record["exhibits"]]
    assert told == [
        ("shot\\u202egnp.exe", "seen on <b>3 October</b>", "image/png"),
        ("letter.html", "", "text/html"),
    ]
    assert [(s["side"], s["omitted"] > 0) for s in record["statements"]] == [
        ("for", False),
        ("against", True),
    ]


def test_the_page_quotes_and_obeys_nothing(finished: Path) -> None:
    """Markup and escapes of a statement are text."""
    page = (finished / "dossier.html").read_text()
    assert "They &lt;script&gt;copied&lt;/script&gt; it." in page
    assert "\\x1b[31mred" in page
    assert "<script" not in page


def test_documents_move_nothing_and_come_out_alike_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the same record; without documents the same but for them."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    monkeypatch.setattr("forensics.casefiles.render", lambda *_: [])
    assert main(["investigate", *ARGUMENTS, "--out", "again"]) == 0
    first, second = (place / name / "dossier.json" for name in ("case", "again"))
    assert first.read_bytes() == second.read_bytes()
    assert main(["investigate", *ARGUMENTS[:8], "--out", "bare"]) == 0
    with_documents, without = (json.loads((place / n / "dossier.json").read_text()) for n in ("case", "bare"))
    assert without.pop("exhibits") == without.pop("statements") == []
    del with_documents["exhibits"], with_documents["statements"]
    assert with_documents == without


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--exhibit-note", "x", "--exhibit", "claim.txt"], "before any --exhibit"),
        (["--exhibit", "claim.txt", "--statement-for", "claim.txt"], "the same document"),
        (["--statement-for", NAME], "not UTF-8 text"),
        (["--exhibit", "nowhere"], "No such file"),
    ],
)
def test_documents_that_cannot_be_put_in_are_two_lines(
    arguments: list[str],
    message: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error with a hint before anything is read."""
    monkeypatch.chdir(place)
    assert main(["investigate", *ARGUMENTS[:8], *arguments, "--out", "never"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == ["error", "hint"]
    assert message in told[0]
    assert not (place / "never").exists()


def test_an_untouched_case_passes(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sums, record, copies and documents, one line each."""
    told = lines(capsys, str(finished))
    assert [line[:13].strip() for line in told] == ["ok"] * (6 + 2 + 2 + 3) + ["not checked"]


def test_untouched_subjects_pass(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found by the last part of their names or by label, hashed again; a page that is not there is not checked."""
    told = lines(capsys, str(place / "case"), "--subjects", str(place / "suspect"), f"base={place / 'base'}")
    assert told[-2:] == [
        f"ok           {who}: 3 files are the same, 0 are not, 0 were not checked"
        for who in ("suspect suspect", "candidate base")
    ]
    assert "not checked  dossier.pdf: is not there" in told


def test_a_record_alone_is_checked_as_far_as_it_goes(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not there is not checked, with why, and fails nothing."""
    shutil.copy(place / "case" / "dossier.json", tmp_path / "mine.json")
    told = lines(capsys, str(tmp_path / "mine.json"))
    assert {line[:13].strip() for line in told} == {"ok", "not checked"}
    assert any("subjects: 2; name their files" in line for line in told)


def edit_record(case: Path) -> None:
    """Another verdict."""
    raw = (case / "dossier.json").read_text()
    (case / "dossier.json").write_text(
        raw.replace('"inconclusive"', '"derived"').replace('"independent"', '"derived"')
    )


def edit_page(case: Path) -> None:
    """Another record in the page, and sums that hold."""
    page = (case / "dossier.html").read_text()
    (case / "dossier.html").write_text(page.replace("json;base64,ew", "json;base64,eX"))


def comment(case: Path) -> None:
    """A copy that no browser shows."""
    page = (case / "dossier.html").read_text()
    (case / "dossier.html").write_text(page.replace("<body>", "<body><!-- x -->"))


def other_pdf(case: Path) -> None:
    """A PDF of something else."""
    (case / "dossier.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n")


def link(case: Path) -> None:
    """A page that leads elsewhere."""
    (case / "dossier.html").unlink()
    (case / "dossier.html").symlink_to("/etc/passwd")


def pipe(case: Path) -> None:
    """A page that never ends."""
    (case / "dossier.html").unlink()
    os.mkfifo(case / "dossier.html")


def no_exhibit(case: Path) -> None:
    """A document is gone."""
    next((case / "exhibits").glob("*.png")).unlink()


def other_exhibit(case: Path) -> None:
    """A document says something else."""
    next((case / "exhibits").glob("*.png")).write_bytes(b"other")


def outside(case: Path) -> None:
    """A sum of a file that is not the case's."""
    with open(case / "SHA256SUMS", "a") as sums:
        sums.write(f"{'0' * 64}  ../../../etc/passwd\n")


def unlisted(case: Path) -> None:
    """A line is gone."""
    sums = (case / "SHA256SUMS").read_text().splitlines(keepends=True)
    (case / "SHA256SUMS").write_text("".join(line for line in sums if "pdf" not in line))


def no_sums(case: Path) -> None:
    """All of them."""
    (case / "SHA256SUMS").unlink()


def twice(case: Path) -> None:
    """A key twice: readers take the first or the last."""
    raw = (case / "dossier.json").read_text()
    (case / "dossier.json").write_text(
        raw.replace('{\n "candidate_rel', '{\n "exhibits": [],\n "candidate_rel')
    )


def broken(case: Path) -> None:
    """A value that its field does not allow."""
    raw = json.loads((case / "dossier.json").read_text())
    raw["opinions"][0]["verdict"] = "guilty"
    (case / "dossier.json").write_text(json.dumps(raw))


def deep(case: Path) -> None:
    """Nested until a reader gives up."""
    (case / "dossier.json").write_text("[" * 200_000)


TOUCHED: dict[str, tuple[Callable[[Path], None], str]] = {
    "record": (edit_record, "dossier.json has another sum"),
    "page": (edit_page, "dossier.html: carries another record"),
    "comment": (comment, "dossier.html: is not a page that this program writes"),
    "pdf": (other_pdf, "dossier.pdf: is no PDF that can be read"),
    "link": (link, "dossier.html: is a link"),
    "pipe": (pipe, "dossier.html: is no regular file"),
    "lost document": (no_exhibit, ".png: is not there"),
    "other document": (other_exhibit, ".png: is not what the record says was put in"),
    "outside": (outside, "a line that no case leaves"),
    "unlisted": (unlisted, "does not name dossier.pdf"),
    "no sums": (no_sums, "SHA256SUMS: is not there"),
    "twice": (twice, "not in canonical form"),
    "broken": (broken, "opinions.0.verdict"),
    "deep": (deep, "the file is not JSON"),
}


@pytest.mark.parametrize("kind", TOUCHED)
def test_whatever_was_touched_is_named(kind: str, case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1 and a FAILED line that says what; nothing outside the folder is read, nothing is waited for."""
    touch, words = TOUCHED[kind]
    touch(case)
    told = lines(capsys, str(case), status=1)
    assert any(line.startswith("FAILED ") and words in line for line in told), told


def test_changed_subjects_are_told_file_by_file(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed, missing and new files are named; the other subject still passes."""
    suspect = shutil.copytree(place / "suspect", tmp_path / "suspect")
    with open(suspect / "model.safetensors", "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\x40")
    (suspect / "tokenizer.json").unlink()
    (suspect / "new.txt").write_text("new")
    told = lines(capsys, str(place / "case"), "--subjects", str(suspect), f"base={place / 'base'}", status=1)
    wrong = [line for line in told if line.startswith("FAILED")]
    assert [line.partition(", ")[2].split(":")[0] for line in wrong[:3]] == [
        "model.safetensors", "new.txt", "tokenizer.json",
    ]  # fmt: skip
    assert ["changed" in wrong[0], "new" in wrong[1], "missing" in wrong[2]] == [True] * 3
    assert any(line.startswith("ok ") and "candidate base" in line for line in told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such file"),
        (["empty"], "no such file"),
        (["case", "--subjects", "stranger=base"], "is no subject of this record"),
        (["case", "--subjects", "base=nowhere"], "no such file or folder"),
        (["case", "--subjects", "base", "base=suspect"], "was named twice"),
    ],
)
def test_what_the_user_can_put_right_is_two_lines(
    arguments: list[str],
    message: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 2 with a hint."""
    monkeypatch.chdir(place)
    (place / "empty").mkdir(exist_ok=True)
    assert main(["verify", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "hint: " in told


def test_a_pdf_with_a_second_attachment_is_told() -> None:
    """Every attachment is listed with its digest."""
    import io

    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(10, 10)
    writer.add_attachment("dossier.json", b"{}")
    writer.add_attachment("other.bin", b"x")
    out = io.BytesIO()
    writer.write(out)
    told = attachments(out.getvalue())
    assert told == [
        (n, hashlib.sha256(c).hexdigest()) for n, c in (("dossier.json", b"{}"), ("other.bin", b"x"))
    ]


def test_a_large_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it is read."""
    with open(tmp_path / "dossier.json", "wb") as file:
        file.truncate((64 << 20) + 1)
    assert main(["verify", str(tmp_path)]) == 2
    assert "larger than 64 MB" in capsys.readouterr().err


def test_hostile_text_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record full of nuisances is checked line by line without a control character."""
    (tmp_path / "dossier.json").write_bytes(encode(settled(example.hostile())))
    told = lines(capsys, str(tmp_path / "dossier.json"), status=1)
    assert len(told) == len("\n".join(told).splitlines())
    assert not [c for line in told for c in line if ord(c) < 32 or c in "\u202e\u200b\ufeff"]
    assert sum("the record states no digest of it" in line for line in told) == len(example.HOSTILE)
