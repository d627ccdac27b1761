"""Documents of the parties are identified by what they are, and refused with a reason where they cannot be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from forensics import filing
from forensics.errors import CaseError
from forensics.exhibits import copied_as
from forensics.filing import LARGEST_STATEMENT, NAME, NOTE, QUOTED, filed, media_type

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def written(path: Path, content: bytes = PNG) -> str:
    """The path of a new file."""
    path.write_bytes(content)
    return str(path)


def test_an_exhibit_is_identified_by_its_bytes(tmp_path: Path) -> None:
    """Name without folders, note, size, digest, and a type that the name does not decide."""
    path = written(tmp_path / "letter.pdf")
    (exhibit,) = filed([("exhibit", path), ("note", " a note ")]).exhibits
    digest = hashlib.sha256(PNG).hexdigest()
    assert (exhibit.name, exhibit.note, exhibit.size, exhibit.sha256) == (
        "letter.pdf",
        "a note",
        len(PNG),
        digest,
    )
    assert exhibit.media_type == "image/png"
    assert copied_as(exhibit) == f"exhibits/{digest[:16]}-letter.png"


def test_a_note_belongs_to_the_exhibit_before_it(tmp_path: Path) -> None:
    """Exhibits without a note stay without."""
    first, second, third = (written(tmp_path / name, name.encode()) for name in "abc")
    found = filed([("exhibit", first), ("exhibit", second), ("note", "two"), ("exhibit", third)])
    assert [e.note for e in found.exhibits] == ["", "two", ""]


@pytest.mark.parametrize(
    ("content", "ending", "kind"),
    [
        (b"%PDF-1.7 ", "", "application/pdf"),
        (b"\xff\xd8\xff\xe0", ".png", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "", "image/webp"),
        (b"\0\0\0\x20ftypisom", "", "video/mp4"),
        (b"PK\x03\x04", ".docx", filing.BY_NAME["application/zip", ".docx"]),
        (b"PK\x03\x04", ".png", "application/zip"),
        (b"words", ".docx", "text/plain"),
        ("\ufeffwörter\n".encode(), "", "text/plain"),
        (b" <!DOCTYPE HTML><script>", ".txt", "text/html"),
        (b"<?xml version='1.0'?><svg onload='x'>", ".png", "image/svg+xml"),
        (b"MZ\x90\0", ".txt", "application/octet-stream"),
        (b"a\0b", ".txt", "application/octet-stream"),
    ],
)
def test_types_are_sniffed(content: bytes, ending: str, kind: str) -> None:
    """The first bytes decide; a name only within its container."""
    assert media_type(content, ending) == kind


HOSTILE_NAMES = {
    "invoice\u202egnp.exe": "invoice\\u202egnp.exe",
    "two\nlines\x1b[31m.txt": "two\\x0alines\\x1b[31m.txt",
    "<b>.txt": "<b>.txt",
    "zero\u200bwidth": "zero\\u200bwidth",
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_made_visible(name: str, tmp_path: Path) -> None:
    """The record holds the name as it is displayed."""
    (exhibit,) = filed([("exhibit", written(tmp_path / name))]).exhibits
    assert exhibit.name == HOSTILE_NAMES[name]


def test_a_name_that_is_no_unicode_and_a_long_one_are_told(tmp_path: Path) -> None:
    """Odd bytes are written out, a long name is cut."""
    raw = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    long = written(tmp_path / ("n" * 200), b"y")
    found = filed([("exhibit", os.fsdecode(raw)), ("exhibit", long)])
    assert [e.name for e in found.exhibits] == ["caf\\udce9.txt", "n" * NAME + "…"]


def folder(path: Path) -> str:
    """No file."""
    path.mkdir()
    return str(path)


def pipe(path: Path) -> str:
    """Would be waited for without end."""
    os.mkfifo(path)
    return str(path)


def link(path: Path) -> str:
    """Leads to somebody's secrets."""
    path.symlink_to("/etc/passwd")
    return str(path)


