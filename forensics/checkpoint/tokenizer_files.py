"""Which of a place's tokenizer files is read: a fixed order, and the next kind where one cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.place import Place, display_name, read_small
from forensics.checkpoint.sentencepiece_file import SENTENCEPIECE_LIMIT, sentencepiece_facts
from forensics.checkpoint.tiktoken_file import is_tiktoken, tekken_facts, tiktoken_facts
from forensics.checkpoint.tokenizer import SIZE_LIMIT, tokenizer_facts
from forensics.checkpoint.tokenizer_settings import Neighbours, completed
from forensics.checkpoint.vocab_files import vocab_facts
from forensics.errors import CheckpointError

SETTINGS_LIMIT, TEMPLATE_FILE_LIMIT = 4_000_000, 1_000_000
RANKS_LIMIT = 32_000_000
"""Bytes of a file of ranks; one of 256 000 has 5 million."""
VERSIONED = re.compile(r"tokenizer\.model\.v[0-9]{1,3}(m[0-9]{1,3})?")
"""SentencePiece models of Mistral's own releases."""
SAME_KIND = 4
"""Files of one kind that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A file that may be the tokenizer, and how its bytes become facts."""

    name: str
    parse: Callable[[bytes, str, Neighbours], TokenizerFacts]
    limit: int = SIZE_LIMIT
    """Bytes above which it is not read at all."""


def read_tokenizer(place: Place, names: Sequence[str]) -> tuple[TokenizerFacts | None, list[tuple[str, str]]]:
    """The facts of the first file that can be read, or None, and (code, message) for each that could not.

    tokenizer.json goes first, as loaders take it; files of other names in `names` (`*.tiktoken`) in name order. The
    file `sentencepiece.bpe.model` is not among them: models that have one shift its ids by a rule of their code.
    """
    problems: list[tuple[str, str]] = []
    beside: Neighbours | None = None
    for kind in _kinds(place, names):
        try:
            raw = _whole(place, kind.name, kind.limit)
            if raw is None:
                continue
            beside = beside or _neighbours(place, problems)
            return kind.parse(raw, display_name(kind.name), beside), problems
        except CheckpointError as error:
            problems.append((error.code, error.message))
    return None, problems


def _kinds(place: Place, names: Sequence[str]) -> Iterator[Kind]:
    """What is tried, in order."""
    top = sorted(n for n in names if "/" not in n)
    versioned = [n for n in reversed(top) if VERSIONED.fullmatch(n)][:SAME_KIND]
    ranks = [n for n in top if n.endswith(".tiktoken")][:SAME_KIND]
    yield Kind(name="tokenizer.json", parse=_json)
    for name in ("tokenizer.model", "spiece.model", *versioned):
        yield Kind(name=name, parse=_model, limit=SENTENCEPIECE_LIMIT)
    yield Kind(name="tekken.json", parse=lambda raw, name, beside: completed(tekken_facts(raw, name), beside))
    for name in (*ranks, "tiktoken.model"):
        yield Kind(name=name, parse=_ranks, limit=RANKS_LIMIT)

    def vocab(raw: bytes, name: str, beside: Neighbours) -> TokenizerFacts:
        return completed(vocab_facts(raw, _whole(place, "merges.txt", SIZE_LIMIT), name), beside)

    yield Kind(name="vocab.json", parse=vocab)


def _json(raw: bytes, name: str, beside: Neighbours) -> TokenizerFacts:
    """tokenizer.json, which lists added tokens itself."""
    del name
    return tokenizer_facts(raw, beside.settings, beside.template)


def _model(raw: bytes, name: str, beside: Neighbours) -> TokenizerFacts:
    """A file called a model: SentencePiece's, or, as in Llama 3's own release, tiktoken's."""
    return completed((tiktoken_facts if is_tiktoken(raw) else sentencepiece_facts)(raw, name), beside)


def _ranks(raw: bytes, name: str, beside: Neighbours) -> TokenizerFacts:
    return completed(tiktoken_facts(raw, name), beside)


def _whole(place: Place, name: str, limit: int) -> bytes | None:
    """All bytes of a file, None where there is none; CheckpointError (TOKENIZER_SIZE) instead of a part of it."""
    if not place.holds(name):
        return None
    source = place.open(name)
    try:
        if source.size > limit:
            message = f"{display_name(name)} has {source.size} bytes, more than any such file needs"
            raise CheckpointError(message, code="TOKENIZER_SIZE")
        return source.read(0, source.size)
    finally:
        source.close()


def _neighbours(place: Place, problems: list[tuple[str, str]]) -> Neighbours:
    """The files beside a vocabulary; one that cannot be had is a problem and does not spoil the vocabulary."""

    def had(name: str, limit: int) -> bytes | None:
        try:
            return read_small(place, name, limit)
        except CheckpointError as error:
            problems.append((error.code, error.message))
            return None

    return Neighbours(
        settings=had("tokenizer_config.json", SETTINGS_LIMIT),
        added=had("added_tokens.json", SETTINGS_LIMIT),
        template=had("chat_template.jinja", TEMPLATE_FILE_LIMIT),
    )
