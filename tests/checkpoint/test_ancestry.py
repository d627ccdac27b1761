"""Claims of ancestry in cards, configurations and weight files: what is one, what is not, and hostile text."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from forensics.checkpoint.ancestry import CHARACTERS, CLAIMS, claims_of
from forensics.checkpoint.facts import TextFile
from tests.standin import StandIn, architecture_of


def claims(
    texts: dict[str, str] | None = None, stated: dict[str, str] | None = None
) -> list[tuple[str, str, str]]:
    """(kind, stated, where) of every claim of a checkpoint that has only these."""
    files = [TextFile(name=name, text=text, truncated=False) for name, text in (texts or {}).items()]
    standin: Any = StandIn({}, architecture_of(), texts=files, stated=stated)
    return [(one.kind, one.stated, one.where) for one in claims_of(standin)]


def test_card_configuration_and_weight_files_claim() -> None:
    """Each claim once, with file and line or the key it stands under."""
    card = "---\nmodel_name: mine\nbase_model:\n- acme/base-7b\n- acme/other\n---\n"
    config = '{\n "_name_or_path": "acme/base-7b",\n "model_type": "llama"}'
    adapter = json.dumps({"base_model_name_or_path": "acme/base-7b"})
    found = claims(
        {"README.md": card, "config.json": config, "adapter_config.json": adapter},
        {
            "general.base_model.0.name": "Base 7B", "general.base_model.0.organization": "Acme",
            "general.base_model.1.name": "Other", "general.base_model.1.repo_url": "https://hub.example/acme/other",
            "general.name": "Mine", "safetensors: modelspec.merged_from": "a, b", "general.url": "https://x.example",
        },
    )  # fmt: skip
    assert found == [
        ("own name", "mine", "README.md:2"),
        ("declared parent", "acme/base-7b", "README.md:4"),
        ("declared parent", "acme/other", "README.md:5"),
        ("configured name", "acme/base-7b", "config.json:2"),
        ("declared parent", "a, b", "safetensors: modelspec.merged_from"),
        ("declared parent", "Acme/Base 7B", "general.base_model.0.name"),
        ("declared parent", "https://hub.example/acme/other", "general.base_model.1.repo_url"),
    ]


def test_files_for_other_things_claim_nothing() -> None:
    """Configurations of examples and of a code repository are not the model's own; a repository's card is."""
    named = '{"_name_or_path": "acme/base-7b"}'
    assert (
        claims({"examples/config.json": named, "repository:config.json": named, "notes.md": "base_model: x"})
        == []
    )
    assert claims({"repository:README.md": "---\nbase_model: acme/base-7b\n---\n"})[0][1] == "acme/base-7b"


@pytest.mark.parametrize(
    ("sentence", "claimed"),
    [
        ("Our 7.5B model was trained from scratch on 3T tokens.", True),
        ("It is pre-trained from-scratch.", True),
        ("本模型从零开始训练。", True),
        ("It was not trained from scratch.", False),
        ("Unlike models trained from scratch, it is continued.", False),
        ("The tokenizer was trained from scratch.", False),
        ("To train from scratch, run train.py.", False),
        ("You can get one pretrained from scratch.", False),
        ("从头训练的成本很高而非如此", False),
    ],
)
def test_sentences_that_say_from_scratch(sentence: str, claimed: bool) -> None:
    """Denials, comparisons, instructions and sentences about parts are none; the sentence is quoted with its line."""
    found = claims({"README.md": f"# Mine\n\nSome words. {sentence} More words."})
    assert found == ([("trained from scratch", sentence, "README.md:3")] if claimed else [])


def test_one_sentence_is_enough() -> None:
    """The first one of the cards is kept."""
    card = "It was trained from scratch.\n" * 9
    assert claims({"README.md": card, "repository:README.md": card}) == [
        ("trained from scratch", "It was trained from scratch.", "README.md:1")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from scratch " * 90_000,
        "trained from scratch" + "\ud800" * 99_999,
        "---\nbase_model: [" + "a, " * 9_000 + "a]\n---",
        "---\nbase_model: &a [x]\nb: *a\n---",
        '"_name_or_path": "' + "\\u" * 400_000,
    ],
)
def test_hostile_text_costs_little_and_gives_little(text: str) -> None:
    """However it is made, claims are few, short, on one line and writable."""
    begun = time.process_time()
    found = claims(
        {"README.md": text, "config.json": text}, {"general.name": text, "safetensors: base_model": text}
    )
    assert time.process_time() - begun < 5.0
    assert len(found) <= CLAIMS
    for _, stated, where in found:
        assert len(stated) <= 2 * CHARACTERS
        assert "\n" not in stated + where
        (stated + where).encode("utf-8")
