"""A repository that lies apart: which texts are read, in which order, and what hostile folders can do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forensics.checkpoint import repository
from forensics.checkpoint.repository import PREFIX, read_repository, walked
from forensics.errors import CheckpointError


def names_of(root: Path) -> list[str]:
    """Names of the texts read, without the prefix."""
    return [text.name.removeprefix(PREFIX) for text in read_repository(root).texts]


def lay(root: Path, **files: str | bytes) -> Path:
    """Files under a folder; two underscores in a keyword stand for a slash, one for a dot."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def test_documents_come_first_and_say_where_they_lie(tmp_path: Path) -> None:
    """Licences and notices are read before code however deep they lie, and every name has the prefix."""
    root = lay(
        tmp_path, a_py="x = 1", z__deep__NOTICE="n", LICENSE="l", b_md="m", settings_json="{}", logo_png="p"
    )
    assert names_of(root) == ["LICENSE", "z/deep/NOTICE", "b.md", "a.py", "settings.json"]
    assert all(text.name.startswith("repository:") for text in read_repository(root).texts)


@pytest.mark.parametrize(
    "name",
    [
        "Open Source Software Notice",
        "THIRD_PARTY_NOTICES",
        "Third-Party-Licenses.html",
        "LICENCE.zh",
        "copyright",
    ],
)
def test_documents_of_rights_are_known_by_their_beginning(tmp_path: Path, name: str) -> None:
    """Third-party lists and notices are read whatever their ending."""
    (tmp_path / name).write_text("Copyright 2024 Somebody")
    assert names_of(tmp_path) == [name]


def test_version_control_is_passed_over(tmp_path: Path) -> None:
    """Nothing below .git is looked at, while other hidden folders are."""
    assert names_of(lay(tmp_path, _git__LICENSE="g", _github__a_md="h")) == [".github/a.md"]


def test_links_are_followed_inside_only(tmp_path: Path) -> None:
    """Links to files inside are read; links outside, to folders, to themselves and to nothing are counted."""
    secret = lay(tmp_path / "secret", LICENSE="elsewhere")
    root = lay(tmp_path / "root", LICENSE="mine", sub__a_md="deep")
    (root / "NOTICE").symlink_to("LICENSE")
    (root / "COPYING").symlink_to(secret / "LICENSE")
    (root / "circle.md").symlink_to("circle.md")
    (root / "gone.md").symlink_to("nowhere")
    (root / "up").symlink_to(root, target_is_directory=True)
    (root / "sub" / "loop").symlink_to(root / "sub", target_is_directory=True)
    (root / "out").symlink_to(secret, target_is_directory=True)
    found = read_repository(root)
    assert {t.name: t.text for t in found.texts} == {
        "repository:LICENSE": "mine", "repository:NOTICE": "mine", "repository:sub/a.md": "deep",
    }  # fmt: skip
    assert [code for code, _ in found.problems] == ["REPOSITORY_REFUSED"]
    assert found.problems[0][1].startswith("repository: 3 files")


def test_pipes_and_folders_named_as_text_do_no_harm(tmp_path: Path) -> None:
    """A pipe is refused without waiting for a writer."""
    os.mkfifo(tmp_path / "README.md")
    (tmp_path / "LICENSE").mkdir()
    assert names_of(tmp_path) == []


def test_a_huge_file_is_cut_and_said_so(tmp_path: Path) -> None:
    """Of a sparse file of a terabyte one megabyte is read."""
    with open(tmp_path / "README.md", "wb") as file:
        file.write(b"Copyright 2024 Acme\n" * 60_000)
        file.truncate(1 << 40)
    found = read_repository(tmp_path)
    assert len(found.texts[0].text) == repository.EACH
    assert found.problems == (
        ("REPOSITORY_CUT", "repository: 1 text files were read up to 1000000 bytes only"),
    )


def test_binary_named_as_text_is_not_read_as_text(tmp_path: Path) -> None:
    """A file full of NULs is counted and not searched, while UTF-16 with its mark is decoded."""
    root = lay(tmp_path, a_md=b"\0\1" * 5000, LICENSE="MIT License".encode("utf-16"))
    found = read_repository(root)
    assert [(t.name, t.text) for t in found.texts] == [("repository:LICENSE", "MIT License")]
    assert [code for code, _ in found.problems] == ["REPOSITORY_BINARY"]


def test_budgets_keep_the_licence_and_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more names than are looked at, what lies at the top is read and the rest is a problem."""
    monkeypatch.setattr(repository, "ENTRIES", 30)
    monkeypatch.setattr(repository, "COUNT", 10)
    lay(tmp_path, LICENSE="l", **{f"a__b__f{i}_py": "x" for i in range(60)})
    found = read_repository(tmp_path)
    assert found.texts[0].name == "repository:LICENSE"
    assert (found.seen.texts, [code for code, _ in found.problems]) == (10, ["REPOSITORY_CUT"] * 2)


def test_deep_folders_end_somewhere(tmp_path: Path) -> None:
    """Beyond the named depth nothing is looked at, and the walk says that it is not whole."""
    deep = tmp_path.joinpath(*"d" * 40)
    deep.mkdir(parents=True)
    (deep / "LICENSE").write_text("deep")
    assert walked(tmp_path) == ([], False)


def test_the_digest_follows_content_and_names(tmp_path: Path) -> None:
    """Another word, another name and another text change the digest; touching a file does not."""
    root = lay(tmp_path, LICENSE="one", a_py="x")
    first = read_repository(root).seen.digest
    os.utime(root / "LICENSE", (1, 1))
    assert read_repository(root).seen.digest == first
    (root / "a.py").rename(root / "b.py")
    renamed = read_repository(root).seen.digest
    lay(root, LICENSE="two")
    assert len({first, renamed, read_repository(root).seen.digest}) == 3


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A file or nothing in place of a repository is an error that says so."""
    for path in (tmp_path / "nothing", lay(tmp_path, a_py="x") / "a.py"):
        with pytest.raises(CheckpointError, match="no such folder"):
            read_repository(path)
