"""What lies beside a vocabulary: tokens that were added or declared special, and whether they agree with its ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.tokenizer import SPECIAL_LIMIT, is_id, template_of
from forensics.errors import CheckpointError

ROLES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
"""Keys of tokenizer_config.json that name one special token each."""
FEW = 1_000
"""Additional special tokens that are looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The bytes of the small files beside a vocabulary, None for each that is not there."""

    settings: bytes | None = None
    """tokenizer_config.json."""
    added: bytes | None = None
    """added_tokens.json."""
    template: bytes | None = None
    """chat_template.jinja."""


def completed(facts: TokenizerFacts, beside: Neighbours) -> TokenizerFacts:
    """The facts of a vocabulary with the special tokens and the chat template that its neighbours declare.

    CheckpointError (TOKENIZER_IDS) where most of the declared tokens that the vocabulary knows have other ids there:
    then the model numbers its tokens by a rule that is nowhere but in code (XLM-R's and Pegasus' offsets), and rows
    picked by these ids would be other tokens' rows.
    """
    settings = _object(beside.settings, "tokenizer_config.json")
    numbered = dict([*_numbered(_object(beside.added, "added_tokens.json")), *_decoder(settings)])
    known = {text: facts.tokens.get(text.encode("utf-8", "surrogatepass")) for text in numbered}
    both = [text for text, index in known.items() if index is not None]
    apart = [text for text in both if known[text] != numbered[text]]
    if 2 * len(apart) > len(both):
        shown = apart[0][:40].encode("ascii", "backslashreplace").decode()
        message = (
            f"{facts.source} gives {shown!r} the id {known[apart[0]]}, its settings say {numbered[apart[0]]}"
        )
        raise CheckpointError(f"{message}; its ids were not used", code="TOKENIZER_IDS")
    special = {**facts.special, **dict(_named(settings, facts)), **{t[:200]: i for t, i in numbered.items()}}
    return replace(facts, special=special, chat_template=template_of(beside.settings, beside.template))


def _object(raw: bytes | None, name: str) -> dict[str, Any]:
    """A JSON object, empty where there is none: settings that cannot be read do not spoil a vocabulary."""
    try:
        parsed = None if raw is None else parse_json(raw, name)
    except CheckpointError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _numbered(added: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """(text, id) of added_tokens.json."""
    for text, index in list(added.items())[:SPECIAL_LIMIT]:
        if is_id(index):
            yield text, index


def _decoder(settings: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """(text, id) of `added_tokens_decoder`, whose keys are ids as text."""
    listed = settings.get("added_tokens_decoder")
    for key, token in list(listed.items())[:SPECIAL_LIMIT] if isinstance(listed, dict) else []:
        content = token.get("content") if isinstance(token, dict) else None
        if (
            isinstance(content, str)
            and key.isascii()
            and key.isdigit()
            and len(key) <= 10
            and is_id(int(key))
        ):
            yield content, int(key)


def _named(settings: dict[str, Any], facts: TokenizerFacts) -> Iterator[tuple[str, int]]:
    """(text, id) of the tokens that the settings name by their role, where the vocabulary knows them."""
    more = settings.get("additional_special_tokens")
    for said in [*(settings.get(role) for role in ROLES), *(more[:FEW] if isinstance(more, list) else [])]:
        text = said.get("content") if isinstance(said, dict) else said
        index = facts.tokens.get(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else None
        if isinstance(text, str) and index is not None:
            yield text[:200], index
