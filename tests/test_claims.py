"""A case from files to record: claims are read with the checkpoint, set against opinions, and move none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics import jobs
from forensics.archive import decode, encode
from forensics.case import Named, Request
from forensics.investigation import investigate
from forensics.jobs import JobEnd
from forensics.records import Dossier
from forensics.registry import Registry
from forensics.report.html import html_of
from forensics.testing import descend, tiny_checkpoint
from forensics.worker import perform
from tests.report.example import HOSTILE


@pytest.fixture(autouse=True)
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in this process, which is quick."""

    def run(job: Mapping[str, Any], *, listen: Callable[[Mapping[str, Any]], None], **_: Any) -> JobEnd:
        perform(job, listen)
        return JobEnd(done=True)

    monkeypatch.setattr(jobs, "run", run)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A base, a suspect made from it, and a stranger, 32 wide."""
    tiny_checkpoint(tmp_path / "base-7b", seed=1, layers=2)
    tiny_checkpoint(tmp_path / "stranger-7b", seed=8, layers=2)
    descend(tmp_path / "base-7b", tmp_path / "suspect", noise=0.02, seed=2)
    return tmp_path


def case(place: Path, card: str | None) -> Dossier:
    """The record of the case, the suspect with this card."""
    readme = place / "suspect" / "README.md"
    readme.unlink(missing_ok=True)
    if card is not None:
        readme.write_text(card, encoding="utf-8")
    request = Request(
        suspect=Named(label="suspect", path=place / "suspect"),
        candidates=tuple(Named(label=name, path=place / name) for name in ("base-7b", "stranger-7b")),
        probes=("norm-gains", "identity-mlp"),
        only_bundled=True,
    )
    return investigate(request, Registry.load(only_bundled=True)).dossier


def test_a_card_moves_no_opinion_and_is_set_against_it(place: Path) -> None:
    """Opinions with a card that declares a parent are those without it; the claim stands beside them with its line."""
    silent, told = (
        case(place, None),
        case(place, "---\nbase_model: acme/base-7b\n---\nTrained from scratch.\n"),
    )
    assert silent.opinions == told.opinions
    assert {one.says for one in silent.claims} == {"silent"}
    declared = next(one for one in told.claims if one.kind == "declared parent")
    assert (declared.candidate, declared.where) == ("base-7b", "README.md:2")
    assert "without its owner" in declared.same_by
    scratch = [one for one in told.claims if one.kind == "trained from scratch"]
    assert [one.candidate for one in scratch] == ["base-7b", "stranger-7b"]
    assert decode(encode(told)) == told
    assert encode(told) == encode(case(place, "---\nbase_model: acme/base-7b\n---\nTrained from scratch.\n"))


def test_hostile_claims_reach_no_page_as_markup(place: Path) -> None:
    """Names that are markup, escapes or marks of direction are quoted harmlessly."""
    names = [text for text in HOSTILE if "\ud800" not in text and "\0" not in text and "\x1b" not in text]
    card = "---\nbase_model:\n" + "".join(f"- '{text.replace(chr(39), '')}'\n" for text in names) + "---\n"
    found = case(place, card)
    assert {one.says for one in found.claims} == {"unmatched", "silent"}
    page = html_of(found, encode(found))
    assert "<script" not in page
    assert "<img src=file" not in page
    assert "\u202e" not in page


def test_claims_that_a_stranger_wrote_are_bounded(place: Path) -> None:
    """However many claims a sketch's record holds, few are set against opinions."""
    from forensics.evidence.claims import CLAIMS, set_against

    found = case(place, "---\nbase_model: acme/base-7b\n---\n")
    suspect, *others = found.subjects
    assert suspect.claims
    flooded = replace(suspect, claims=suspect.claims * 5_000)
    assert len(set_against(flooded, others, found.opinions)) <= CLAIMS * len(others) + len(others)
