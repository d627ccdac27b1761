"""Claims against opinions: what agrees and contradicts, on what ground a name is a candidate, and hostile strings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forensics.claims import Claim, ClaimKind, ClaimStanding
from forensics.evidence.claims import set_against
from forensics.opinions import Opinion
from forensics.subjects import Subject
from tests.report.example import HOSTILE, opinion

VERDICTS = {"derived": 1.146, "independent": -1.1, "inconclusive": None}


def claim(stated: str, kind: ClaimKind = "declared parent") -> Claim:
    """A claim on a line of a card."""
    return Claim(kind=kind, stated=stated, where="README.md:3")


def subject(label: str, *claims: Claim, **rest: Any) -> Subject:
    """A candidate, or the suspect where `role` says so."""
    told = {"role": "candidate", "form": "checkpoint", "digest": label, "claims": claims, **rest}
    return Subject(label=label, **told)


def against(stated: Claim, candidate: Subject, verdict: str = "derived", **changed: Any) -> ClaimStanding:
    """How one claim of the suspect stands to one candidate."""
    said = replace(opinion(candidate.label, VERDICTS[verdict]), direction="undetermined", **changed)
    assert said.verdict == verdict
    found = set_against(subject("mine", stated, role="suspect"), [candidate], [said])
    return found[0]


def of_many(suspect: Subject, *candidates: Subject) -> list[tuple[str, str]]:
    """(candidate, says) of every standing, all candidates derived."""
    opinions = [opinion(one.label, 1.146) for one in candidates]
    return [(one.candidate, one.says) for one in set_against(suspect, candidates, opinions)]


@pytest.mark.parametrize(
    ("verdict", "says"),
    [("derived", "agrees"), ("independent", "contradicts"), ("inconclusive", "undecided")],
)
@pytest.mark.parametrize("kind", ["declared parent", "configured name"])
def test_a_named_parent_against_the_verdict(kind: ClaimKind, verdict: str, says: str) -> None:
    """Derived agrees, independent contradicts with innocent reasons, an inconclusive opinion does neither."""
    found = against(claim("acme/base-7b", kind), subject("acme/base-7b"), verdict)
    assert (found.says, found.candidate, found.where) == (says, "acme/base-7b", "README.md:3")
    assert bool(found.innocent) == (says == "contradicts")
    assert "acme/base-7b" in found.sentence


@pytest.mark.parametrize(
    ("verdict", "says"),
    [("derived", "contradicts"), ("independent", "agrees"), ("inconclusive", "undecided")],
)
def test_trained_from_scratch_against_the_verdict(verdict: str, says: str) -> None:
    """The sentence is held against every candidate: descent contradicts it, with innocent reasons."""
    found = against(claim("We trained it from scratch.", "trained from scratch"), subject("base-7b"), verdict)
    assert (found.says, found.same_by) == (says, "")
    assert bool(found.innocent) == (says == "contradicts")


def test_silence_is_silence_whatever_the_verdict() -> None:
    """Without a claim every candidate has one entry; only where it is derived silence needs an explanation."""
    candidates = [subject(name) for name in VERDICTS]
    opinions = [opinion(name, value) for name, value in VERDICTS.items()]
    found = set_against(subject("mine", role="suspect"), candidates, opinions)
    assert [(one.candidate, one.says, bool(one.innocent)) for one in found] == [
        ("derived", "silent", True), ("independent", "silent", False), ("inconclusive", "silent", False),
    ]  # fmt: skip


def test_other_parents_declared_are_silence_and_no_contradiction() -> None:
    """A parent that is no candidate is unmatched; the candidate that is derived may lie behind it."""
    suspect = subject("mine", claim("acme/other-7b"), role="suspect")
    assert of_many(suspect, subject("base-7b")) == [("", "unmatched"), ("base-7b", "silent")]


def test_a_known_direction_the_other_way_agrees_with_nothing() -> None:
    """A candidate made from the suspect is not its parent, and does not contradict a training from scratch."""
    said = replace(opinion("base-7b", 1.146), direction="candidate-from-suspect")
    for told in (claim("base-7b"), claim("It was trained from scratch.", "trained from scratch")):
        (found,) = set_against(subject("mine", told, role="suspect"), [subject("base-7b")], [said])
        assert found.says == "undecided"


@pytest.mark.parametrize(
    ("stated", "candidate", "ground"),
    [
        ("base", subject("base"), "label is the name claimed"),
        ("Acme/Base-7B", subject("acme/base_7b"), "owner and name are those of the candidate's label"),
        ("https://hub.example/acme/Base-7B/tree/main", subject("acme/base-7b"), "owner and name"),
        ("acme/base-7b", subject("ckpts/base-7b"), "without its owner"),
        ("acme/base-7b", subject("base-7b"), "without its owner"),
        ("/home/me/models--acme--base-7b/snapshots/0a", subject("acme/base-7b"), "owner and name"),
        ("C:\\models\\Base 7B", subject("base-7b"), "without its owner"),
        ("acme/base-7b@main", subject("acme/base-7b"), "owner and name"),
        ("acme/base-7b", subject("it", claim("Base 7B", "own name")), "own metadata (README.md:3)"),
        (
            "acme/base-7b",
            subject("it", claim("acme/base-7b", "configured name")),
            "own metadata (README.md:3)",
        ),
        # not the same:
        ("acme/base-7b", subject("other/base-7b", commit="0a" * 20), ""),
        ("acme/base-7b", subject("it", claim("other/base-7b", "configured name")), ""),
        ("acme/base-7b", subject("it", claim("acme/base-7b", "declared parent")), ""),
        ("acme/base", subject("base"), ""),
        ("/", subject("it"), ""),
        ("", subject("it"), ""),
        ("acme/base-7b", subject("base-70b"), ""),
    ],
)
def test_the_ground_on_which_a_name_is_a_candidate(stated: str, candidate: Subject, ground: str) -> None:
    """Label, owner, last part or the candidate's own metadata; short names and other owners do not match."""
    found = against(claim(stated), candidate)
    assert (found.same_by != "") == (ground != "")
    assert ground in found.same_by
    assert found.says == ("agrees" if ground else "unmatched")