def large(path: Path) -> str:
    """One byte more than may be, and no room on the disk taken."""
    with open(path, "wb") as file:
        file.truncate(filing.LARGEST + 1)
    return str(path)


REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "a folder": (folder, "no regular file"),
    "a pipe": (pipe, "no regular file"),
    "a link": (link, "is a link"),
    "a large file": (large, "larger than 64 MB"),
    "an empty file": (lambda path: written(path, b""), "is empty"),
    "no file": (str, "No such file"),
    "a device": (lambda _: "/dev/zero", "no regular file"),
    "a name with a zero": (lambda path: f"{path}\0", "no such name"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("way", ["exhibit", "statement"])
def test_what_cannot_be_put_in_is_refused(kind: str, way: str, tmp_path: Path) -> None:
    """Each with what is wrong and what to do."""
    make, message = REFUSED[kind]
    path = make(tmp_path / "it")
    message = message.replace("64", "1") if way == "statement" else message
    with pytest.raises(CaseError, match=message) as caught:
        filed([("exhibit", path)]) if way == "exhibit" else filed([], [path])
    assert caught.value.hint


def test_one_document_is_put_in_once(tmp_path: Path) -> None:
    """The same bytes under two names, as exhibit or statement, are an error."""
    one, other = written(tmp_path / "a.txt", b"words"), written(tmp_path / "b.txt", b"words")
    for given in (
        [[("exhibit", one), ("exhibit", other)]],
        [[("exhibit", one)], [other]],
        [[], [one], [one]],
    ):
        with pytest.raises(CaseError, match="the same document as"):
            filed(*given)  # type: ignore[arg-type]


def test_notes_that_belong_nowhere_are_refused(tmp_path: Path) -> None:
    """Before any exhibit, twice on one, or too long."""
    path = written(tmp_path / "a")
    with pytest.raises(CaseError, match="before any --exhibit") as caught:
        filed([("note", "x"), ("exhibit", path)])
    assert "--exhibit FILE" in caught.value.hint
    with pytest.raises(CaseError, match="two notes"):
        filed([("exhibit", path), ("note", "x"), ("note", "y")])
    with pytest.raises(CaseError, match="longer than"):
        filed([("exhibit", path), ("note", "x" * (NOTE + 1))])


def test_a_case_takes_so_many_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number and total size are bounded."""
    paths = [("exhibit", written(tmp_path / str(i), str(i).encode())) for i in range(4)]
    monkeypatch.setattr(filing, "MOST", 3)
    with pytest.raises(CaseError, match="takes 3"):
        filed(paths)
    monkeypatch.setattr(filing, "TOGETHER", 1)
    with pytest.raises(CaseError, match="together"):
        filed(paths[:2])


def test_statements_are_quoted_and_cut_with_a_count(tmp_path: Path) -> None:
    """Line ends are evened out; what lies behind the cut is counted; both sides keep their order."""
    claim = written(tmp_path / "claim.txt", b"\xef\xbb\xbfone\r\ntwo\r\n")
    denial = written(tmp_path / "denial.txt", ("ä" * (QUOTED + 5)).encode())
    found = filed([], [claim], [denial])
    assert [(s.side, s.name, s.text, s.omitted) for s in found.statements] == [
        ("for", "claim.txt", "one\ntwo", 0),
        ("against", "denial.txt", "ä" * QUOTED, 5),
    ]
    assert set(found.copies.values()) == {Path(claim).read_bytes(), Path(denial).read_bytes()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PNG, "not UTF-8"),
        (b"a\0b", "no text has"),
        (b"x" * (LARGEST_STATEMENT + 1), "1 MB"),
        (b" \n", "nothing"),
    ],
    ids=["picture", "zero", "long", "blank"],
)
def test_a_statement_is_text(content: bytes, message: str, tmp_path: Path) -> None:
    """Anything else is refused."""
    with pytest.raises(CaseError, match=message):
        filed([], [], [written(tmp_path / "it", content)])
