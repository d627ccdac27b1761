"""The question: labels as given, and every question that makes no sense told so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.case import LABEL_LIMIT, Named, Request
from forensics.errors import CaseError, CheckpointError

PARSED = {
    "relative": ("models/a", "models/a", "models/a"),
    "trailing slash": ("models/a/", "models/a", "models/a"),
    "absolute": ("/somewhere/models/a", "a", "/somewhere/models/a"),
    "absolute with slash": ("/somewhere/models/a/", "a", "/somewhere/models/a"),
    "labelled": ("the base=/x/y", "the base", "/x/y"),
    "labelled relative": ("b=x/y", "b", "x/y"),
    "equals sign in a path": ("x/a=b", "x/a=b", "x/a=b"),
    "second equals sign": ("b=x=y", "b", "x=y"),
    "no label": ("=x", "=x", "=x"),
    "no path": ("b=", "b=", "b="),
    "here": (".", ".", "."),
    "spaces around": (" b =x", "b", "x"),
    "control characters": ("b\x1b[31m\u202e\nc=x", "b\ufffd[31m\ufffd\ufffdc", "x"),
    "no Unicode": ("b\udcff=x", "b\ufffd", "x"),
    "any script": ("模型=x", "模型", "x"),
    "newline in the path": ("b=x\ny", "b", "x\ny"),
}


@pytest.mark.parametrize(("text", "label", "path"), PARSED.values(), ids=PARSED)
def test_label_is_what_was_given(text: str, label: str, path: str) -> None:
    """LABEL=PATH names a checkpoint; a path alone is its own label, an absolute one by its last part."""
    named = Named.parse(text)
    assert (named.label, str(named.path)) == (label, path)


def test_existing_folder_wins_over_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is really called `a=b` can be named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert (Named.parse("a=b").label, Named.parse("a=b").path) == ("a=b", Path("a=b"))
    assert Named.parse("c=b").label == "c"


@pytest.mark.parametrize("text", ["", "  =x", "\u3000=x", "/"])
def test_empty_label_is_refused(text: str) -> None:
    """A label of nothing visible is an error that says how to give one."""
    with pytest.raises(CaseError) as refused:
        Named.parse(text)
    assert "LABEL=PATH" in refused.value.hint


@given(st.text(min_size=1))
def test_any_label_is_printable_and_bounded(text: str) -> None:
    """Whatever is typed, the label is printable Unicode of bounded length, or refused."""
    try:
        label = Named.parse(f"{text}=x").label
    except CaseError:
        return
    assert label.isprintable()
    assert 0 < len(label) <= LABEL_LIMIT
    assert label.encode()


def named(label: str, path: Path) -> Named:
    """A named checkpoint whose folder exists."""
    path.mkdir(parents=True, exist_ok=True)
    return Named(label=label, path=path)


def test_sound_question_is_itself(tmp_path: Path) -> None:
    """A sound request passes unchanged and tells its subjects in the order of the record."""
    request = Request(
        suspect=named("s", tmp_path / "s"),
        candidates=(named("a", tmp_path / "a"), named("b", tmp_path / "b")),
        controls=(named("c", tmp_path / "c"),),
    )
    assert request.checked() is request
    roles = [(n.label, role) for n, role in request.subjects()]
    assert roles == [("s", "suspect"), ("a", "candidate"), ("b", "candidate"), ("c", "control")]


def test_no_candidate_is_refused(tmp_path: Path) -> None:
    """A question without a candidate is none."""
    with pytest.raises(CaseError):
        Request(suspect=named("s", tmp_path / "s"), candidates=()).checked()


@pytest.mark.parametrize("name", ["none", "x" * 5000, "a\0b"])
def test_missing_place_is_refused_by_role(name: str, tmp_path: Path) -> None:
    """A place that does not exist, or cannot, is named with its role."""
    request = Request(
        suspect=named("s", tmp_path / "s"), candidates=(Named(label="c", path=tmp_path / name),)
    )
    with pytest.raises(CheckpointError) as refused:
        request.checked()
    assert refused.value.message.startswith("candidate c:")
    assert refused.value.code == "MISSING"


def test_one_place_twice_is_refused(tmp_path: Path) -> None:
    """The suspect among the candidates, or a candidate given twice, by whatever path, is refused with a hint."""
    suspect = named("s", tmp_path / "s")
    (tmp_path / "link").symlink_to(tmp_path / "s")
    for other in (tmp_path / "s", tmp_path / "s" / ".." / "s", tmp_path / "link"):
        request = Request(suspect=suspect, candidates=(Named(label="c", path=other),))
        with pytest.raises(CaseError, match="same place"):
            request.checked()


def test_one_label_twice_is_refused(tmp_path: Path) -> None:
    """Two checkpoints of one name are refused, and the hint says how to rename."""
    request = Request(
        suspect=named("s", tmp_path / "s"),
        candidates=(named("model", tmp_path / "a" / "model"),),
        controls=(named("model", tmp_path / "b" / "model"),),
    )
    with pytest.raises(CaseError, match="called model") as refused:
        request.checked()
    assert "LABEL=PATH" in refused.value.hint
