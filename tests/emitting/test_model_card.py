"""The model card: read by the hub's own parser, naming a base only where that may be asserted, inert in Markdown."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from forensics.emitting import emitted
from forensics.emitting.model_card import markdown
from forensics.records import Dossier
from tests.emitting.cases import ALL, hidden, hub, record, said
from tests.report import example

BASE, OTHER = "acme/meridian-8b", "acme/old-base-7b@main"


def written(dossier: Dossier, pedigree_from: float | None = None) -> str:
    """What is emitted."""
    return emitted("model-card", record(dossier), pedigree_from).decode()


def card(dossier: Dossier, pedigree_from: float | None = None) -> ModelCard:
    """The same, read as the hub's library reads it, which passes over comments."""
    return ModelCard(written(dossier, pedigree_from))


def named(dossier: Dossier, pedigree_from: float | None = None) -> dict[str, Any]:
    """The front matter's values."""
    return card(dossier, pedigree_from).data.to_dict()


@pytest.fixture
def derived() -> Dossier:
    """Two candidates on a hub, of which the suspect was made from one."""
    return hub(example.dossier({BASE: 1.146, OTHER: 0.31}), BASE, OTHER)


def test_base_is_named_above_the_bound(derived: Dossier) -> None:
    """Derived, above the bound, made from it and read from a hub: id and relation stand in the front matter."""
    assert named(derived, 0.7) == {"base_model": BASE, "base_model_relation": "finetune"}


@pytest.mark.parametrize(
    ("changes", "pedigree_from", "why"),
    [
        ({}, None, "no bound was set"),
        ({}, 0.8, "below the bound"),
        ({"verdict": "inconclusive"}, 0.1, "the verdict is inconclusive"),
        ({"direction": "undetermined"}, 0.1, "which of the two came first"),
        ({"direction": "candidate-from-suspect"}, 0.1, "made from the suspect"),
        ({"relation": "shared-initialisation"}, 0.1, "the relation is shared initialisation"),
    ],
)
def test_otherwise_nothing_is_named_and_the_reason_is(
    derived: Dossier, changes: dict[str, Any], pedigree_from: float | None, why: str
) -> None:
    """Each condition that is missing leaves the front matter without keys, and a comment says which."""
    changed = said(derived, BASE, **changes)
    assert named(changed, pedigree_from) == {}
    front = written(changed, pedigree_from).split("\n---\n")[0]
    assert why in front
    assert "# No base_model is suggested" in front


def test_a_local_path_is_no_id() -> None:
    """`models/llama` read from a disk is not suggested as a hub's repository, whatever it looks like."""
    local = hub(example.dossier({BASE: 1.146}))
    assert named(local, 0.7) == {}
    assert "put the id yourself" in written(local, 0.7)


def test_several_are_a_list_only_if_merged() -> None:
    """A list of bases reads as a merge, so it is written of a merge alone."""
    both = {BASE: 1.146, OTHER: 1.1}
    dossier = hub(example.dossier(both), *both)
    assert named(dossier, 0.7) == {}
    for label in both:
        dossier = said(dossier, label, relation="merged")
    assert named(dossier, 0.7) == {
        "base_model": ["acme/meridian-8b", "acme/old-base-7b"],
        "base_model_relation": "merge",
    }


@pytest.mark.parametrize("pedigree_from", [None, 0.1])
@pytest.mark.parametrize("name", ALL)
def test_hostile_names_neither_set_keys_nor_markup(name: str, pedigree_from: float | None) -> None:
    """No label adds a key, ends the front matter, or becomes an element, a link or an image."""
    made = card(ALL[name], pedigree_from)
    assert made.data.to_dict() == {}
    assert made.text.startswith("\n## Lineage (suggestion)")
    assert hidden(written(ALL[name], pedigree_from)) == set()
    kinds = elements(made.text)
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "fence"}


def elements(text: str) -> set[str]:
    """Kinds of tokens that a Markdown reader with HTML and bare links switched on finds."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return {t.type for token in tokens for t in (token, *(token.children or ()))}


@pytest.mark.parametrize(
    "text",
    [
        "<b>x</b>",
        "[x](http://evil)",
        "![x](y)",
        "`a`",
        "*a* _b_",
        "| a | b |",
        "# x",
        "---",
        "&lt;",
        "<http://a.b>",
    ],
)
def test_markdown_shows_foreign_text_as_it_is(text: str) -> None:
    """Escaped text is one run of plain text that reads as given."""
    (paragraph,) = [t for t in MarkdownIt().parse(f"Of {markdown(text)}") if t.type == "inline"]
    assert {t.type for t in paragraph.children or ()} <= {"text", "text_special"}
    assert "".join(t.content for t in paragraph.children or ()) == f"Of {text}"