def test_a_candidate_of_another_owner_is_mentioned() -> None:
    """A name that ends alike and did not count is named in the sentence."""
    assert "ends alike" in against(claim("acme/base"), subject("base")).sentence


def test_the_same_files_are_the_same_model() -> None:
    """A candidate whose digest is that of the one named is held to be it; an empty digest identifies nothing."""
    suspect = subject("mine", claim("acme/base-7b"), role="suspect")
    named, copy = subject("base-7b", digest="d"), subject("copy", digest="d")
    assert of_many(suspect, named, copy) == [("base-7b", "agrees"), ("copy", "agrees")]
    blank = [replace(one, digest="") for one in (named, copy)]
    assert of_many(suspect, *blank) == [("base-7b", "agrees"), ("copy", "silent")]


def test_a_configured_name_that_is_its_own_claims_nothing() -> None:
    """`_name_or_path` often names the model itself; controls are no candidates."""
    suspect = subject("mine-7b", claim("/tmp/mine-7b", "configured name"), role="suspect")
    control = subject("mine-7b", role="control")
    assert of_many(suspect, subject("base-7b")) == [("base-7b", "silent")]
    assert set_against(suspect, [control], []) == ()


def test_claims_that_were_not_read_are_no_silence() -> None:
    """Of a sketch file of an earlier version nothing is said."""
    assert (
        set_against(subject("mine", role="suspect", claims=None), [subject("a")], [opinion("a", 1.146)]) == ()
    )


@pytest.mark.parametrize(
    "text", [*HOSTILE, "/" * 100_000, "a://" * 50_000, "models--" * 50_000, "@" * 99_999]
)
def test_hostile_names_are_quoted_and_cost_nothing(text: str) -> None:
    """Any string as claim, own name and label gives a standing for the candidate or an unmatched claim."""
    found = against(claim(text), subject(text[:200] or "x", claim(text, "own name")))
    assert found.says in {"agrees", "unmatched"}
    assert found.stated == text[:400]
    assert len(found.sentence) + len(found.same_by) < 2_000


def test_opinions_do_not_depend_on_claims() -> None:
    """Claims are a function of opinions and not the other way round: they come back as they went in."""
    said: list[Opinion] = [opinion("base-7b", 1.146)]
    before = repr(said)
    set_against(subject("mine", claim("base-7b"), role="suspect"), [subject("base-7b")], said)
    assert repr(said) == before
