"""tokenizer.json as data: tokens on bytes, anchors, and hostile files that must not break anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.tokenizer import token_bytes, token_hash, tokenizer_facts
from forensics.errors import CheckpointError
from tests.tiny import llama_tensors, write

TEXT = ["the cat sat on the mat", "naïve café, 你好世界", "int main(void) { return 0; }"] * 4


def trained() -> Tokenizer:
    """A small byte-level BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def facts_of(parsed: Any, settings: Any = None, template: bytes | None = None) -> Any:
    """Facts of a tokenizer given as JSON-able."""
    return tokenizer_facts(
        json.dumps(parsed).encode(), None if settings is None else json.dumps(settings).encode(), template
    )


def test_byte_level_tokens_are_the_bytes_they_stand_for() -> None:
    """Every token of a real byte-level BPE is the bytes that the tokenizer's own decoder makes of it."""
    tokenizer = trained()
    facts = tokenizer_facts(tokenizer.to_str().encode(), None, None)
    assert facts.model == "BPE"
    assert facts.special == {"<|end|>": 0}
    assert len(facts.tokens) == tokenizer.get_vocab_size()
    assert len(facts.merges) > 20
    for token, index in facts.tokens.items():
        decoded = tokenizer.decode([index], skip_special_tokens=False)
        if "\ufffd" not in decoded:  # a piece of a character has no text of its own
            assert token.decode() == decoded


def test_both_kinds_of_vocabulary_meet_on_bytes() -> None:
    """A word with a space in front is the same bytes in GPT-2's and in SentencePiece's spelling."""
    byte_level = facts_of(
        {"model": {"type": "BPE", "vocab": {"Ġcat": 3, "Ċ": 4}}, "decoder": {"type": "ByteLevel"}}
    )
    pieces = facts_of({"model": {"type": "Unigram", "vocab": [["▁cat", -1.0], ["<0x0A>", -2.0]]}})
    assert byte_level.tokens == {b" cat": 3, b"\n": 4}
    assert pieces.tokens == {b" cat": 0, b"\n": 1}


@pytest.mark.parametrize("token", ["<0xZZ>", "<0x-1>", "\ud800", "", "Ġ你", "\0", "▁▁"])
def test_odd_tokens_are_still_bytes(token: str) -> None:
    """No token text breaks the conversion."""
    assert isinstance(token_bytes(token, byte_level=True), bytes)
    assert isinstance(token_bytes(token, byte_level=False), bytes)


