"""What repository-scan tells a policy of licences: facts, and unknown wherever documents cannot say."""

from __future__ import annotations

import pytest

from forensics.readings import Scalar
from tests.plugins.test_repository_scan import APACHE, LLAMA, compared, texts_of

CARD = "---\nlicense: {}\n---\n"


def facts(suspect: dict[str, str], candidate: dict[str, str]) -> dict[str, Scalar]:
    """The facts for two sets of documents."""
    return dict(compared(texts_of(**suspect), texts_of(**candidate)).facts)


def test_unmet_obligations_are_counted_and_told() -> None:
    """A model under the Llama 3.1 licence beside one that shows nothing: what is looked for is unmet."""
    reading = compared(texts_of(README_md=CARD.format("mit")), texts_of(README_md=CARD.format("llama3.1")))
    found = reading.facts
    assert (found["suspect_licence"], found["candidate_licence"]) == ("MIT", "Llama-3.1")
    assert (found["obligations_asked"], found["obligations_unmet"], found["obligations_untold"]) == (4, 4, 0)
    assert (found["unmet_naming"], found["unmet_attribution"], found["unmet_share_alike"]) == (
        True,
        True,
        False,
    )
    assert "Of 4 things" in reading.summary
    assert "4 were not found" in reading.summary


def test_what_is_shown_is_not_unmet() -> None:
    """Words, name and notice shown in the suspect's documents meet what is asked; the licence's text is missing."""
    card = (
        "---\nlicense: llama3.1\nmodel_name: Llama-Acme-8B\n---\nBuilt with Llama\n"
        "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright Meta.\n"
    )
    found = facts({"README_md": card}, {"README_md": CARD.format("llama3.1")})
    assert found["obligations_unmet"] == 1
    assert found["unmet_licence_copy"] is True
    assert not any(found[f"unmet_{kind}"] for kind in ("naming", "attribution", "notice"))


@pytest.mark.parametrize(
    ("suspect", "candidate", "conflicts"),
    [
        ("mit", "cc-by-nc-4.0", (False, True, False)),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", (False, False, False)),
        ("apache-2.0", "gpl-3.0", (True, False, False)),
        ("gpl-3.0", "gpl-3.0", (False, False, False)),
        ("mit", "cc-by-nc-sa-4.0", (True, True, False)),
        ("cc-by-nd-4.0", "cc-by-nd-4.0", (False, False, True)),
        ("my own", "cc-by-nc-nd-4.0", (False, None, True)),
        ("mit", "apache-2.0", (False, False, False)),
        ("mit", "other", (None, None, None)),
        ("other", "gpl-3.0", (None, False, False)),
        ("mit", "mit or gpl-3.0", (None, None, None)),
    ],
)
def test_traits_of_the_candidates_licence_that_the_suspects_goes_against(
    suspect: str, candidate: str, conflicts: tuple[bool | None, ...]
) -> None:
    """Share-alike, non-commercial and no-derivatives, each known or not."""
    found = facts({"README_md": CARD.format(suspect)}, {"README_md": CARD.format(candidate)})
    traits = ("share_alike", "non_commercial", "no_derivatives")
    assert tuple(found[f"conflict_{trait}"] for trait in traits) == conflicts


def test_a_licence_that_is_not_known_makes_nothing_known() -> None:
    """Terms of one's own, although a code file beside them has Apache's notice, are no Apache licence."""
    code = "# Licensed under the Apache License, Version 2.0\nx = 1\n"
    for own in ("Terms of Acme. You may not do much.", "These terms are not the Apache License 2.0. " * 9):
        found = facts({"README_md": CARD.format("mit")}, {"LICENSE": own, "modeling_x_py": code})
        assert found["candidate_licence"] is None
        assert {found[key] for key in found if key.startswith(("unmet_", "conflict_", "obligations_"))} == {
            None
        }


def test_licences_of_code_and_third_parties_are_not_the_models_own() -> None:
    """A licence file says what the model is under; a list of third parties does not."""
    found = facts({"README_md": "x"}, {"LICENSE": LLAMA, "NOTICE": APACHE})
    assert found["candidate_licence"] == "Llama-2"
    assert found["suspect_licence"] is None


def test_a_licence_known_by_its_title_only_is_found_in_its_file() -> None:
    """openPangu's wording is not in the table: a licence file with its title counts as its text, a card does not."""
    title = "OPENPANGU MODEL LICENSE AGREEMENT VERSION 1.0\n\nThis agreement …"
    for name, unmet in (("LICENSE", False), ("README_md", True)):
        found = facts({name: title}, {"LICENSE": title})
        assert found["candidate_licence"] == "openPangu-1.0"
        assert found["unmet_licence_copy"] is unmet
        assert found["unmet_attribution"] is True
