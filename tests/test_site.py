"""The site: its navigation names every page, its build refuses what it should, its pictures are explained."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from forensics.arguments import EXIT
from tests.commands import statuses

DOCS = Path(__file__).parent.parent / "docs"


def loaded(name: str) -> types.ModuleType:
    """A program of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pictures = loaded("pictures")


def test_every_page_is_named() -> None:
    """Every page of docs/ stands in the navigation once."""
    named = [page for pages in loaded("conf").NAVIGATION.values() for page in pages]
    assert len(named) == len(set(named))
    assert {path.stem for path in DOCS.glob("*.md")} <= {*named, "index"}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the build says of pages with one fault of each kind; it must fail."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "docs").mkdir()
    shutil.copy(DOCS / "conf.py", folder / "docs")
    (folder / "README.md").write_text("# Elsewhere\n", encoding="utf-8")
    start = "# Start\n\n[a](gone.md) [b](threats.md#gone) [c](#gone) [d](../gone.py) [e](../README.md#elsewhere)\n"
    (folder / "docs" / "index.md").write_text(start, encoding="utf-8")
    for name in ("threats", "unnamed"):
        text = "# A page\n\n![x](https://example.org/pixel.png)\n"
        (folder / "docs" / f"{name}.md").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", "site"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    "words",
    [
        r"index\.md.*'gone\.md'",
        r"index\.md.*not found in doc 'threats': 'gone'",
        r"index\.md.*not found: 'gone'",
        r"index\.md.*'\.\./gone\.py'",
        r"unnamed\.md.*isn't included in any toctree",
        r"threats\.html: https://example\.org/pixel\.png",
    ],
)
def test_the_build_refuses(refused: str, words: str) -> None:
    """Broken links and anchors, pages without a place, and what other hosts would serve."""
    assert re.search(words, refused), refused


def test_links_to_files_of_the_repository_are_kept(refused: str) -> None:
    """Markdown outside docs/ is no page of the site, and a link to it no fault."""
    assert "README" not in refused


def test_a_style_sheet_may_not_fetch_either(tmp_path: Path) -> None:
    """Fonts and imports of other hosts are found; local ones, data and links to be clicked are not."""
    (tmp_path / "a.css").write_text(
        "@import '//cdn.example/a.css'; x { src: url(https://f.example/f.woff) } y { src: url(data:a) url(b.png) }",
        encoding="utf-8",
    )
    page = '<a href="https://example.org"></a><link rel="stylesheet" href="_static/a.css"><script src="a.js">'
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    found = list(loaded("conf").fetched_elsewhere(tmp_path))
    assert found == ["a.css: //cdn.example/a.css", "a.css: https://f.example/f.woff"]


@pytest.mark.parametrize("picture", pictures.PICTURES, ids=lambda picture: picture.name)
def test_every_number_of_a_picture_is_explained(picture: types.SimpleNamespace) -> None:
    """A small file, shown once, followed by as many explanations as it has numbers."""
    assert (DOCS / "pictures" / f"{picture.name}.png").stat().st_size < pictures.LARGEST
    page = (DOCS / "reading-a-dossier.md").read_text(encoding="utf-8")
    shown = re.search(
        rf"^!\[.+ from 1 to (\d+)\]\(pictures/{picture.name}\.png\)\n\n((?:(?:\d+\.| ) .+\n)+)",
        page,
        re.MULTILINE,
    )
    assert shown is not None
    numbers = [int(number) for number in re.findall(r"^(\d+)\.", shown[2], re.MULTILINE)]
    assert numbers == [*range(1, len(picture.notes) + 1)]
    assert int(shown[1]) == len(picture.notes)


def test_missing_words_are_named() -> None:
    """Where no page holds what is to be numbered, the nearest page and what it lacks are told."""
    words = tuple(
        (word, (10.0 * n, 0.0, 10.0 * n + 8, 9.0)) for n, word in enumerate(["Rests", "on", "bound"])
    )
    page = pictures.Page(number=7, words=words)
    wanted = pictures.Picture(name="p", notes=("Rests on", "Does not mean"))
    with pytest.raises(
        pictures.MissingWordsError, match=r"p: page 7 comes nearest and lacks \['Does not mean'\]"
    ):
        pictures.chosen(wanted, [page])
    found, boxes = pictures.chosen(pictures.Picture(name="p", notes=("on bound",)), [page])
    assert (found.number, boxes) == (7, [(10.0, 0.0, 28.0, 9.0)])


def test_every_exit_status_is_told() -> None:
    """The table has a row for each status of `--help`, and no words of it are lost."""
    rows = [row.strip("| ").split(" | ", 1) for row in statuses()[2:]]
    assert [int(number) for number, _ in rows] == [0, 1, 2, 3, 70, 130]
    told = "; ".join(f"{number} {when}" for number, when in rows).replace("`", "")
    assert f"exit status: {told}." == " ".join(EXIT.split()).replace("`", "")
