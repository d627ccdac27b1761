"""A SentencePiece model (tokenizer.model, spiece.model) as data: pieces, kind and normaliser. Nothing is run.

Source of the field numbers: sentencepiece_model.proto in google/sentencepiece.
"""

from __future__ import annotations

import hashlib
import math
import struct
from typing import NamedTuple

from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.merges import derived_merges
from forensics.checkpoint.protobuf import FIXED32, LENGTH, VARINT, broken, fields
from forensics.checkpoint.tokenizer import SPECIAL_LIMIT, VOCABULARY_LIMIT, token_bytes
from forensics.checkpoint.tokenizer_steps import canonical
from forensics.errors import CheckpointError

SENTENCEPIECE_LIMIT = 16_000_000
"""Bytes of a file; one of 262 000 pieces has 4.7 million."""
PIECES, TRAINER, NORMALIZER = 1, 2, 3
"""Fields of ModelProto."""
TEXT, SCORE, TYPE = 1, 2, 3
"""Fields of a piece."""
MODEL_TYPE = 3
"""Field of TrainerSpec."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
"""Types of pieces that matter here; a byte piece (6) says what it is by its text, an unused one (5) keeps its id."""
UNIGRAM, BPE = 1, 2
MODELS = {UNIGRAM: "Unigram", BPE: "BPE", 3: "Word", 4: "Char"}
FLAGS = {3: "add_dummy_prefix", 4: "remove_extra_whitespaces", 5: "escape_whitespaces"}
"""Fields of NormalizerSpec that are flags, all set unless the file says otherwise."""
FEW = 1_000
"""Fields of a message that is no list of pieces."""


class Piece(NamedTuple):
    """One entry of the vocabulary; its id is its place in the file. A tuple, for there are hundreds of thousands."""

    text: str
    score: float
    type: int


def sentencepiece_facts(raw: bytes, name: str) -> TokenizerFacts:
    """The vocabulary on bytes, as of the tokenizer.json made from it.

    CheckpointError: TOKENIZER_PROTOBUF where the bytes are no such model, TOKENIZER where its vocabulary is none that
    SentencePiece would load (too many pieces, one of them twice).
    """
    pieces: list[Piece] = []
    kind, normalizer = UNIGRAM, ""
    for number, wire, value in fields(raw, name, VOCABULARY_LIMIT + FEW):
        if wire != LENGTH or not isinstance(value, bytes):
            continue
        if number == PIECES:
            pieces.append(_piece(value, name))
        elif number == TRAINER:
            kind = _model_type(value, name)
        elif number == NORMALIZER:
            normalizer = _normalizer(value, name)
    if not pieces:
        raise broken(name, "it lists no pieces")
    if len(pieces) > VOCABULARY_LIMIT:
        raise CheckpointError(f"{name} lists {len(pieces)} pieces", code="TOKENIZER")
    apart = [(p.text[:200], i) for i, p in enumerate(pieces) if p.type in (UNKNOWN, CONTROL, USER_DEFINED)]
    spelt = {p.text: token_bytes(p.text, byte_level=False) for p in pieces}
    if len(spelt) != len(pieces):
        raise CheckpointError(f"{name} lists a piece twice", code="TOKENIZER")
    return TokenizerFacts(
        model=MODELS.get(kind, "unknown"),
        tokens={spelt[p.text]: i for i, p in enumerate(pieces)},
        merges=_merges(pieces, spelt) if kind == BPE else (),
        special=dict(apart[:SPECIAL_LIMIT]),
        normalizer=normalizer,
        source=name,
    )


def _piece(raw: bytes, name: str) -> Piece:
    text, score, type_ = "", 0.0, NORMAL
    for number, wire, value in fields(raw, name, FEW):
        if number == TEXT and wire == LENGTH and isinstance(value, bytes):
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError:
                raise broken(name, "a piece is no UTF-8") from None
        elif number == SCORE and wire == FIXED32 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif number == TYPE and wire == VARINT and isinstance(value, int):
            type_ = value
    return Piece(text, score if math.isfinite(score) else -math.inf, type_)


def _model_type(raw: bytes, name: str) -> int:
    found = UNIGRAM
    for number, wire, value in fields(raw, name, VOCABULARY_LIMIT):
        if number == MODEL_TYPE and wire == VARINT and isinstance(value, int):
            found = value
    return found


def _normalizer(raw: bytes, name: str) -> str:
    """The normaliser's name, flags and the digest of its table of characters, as one canonical step."""
    said: dict[str, str | bool] = {"type": "SentencePiece"} | dict.fromkeys(FLAGS.values(), True)
    for number, wire, value in fields(raw, name, FEW):
        if wire == LENGTH and isinstance(value, bytes) and number == 1:
            said["name"] = value.decode("utf-8", "replace")[:100]
        elif wire == LENGTH and isinstance(value, bytes) and number == 2 and value:
            said["charsmap"] = hashlib.blake2b(value, digest_size=16).hexdigest()
        elif wire == VARINT and number in FLAGS:
            said[FLAGS[number]] = bool(value)
    return canonical(said)


def _merges(pieces: list[Piece], spelt: dict[str, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Merges of a BPE model: the higher a piece's score, the earlier it is merged."""
    ids = {p.text: i for i, p in enumerate(pieces)}
    by_score = sorted(pieces, key=lambda p: -p.score)
    return tuple((spelt[a], spelt[b]) for a, b in derived_merges(ids, (p.text for p in by_score)))
