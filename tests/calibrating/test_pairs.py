"""Lists of pairs: what is believed, what is left out and why, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.calibrating.kinship import families_of
from forensics.calibrating.pairs import PairList, read_pairs
from forensics.errors import CaseError

ROOT = Path(__file__).parent.parent.parent


def listed(folder: Path, content: Any) -> PairList:
    """The judged list of a file with this content."""
    (folder / "pairs.json").write_text(json.dumps(content))
    return read_pairs(str(folder / "pairs.json"))


def pair(parent: str, child: str, label: str, **rest: str) -> dict[str, str]:
    """One entry."""
    return {"parent": parent, "child": child, "label": label, **rest}


def test_bare_list_is_taken_and_families_follow_from_its_links(tmp_path: Path) -> None:
    """Without stated families, models are of one family if any label but that of unrelated ones links them."""
    found = listed(
        tmp_path,
        [
            pair("org/a", "org/b", "derived", kind="sft", source="s", note=""),
            pair("org/b", "org/c", "sibling"),
            pair("org/c", "org/d", "independent"),
            pair("org/a", "org/c", "independent"),
            pair("org/d", "org/d2", "same-series"),
        ],
    )
    assert {name: model.family for name, model in found.models.items()} == {
        "org/a": "org/a",
        "org/b": "org/a",
        "org/c": "org/a",
        "org/d": "org/d",
    }
    assert [(p.suspect, p.label, p.cell) for p in found.pairs] == [
        ("org/b", "derived", "org/a"),
        ("org/d", "unrelated", "org/a / org/d"),
    ]
    assert sorted(one.reason.split(",")[0].split(" ")[0] for one in found.left_out) == [
        "labelled",
        "labelled",
        "unrelated",
    ]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([pair("a", "b", "derived", trap="disputed")], "trap: disputed"),
        ([pair("a", "a", "derived")], "a model and itself"),
        ([pair("a", "b", "derived"), pair("b", "a", "unrelated")], "labelled both derived and unrelated"),
        (
            [pair("a", "b", "derived", parent_family="x", child_family="y")],
            "derived, but of the families x and y",
        ),
        (
            [pair("a", "b", "unrelated", parent_family="x", child_family="x")],
            "unrelated, but both of the family x",
        ),
        ([pair("a", "b", "upside-down")], "neither derived nor unrelated"),
    ],
)
def test_doubtful_pairs_are_left_out_with_a_reason(tmp_path: Path, entries: Any, reason: str) -> None:
    """Traps, contradictions and other labels weigh nothing, and each says why."""
    found = listed(tmp_path, entries)
    assert not found.pairs
    assert all(reason in one.reason for one in found.left_out)


def test_models_of_one_initialisation_can_be_an_unrelated_pair_on_purpose(tmp_path: Path) -> None:
    """A pair of one family counts as unrelated only where its kind says that it was trained apart."""
    entry = pair("a", "b", "unrelated", parent_family="x", child_family="x", kind="same-initialisation")
    assert [p.families for p in listed(tmp_path, [entry]).pairs] == [("x",)]


def test_paths_are_relative_to_the_list_and_go_before_the_hub(tmp_path: Path) -> None:
    """A name that is a folder beside the list is that folder; any other `org/name` is a hub's repository."""
    (tmp_path / "org" / "local").mkdir(parents=True)
    models = {"third": {"at": "org/else@0123abc", "family": "f"}}
    entries = [pair("org/local", "org/far", "derived"), pair("org/local", "third", "unrelated")]
    found = listed(tmp_path, {"models": models, "pairs": entries}).models
    assert (found["org/local"].named.path, found["org/local"].named.hub) == (tmp_path / "org" / "local", "")
    assert found["org/far"].named.hub == "org/far"
    assert (found["third"].named.hub, found["third"].family) == ("org/else@0123abc", "f")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "nonsense",
        "{}",
        "[]",
        '{"schema": "other/1", "pairs": [{}]}',
        '[{"parent": 1, "child": "b", "label": "derived"}]',
        '[{"parent": "a\\u0000", "child": "b", "label": "derived"}]',
        '[{"parent": "a\\u202e", "child": "b", "label": "derived"}]',
        '["a"]',
        '[{"parent": "a", "child": "b"}]',
        '{"families": {"x": "a"}, "pairs": [{"parent": "a", "child": "b", "label": "derived"}]}',
        '{"families": {"x": ["a"], "y": ["a"]}, "pairs": [{"parent": "a", "child": "b", "label": "derived"}]}',
        '{"models": {"a": 3}, "pairs": [{"parent": "a", "child": "b", "label": "derived"}]}',
        json.dumps([pair("a", "b" * 500, "derived")]),
    ],
)
def test_hostile_lists_are_refused(tmp_path: Path, content: str) -> None:
    """What is no list of pairs, or holds names that no line should show, is an error that the user can put right."""
    (tmp_path / "pairs.json").write_text(content)
    with pytest.raises(CaseError):
        read_pairs(str(tmp_path / "pairs.json"))


def test_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    """A list must be a regular file that exists."""
    for file in (str(tmp_path), "/dev/zero", str(tmp_path / "missing")):
        with pytest.raises(CaseError):
            read_pairs(file)


def test_ambiguous_family_is_told() -> None:
    """A model linked to two stated families is of neither, and says so."""
    links = [("a", "m", "derived"), ("b", "m", "derived")]
    families, unknown = families_of({"a": "x", "b": "y"}, links)
    assert families == {"a": "x", "b": "y"}
    assert "x, y" in unknown["m"]


def test_bundled_list_is_sound_and_as_the_docs_say() -> None:
    """All of the shipped list is kept but its traps, each pair from a named source; the docs' counts are its own."""
    found = read_pairs("bundled")
    assert all(one.reason.startswith("trap: ") for one in found.left_out)
    assert all(p.source for p in found.pairs)
    for label in ("derived", "unrelated"):
        assert len({family for p in found.pairs if p.label == label for family in p.families}) >= 40
    families = {family for p in found.pairs for family in p.families}
    counts = f"{len(found.pairs)} pairs of {len(found.models)} public models in {len(families)} families"
    text = (ROOT / "docs" / "calibrating.md").read_text(encoding="utf-8")
    assert counts in text
    assert f"{len(found.left_out)} traps" in text