REFUSED: dict[str, bytes] = {
    "no JSON": b"{",
    "a list": b"[]",
    "no model": b"{}",
    "model is text": b'{"model":"BPE"}',
    "no vocabulary": b'{"model":{"type":"BPE"}}',
    "vocabulary is text": b'{"model":{"vocab":"abc"}}',
    "nested beyond reason": b'{"model":{"vocab":{}},"normalizer":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "key twice": b'{"model":{"vocab":{"a":1,"a":2}}}',
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_malformed_tokenizer_is_refused(raw: bytes) -> None:
    """What is no tokenizer is a CheckpointError."""
    with pytest.raises(CheckpointError):
        tokenizer_facts(raw, None, None)


@pytest.mark.parametrize("depth", [300, 900, 950, 970, 980, 990, 995])
def test_nesting_near_the_limit_never_crashes(depth: int) -> None:
    """Nesting that can just be parsed is either accepted or refused."""
    raw = b'{"model":{"vocab":{"a":1}},"normalizer":' + b"[" * depth + b"]" * depth + b"}"
    try:
        facts = tokenizer_facts(raw, None, None)
    except CheckpointError:
        return
    assert facts.tokens == {b"a": 1}


def test_hostile_entries_are_left_out() -> None:
    """Ids that are negative, huge, true, or no number, and entries of odd shape are dropped, the rest is kept."""
    vocab = {"good": 5, "minus": -1, "huge": 2**32 - 1, "true": True, "text": "7", "none": None, "float": 1.5}
    added = [
        {"content": "<s>", "id": 1}, {"content": 3, "id": 2}, {"id": 3}, 7, None,
        {"content": "x" * 5000, "id": 9}, {"content": "minus", "id": -4}, {"content": "true", "id": True},
    ]  # fmt: skip
    merges = ["a b", ["c", "d"], "abc", ["e"], 7, None, ["f", 3]]
    facts = facts_of({"model": {"type": 3, "vocab": vocab, "merges": merges}, "added_tokens": added})
    assert facts.tokens == {b"good": 5}
    assert facts.special == {"<s>": 1, "x" * 200: 9}
    assert facts.merges == ((b"a", b"b"), (b"c", b"d"))
    assert facts.model == "unknown"


def test_vocabulary_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More tokens than any model has are refused."""
    monkeypatch.setattr("forensics.checkpoint.tokenizer.VOCABULARY_LIMIT", 3)
    with pytest.raises(CheckpointError):
        facts_of({"model": {"vocab": {"a": 1, "b": 2, "c": 3, "d": 4}}})


def test_chat_template_is_text_from_either_place() -> None:
    """A template is taken as text from its own file, else from the tokenizer's settings, and never rendered."""
    bomb = "{{ ''.__class__.__mro__ }}{% for i in range(10**9) %}x{% endfor %}"
    model = {"model": {"vocab": {"a": 0}}}
    assert facts_of(model).chat_template is None
    assert facts_of(model, {"chat_template": bomb}).chat_template == bomb
    assert facts_of(model, {"chat_template": bomb}, b"own \xff").chat_template == "own \ufffd"
    assert facts_of(model, {"chat_template": [{"name": "a", "template": "b"}]}).chat_template is not None
    assert tokenizer_facts(json.dumps(model).encode(), b"no JSON", None).chat_template is None


def folder_with(tmp_path: Path, vocab: dict[str, int], name: str = "a") -> Path:
    """A tiny checkpoint with this vocabulary."""
    folder = write(tmp_path / name)
    parsed = {"model": {"type": "BPE", "vocab": vocab}, "decoder": {"type": "ByteLevel"}}
    (folder / "tokenizer.json").write_text(json.dumps(parsed))
    return folder


def test_anchors_are_rows_of_the_smallest_hashes(tmp_path: Path) -> None:
    """Anchors are the embedding rows of the tokens with the smallest hashes, in order, whatever the ids."""
    vocab = {f"t{i}": i for i in range(10)}
    checkpoint = open_checkpoint(folder_with(tmp_path, vocab))
    anchors = checkpoint.anchors(4)
    assert anchors is not None
    wanted = sorted((token_hash(t.encode()), i) for t, i in vocab.items())[:4]
    assert anchors.hashes.tolist() == [h for h, _ in wanted]
    np.testing.assert_array_equal(
        anchors.rows, llama_tensors()["model.embed_tokens.weight"][[i for _, i in wanted]]
    )
    shuffled = open_checkpoint(folder_with(tmp_path, {t: 9 - i for t, i in vocab.items()}, "b")).anchors(4)
    assert shuffled is not None
    assert shuffled.hashes.tolist() == anchors.hashes.tolist()
    checkpoint.close()


def test_anchors_beyond_the_embedding_or_not_finite_are_left_out(tmp_path: Path) -> None:
    """Tokens without an embedding row, and rows with NaN, are no anchors."""
    tensors = llama_tensors()
    tensors["model.embed_tokens.weight"][3, 2] = np.nan
    folder = folder_with(tmp_path, {"a": 1, "b": 3, "c": 10, "d": 2**31 - 1})
    write(folder, tensors)
    anchors = open_checkpoint(folder).anchors(100)
    assert anchors is not None
    assert anchors.hashes.tolist() == [token_hash(b"a")]


def test_no_tokenizer_no_anchors(tmp_path: Path) -> None:
    """Without a tokenizer, or with one that cannot be read, there are no anchors and the reason is a problem."""
    assert open_checkpoint(write(tmp_path / "a")).anchors(5) is None
    folder = write(tmp_path / "b")
    (folder / "tokenizer.json").write_text("{")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.anchors(5) is None
    assert checkpoint.tokenizer is None
    assert [p.code for p in checkpoint.problems] == ["JSON"]
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("/etc/hostname")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.tokenizer is None
    assert [p.code for p in checkpoint.problems] == ["PATH_ESCAPE"]
