"""docs/validation.md is what the command writes, and its figures can be read by all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.validation import charts, published
from benchmarks.validation.__main__ import DOCUMENT
from benchmarks.validation.document import Report, report
from benchmarks.validation.merits import Curves, Merit, curves_from, curves_of, merit_from, merit_of
from benchmarks.validation.words import wrapped
from forensics.evidence.validation import judge
from tests.evidence.test_validation import population

NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?!\w)")


@pytest.fixture(scope="module")
def made() -> Report:
    """The report as it would be written now."""
    return report()


def words_of(text: str) -> str:
    """Without line breaks and with every number as #."""
    return NUMBER.sub("#", " ".join(text.split()))


def numbers_of(text: str) -> list[str]:
    """As written."""
    return NUMBER.findall(text)


def test_page_is_up_to_date(made: Report) -> None:
    """Words as written, numbers to one unit of their last digit: another machine's sums may round otherwise."""
    kept = DOCUMENT.read_text(encoding="utf-8")
    told = "run python -m benchmarks.validation"
    assert words_of(made.page) == words_of(kept), told
    for new, old in zip(numbers_of(made.page), numbers_of(kept), strict=True):
        digits = len(old.partition(".")[2])
        slack = 1.01 * 10.0**-digits if digits else 0.0
        assert abs(float(new) - float(old)) <= slack, f"{told}: {old} is now {new}"


def test_figures_are_there_small_and_named(made: Report) -> None:
    """Every picture of the page lies in docs/figures with its sentence inside, is a small vector; none is left over."""
    folder = DOCUMENT.parent / "figures"
    shown = re.findall(r"!\[(.+?)\]\(figures/(.+?)\)", made.page)
    assert {name for _, name in shown} == set(made.figures) == {p.name for p in folder.glob("*.svg")}
    for alt, name in shown:
        kept = (folder / name).read_text(encoding="utf-8")
        assert alt == made.figures[name].alt
        assert f"<title>{alt}</title>" in kept, "run python -m benchmarks.validation"
        assert 'role="img"' in kept
        assert "<image" not in kept
        assert not re.search(r"<dc:date>|Matplotlib v", kept)
        assert len(kept) < 200_000


def curves() -> Curves:
    """Of a made-up population."""
    judged = judge(population())
    assert judged is not None
    return curves_of(judged)


@pytest.mark.parametrize("kind", charts.KINDS)
def test_a_drawing_is_the_same_twice_and_needs_no_colour(kind: str) -> None:
    """The same bytes again; lines of one panel differ in dash."""
    first, second = (charts.panels({"one": curves(), "two": curves()}, kind) for _ in range(2))
    assert first == second
    assert "stroke-dasharray" in first.svg


def test_numbers_survive_being_kept(tmp_path: Path) -> None:
    """What is written of the published measurements is read back as it was; of another population it is not read."""
    judged = judge(population())
    assert judged is not None
    merit: Merit = merit_of(judged, 20, 1)
    found = {
        "sha256": published.content()["sha256"],
        "merit": json.loads(json.dumps(merit, default=lambda m: {k: getattr(m, k) for k in m.__slots__})),
        "coverage": [0.9, 1.0],
        "curves": curves().as_json(),
        "near": [1, 2, 0.1, 0.2],
        "above": [0, 3, 0.0, 0.3],
    }
    path = tmp_path / "published.json"
    published.keep(found, path)
    summary = published.kept(path)
    assert summary is not None
    assert summary.curves == curves_from(found["curves"]) == curves()
    assert summary.merit.cllr == pytest.approx(merit.cllr, abs=1e-5)
    assert merit_from(found["merit"]) == merit
    published.keep({**found, "sha256": "0"}, path)
    assert published.kept(path) is None
    assert published.kept(tmp_path / "absent.json") is None


def test_measurements_themselves_are_not_kept() -> None:
    """The kept file holds no name of a model and no list as long as the pairs."""
    found = json.loads(published.KEPT.read_text(encoding="utf-8"))
    assert set(found) == {"sha256", "merit", "coverage", "curves", "near", "above"}
    assert max(np.size(points) for points in found["curves"].values()) < 400


def test_wrapping_leaves_tables_and_pictures_alone() -> None:
    """Lines that Markdown reads as one stay one; the others are broken without losing a word."""
    table = "| " + "cell | " * 60
    text = "\n".join(["# " + "long " * 40, table, "![" + "alt " * 50 + "](x)", "word " * 60])
    done = wrapped(text).split("\n")
    assert done[1] == table
    assert max(len(line) for line in done[3:]) <= 120
    assert " ".join(wrapped(text).split()) == " ".join(text.split())
