"""Rules about licences and claims put to a record: the documented ones, and that they fail closed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.gates import Judged
from forensics.records import Dossier
from tests.plugins.test_repository_scan import compared, texts_of
from tests.report.example import dossier
from tests.test_policy import DOCS, HEAD, fired, put, rule

CARD = "---\nlicense: {}\n---\n"
SCAN = "repository-scan"


def record(suspect: str, candidate: str) -> tuple[Dossier, str]:
    """A record whose derived candidate is under one licence and whose suspect is under another."""
    whole = dossier()
    label = next(o.candidate for o in whole.opinions if o.verdict == "derived")
    reading = compared(texts_of(README_md=CARD.format(suspect)), texts_of(README_md=CARD.format(candidate)))
    (about,) = [f for f in whole.findings if f.candidate == label][:1]
    scan = replace(about, probe=replace(about.probe, id=SCAN), outcome=reading, weight=None)
    others = tuple(f for f in whole.findings if (f.candidate, f.probe.id) != (label, SCAN))
    return replace(whole, findings=(*others, scan)), label


def documented() -> str:
    """The second example of docs/policy.md."""
    return re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1].removeprefix(HEAD)


def names(found: tuple[Judged, ...], label: str) -> list[str]:
    """Names of the rules that fired for a candidate."""
    return [one.rule.name for one in found if one.fired and one.about == label]


@pytest.mark.parametrize(
    ("suspect", "candidate", "expected"),
    [
        ("mit", "llama3.1", ["terms", "Llama"]),
        ("mit", "cc-by-nc-4.0", ["terms", "commerce"]),
        ("cc0-1.0", "unlicense", []),
        ("mit", "other", ["terms", "commerce", "Llama"]),  # nobody knows what it asks
    ],
)
def test_the_documented_policy_for_licences(
    tmp_path: Path, suspect: str, candidate: str, expected: list[str]
) -> None:
    """It fires where obligations are unmet, where commerce is excluded, and where the record cannot say."""
    whole, label = record(suspect, candidate)
    found = put(tmp_path, documented(), whole)
    told = names(found, label)
    assert len({one.rule.name for one in found}) == documented().count("[[rule]]") == 4
    assert [any(word in name for name in told) for word in ("terms", "commerce", "Llama")] == [
        word in expected for word in ("terms", "commerce", "Llama")
    ]
    strangers = {o.candidate for o in whole.opinions if o.verdict != "derived"}
    assert not fired(found) & strangers


def test_facts_that_are_not_known_decide_nothing(tmp_path: Path) -> None:
    """A missing fact, an unknown one, and one of another kind fire, or pass as the rule says."""
    whole, label = record("mit", "other")
    for asked in (
        "facts = { conflict_share_alike = [true] }", "facts_from = { obligations_unmet = 1 }",
        "facts_list = { candidate_licence = [\"Llama-3\"] }", "facts_from = { suspect_licence = 1 }",
        "facts_from = { common_licences_not_counted = 1 }", "facts_list = { leads = [\"1\"] }",
        "facts_from = { nothing_such = 0 }",
    ):  # fmt: skip
        lines = f'labels = ["{label}"]\nfinding = {{ probe = "{SCAN}", {asked} }}'
        (found,) = put(tmp_path, rule(lines), whole)
        assert (found.known, found.fired) == (False, True), asked
        assert not put(tmp_path, rule(f'{lines}\nif_unknown = "pass"'), whole)[0].fired


def test_numbers_and_lists_of_facts(tmp_path: Path) -> None:
    """A number from its bound on, and one name of a list."""
    whole, label = record("mit", "llama3.1")
    for asked, holds in (
        ("facts_from = { obligations_unmet = 4 }", True), ("facts_from = { obligations_unmet = 5 }", False),
        ("facts_list = { candidate_licence = [\"Gemma\", \"Llama-3.1\"] }", True),
        ("facts_list = { candidate_licence = [\"Llama-3\"] }", False),
    ):  # fmt: skip
        found = put(tmp_path, rule(f'labels = ["{label}"]\nfinding = {{ probe = "{SCAN}", {asked} }}'), whole)
        assert bool(fired(found)) == holds, asked


def test_claims_can_be_asked_for(tmp_path: Path) -> None:
    """Silence about a candidate is a condition; where claims were not read nothing is known."""
    whole = dossier()
    silent = {one.candidate for one in whole.claims if one.says == "silent"}
    assert fired(put(tmp_path, rule('claim = ["silent"]'), whole)) == silent
    unread = put(tmp_path, rule('claim = ["silent"]'), replace(whole, claims=()))
    assert all(one.fired and not one.known for one in unread)
