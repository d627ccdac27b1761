"""Tokenizers without tokenizer.json: the same tokens from every kind of file, and hostile files that break nothing."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forensics.alignment import (
    Likeness,
    VocabularyKind,
    likeness,
    special_likeness,
    vocabulary_kind,
    vocabulary_of,
)
from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.gguf_facts import gguf_tokenizer
from forensics.checkpoint.place import FILES_LIMIT, budgeted
from forensics.checkpoint.sentencepiece_file import sentencepiece_facts
from forensics.checkpoint.tiktoken_file import is_tiktoken, tekken_facts, tiktoken_facts
from forensics.checkpoint.tokenizer import token_bytes, tokenizer_facts
from forensics.checkpoint.tokenizer_settings import Neighbours, completed
from forensics.checkpoint.vocab_files import vocab_facts
from forensics.errors import CheckpointError
from forensics.reading import sketch_only
from forensics.testing import descend, tiny_checkpoint
from forensics.testing.tokenizer import tokenizer_json
from plugins.neuron_match import NeuronMatch
from plugins.tokenizer_diff import TokenizerDiff
from tests.tiny import write

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
PIECES: list[tuple[str, float, int]] = [
    ("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("<0x0A>", 0.0, BYTE), ("▁a", -1.0, NORMAL),
    ("▁ab", -2.0, NORMAL), ("▁", -3.0, NORMAL), ("a", -4.0, NORMAL), ("b", -5.0, NORMAL), ("é", -6.0, NORMAL),
    ("ab", -7.0, USER_DEFINED),
]  # fmt: skip
"""One for each row of a tiny checkpoint's embeddings."""


def varint(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes(g | 0x80 for g in groups[:-1]) + bytes(groups[-1:])


def field(number: int, value: bytes | int | float) -> bytes:
    """One field of a message: text and messages with their length, integers as varints, floats as four bytes."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def model(pieces: list[tuple[str, float, int]] = PIECES, kind: int = 2, more: bytes = b"") -> bytes:
    """A SentencePiece model: pieces, trainer's settings, normaliser, and fields that no reader knows between them."""
    listed = b"".join(
        field(
            1,
            field(1, text.encode()) + field(2, float(score)) + (field(3, type_) if type_ != NORMAL else b""),
        )
        for text, score, type_ in pieces
    )
    trainer = field(2, field(1, b"corpus.txt") + field(3, kind) + field(10, 0.9995) + field(35, 1))
    normalizer = field(3, field(1, b"identity") + field(2, b"table") + field(3, 0))
    return field(99, b"unknown") + listed + trainer + normalizer + more


def ranks(tokens: list[bytes]) -> bytes:
    """These tokens as tiktoken writes them."""
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def tekken(tokens: list[bytes], special: list[str], count: int, **config: Any) -> bytes:
    """These tokens as tekken.json."""
    listed = [
        {"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None}
        for i, t in enumerate(tokens)
    ]
    named = [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(special)]
    sizes = {
        "default_num_special_tokens": count,
        "default_vocab_size": count + len(tokens),
        "pattern": ".",
    } | config
    return json.dumps({"config": sizes, "vocab": listed, "special_tokens": named}).encode()


def facts_of(parsed: Any) -> TokenizerFacts:
    """Facts of a tokenizer.json."""
    return tokenizer_facts(json.dumps(parsed).encode(), None, None)


def byte_level() -> tuple[TokenizerFacts, list[bytes]]:
    """The testing kit's byte-level tokenizer.json: its facts and its tokens in the order of their ids."""
    facts = facts_of(tokenizer_json())
    return facts, sorted(facts.tokens, key=facts.tokens.__getitem__)


def test_a_sentencepiece_model_is_the_tokenizer_json_made_from_it() -> None:
    """Tokens on bytes, ids, merges and special tokens are those that the converter writes into tokenizer.json."""
    vocab = {text: i for i, (text, _, _) in enumerate(PIECES)}
    merges = [["▁", "a"], ["▁", "ab"], ["▁a", "b"], ["a", "b"]]
    added = [
        {"content": t, "id": i}
        for i, (t, _, kind) in enumerate(PIECES)
        if kind in (UNKNOWN, CONTROL, USER_DEFINED)
    ]
    converted = facts_of({"model": {"type": "BPE", "vocab": vocab, "merges": merges}, "added_tokens": added})
    mine = sentencepiece_facts(model(), "tokenizer.model")
    assert mine.tokens == converted.tokens
    assert mine.tokens[b"\n"] == 2
    assert mine.tokens[b" ab"] == 4
    assert sorted(mine.merges) == sorted(converted.merges)
    assert mine.merges[:3] == ((b" ", b"a"), (b" a", b"b"), (b" ", b"ab"))
    assert mine.special == converted.special == {"<unk>": 0, "<s>": 1, "ab": 9}
    assert (mine.model, mine.source) == ("BPE", "tokenizer.model")
    (step,) = json.loads(mine.normalizer)
    assert (step["name"], step["add_dummy_prefix"]) == ("identity", False)


def test_a_unigram_model_has_no_merges() -> None:
    """Kind 1, and a file that does not say, are Unigram; a kind that no one knows is unknown."""
    unigram = facts_of({"model": {"type": "Unigram", "vocab": [[text, score] for text, score, _ in PIECES]}})
    for raw in (model(kind=1), b"".join(field(1, field(1, text.encode())) for text, _, _ in PIECES)):
        mine = sentencepiece_facts(raw, "spiece.model")
        assert (mine.model, mine.tokens, mine.merges) == (unigram.model, unigram.tokens, ())
    assert sentencepiece_facts(model(kind=77), "spiece.model").model == "unknown"


def test_tiktoken_and_tekken_are_the_tokenizer_json_of_the_same_bytes() -> None:
    """The same byte strings as lines of ranks and as tekken.json are the tokens of the byte-level tokenizer.json."""
    known, tokens = byte_level()
    plain = tiktoken_facts(ranks(tokens), "a.tiktoken")
    assert plain.tokens == known.tokens
    assert set(known.merges) <= set(plain.merges)
    mistral = tekken_facts(tekken(tokens, ["<unk>", "<s>"], 3), "tekken.json")
    assert mistral.special == {"<unk>": 0, "<s>": 1, "<SPECIAL_2>": 2}
    shifted = {token: index + 3 for token, index in known.tokens.items()}
    assert mistral.tokens == shifted | {b"<unk>": 0, b"<s>": 1, b"<SPECIAL_2>": 2}
    assert mistral.merges == plain.merges


def test_tekken_ends_where_the_model_does() -> None:
    """Entries behind the size that the model uses are no tokens."""
    facts = tekken_facts(tekken([b"a", b"b", b"c"], ["<unk>"], 1, default_vocab_size=3), "tekken.json")
    assert facts.tokens == {b"<unk>": 0, b"a": 1, b"b": 2}


def test_vocab_and_merges_are_the_tokenizer_json_they_were_split_from() -> None:
    """vocab.json and merges.txt, with and without their first line and with either end of line."""
    parsed = tokenizer_json()
    known, _ = byte_level()
    vocab = json.dumps(parsed["model"]["vocab"]).encode()
    for head, end in (("#version: 0.2\n", "\n"), ("", "\n"), ("#version: 0.2\r\n", "\r\n")):
        merges = (head + end.join(parsed["model"]["merges"]) + end).encode()
        mine = vocab_facts(vocab, merges, "vocab.json")
        assert (mine.tokens, mine.merges, mine.model) == (known.tokens, known.merges, "BPE")
    assert vocab_facts(vocab, None, "vocab.json").merges == ()


CHECKED: dict[str, bytes] = {
    "nothing": b"",
    "length 2^63": b"\x0a" + varint(1 << 63) + b"abc",
    "length -1": b"\x0a" + varint((1 << 64) - 1),
    "length beyond 64 bits": b"\x0a" + b"\xff" * 9 + b"\x7f",
    "a varint of eleven bytes": b"\x08" + b"\x80" * 11,
    "a varint cut off": model() + b"\x08\x80",
    "a length cut off": model() + b"\x0a",
    "a piece cut off": model()[:37],
    "one byte short": model()[:-1],
    "group": b"\x0b\x0c" + model(),
    "end of group": model() + b"\x0c",
    "wire type 6": model() + b"\x0e",
    "field 0": model() + b"\x02\x00",
    "no pieces": field(2, field(3, 2)),
    "a float cut off": field(1, field(1, b"a") + b"\x15\x00"),
    "text that is no UTF-8": field(1, field(1, b"\xff")),
    "a length inside a piece that leaves it": field(1, b"\x0a\x7fabc") + model(),
    "zip": b"PK\x03\x04" + bytes(100),
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
}


@pytest.mark.parametrize("raw", CHECKED.values(), ids=CHECKED)
def test_a_corrupt_model_is_refused(raw: bytes) -> None:
    """Whatever is not right in the wire format is one stable error, at once."""
    started = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        sentencepiece_facts(raw, "tokenizer.model")
    assert caught.value.code == "TOKENIZER_PROTOBUF"
    assert time.perf_counter() - started < 1


REFUSED: dict[str, Callable[[], object]] = {
    "a piece twice": lambda: sentencepiece_facts(model([*PIECES, ("a", 0.0, NORMAL)]), "m"),
    "no Base64": lambda: tiktoken_facts(b"YQ== 0\n!!! 1\n", "t"),
    "Base64 with a bad end": lambda: tiktoken_facts(b"YQ 0\n", "t"),
    "not ASCII": lambda: tiktoken_facts("YQ== 0\né 1\n".encode(), "t"),
    "no rank": lambda: tiktoken_facts(b"YQ==\n", "t"),
    "a negative rank": lambda: tiktoken_facts(b"YQ== -1\n", "t"),
    "a rank of 2^32": lambda: tiktoken_facts(b"YQ== 4294967296\n", "t"),
    "a rank of a million digits": lambda: tiktoken_facts(b"YQ== " + b"9" * 1_000_000, "t"),
    "a rank twice": lambda: tiktoken_facts(b"YQ== 0\nYg== 0\n", "t"),
    "a token twice": lambda: tiktoken_facts(b"YQ== 0\nYQ== 1\n", "t"),
    "five million lines": lambda: tiktoken_facts(b"\n" * 5_000_000, "t"),
    "no lines": lambda: tiktoken_facts(b"\n \n", "t"),
    "tekken: a list": lambda: tekken_facts(b"[]", "k"),
    "tekken: no config": lambda: tekken_facts(b'{"vocab":[1]}', "k"),
    "tekken: too many special": lambda: tekken_facts(tekken([b"a"], [], 10**9), "k"),
    "tekken: fewer than named": lambda: tekken_facts(tekken([b"a"], ["<s>", "</s>"], 1), "k"),
    "tekken: a token twice": lambda: tekken_facts(tekken([b"a", b"a"], [], 0), "k"),
    "tekken: another rank": lambda: tekken_facts(tekken([b"a"], [], 0).replace(b'"rank": 0', b'"rank": 7'), "k"),
    "tekken: no Base64": lambda: tekken_facts(tekken([b"a"], [], 0).replace(b"YQ==", b"Y\\u00e9=="), "k"),
    "tekken: special at 5": lambda: tekken_facts(
        b'{"config":{},"vocab":[{"token_bytes":"YQ=="}],"special_tokens":[{"rank":5,"token_str":"x"}]}', "k"
    ),
    "vocab: a list": lambda: vocab_facts(b"[]", None, "v"),
    "vocab: no ids": lambda: vocab_facts(b'{"a":4294967295,"b":-1,"c":true,"d":"x"}', None, "v"),
}  # fmt: skip


@pytest.mark.parametrize("read", REFUSED.values(), ids=REFUSED)
def test_a_vocabulary_that_its_own_loader_refuses_is_refused(read: Callable[[], object]) -> None:
    """Garbage, absurd ids, and tokens or ids that are there twice are a TOKENIZER error."""
    with pytest.raises(CheckpointError) as caught:
        read()
    assert caught.value.code == "TOKENIZER"


def test_more_tokens_than_any_model_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are checked before anything is made of the entries."""
    for module in ("sentencepiece_file", "tiktoken_file"):
        monkeypatch.setattr(f"forensics.checkpoint.{module}.VOCABULARY_LIMIT", 3)
    many = [b"a", b"b", b"c", b"d", b"e"]
    readers: list[Callable[[], object]] = [
        lambda: sentencepiece_facts(model(), "m"), lambda: tiktoken_facts(ranks(many), "t"),
        lambda: tekken_facts(tekken(many, [], 0), "k"),
    ]  # fmt: skip
    for read in readers:
        with pytest.raises(CheckpointError):
            read()


def test_merges_are_given_up_before_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vocabulary in which every cut of every token is a merge keeps its tokens and has no merges."""
    tokens = [b"a" * n for n in range(1, 60)]
    assert len(tiktoken_facts(ranks(tokens), "t").merges) == 59 * 58 // 2
    monkeypatch.setattr("forensics.checkpoint.merges.MERGES_LIMIT", 1_000)
    facts = tiktoken_facts(ranks(tokens), "t")
    assert (len(facts.tokens), facts.merges) == (59, ())


def read_any(raw: bytes) -> None:
    """Every reader over the same bytes: facts or a CheckpointError."""
    readers: list[Callable[[], object]] = [
        lambda: sentencepiece_facts(raw, "m"), lambda: tiktoken_facts(raw, "t"), lambda: is_tiktoken(raw),
        lambda: tekken_facts(raw, "k"), lambda: vocab_facts(raw, raw, "v"),
    ]  # fmt: skip
    for read in readers:
        with suppress(CheckpointError):
            read()


@settings(deadline=2_000, max_examples=150)
@given(raw=st.binary(max_size=2_000))
@example(raw=b"\x0a\x00" * 50_000)
@example(raw=b"YQ== 0\n" * 50_000)
@example(raw=b"[" * 100_000)
def test_arbitrary_bytes_never_break_a_reader(raw: bytes) -> None:
    """Whatever the bytes, a reader gives facts or a CheckpointError, and soon."""
    read_any(raw)


SOUND = [
    model(),
    model(kind=1),
    ranks([b"a", b"b", b"ab"]),
    tekken([b"a", b"b"], ["<s>"], 2),
    b'{"\\u0120": 0, "a": 1}',
]


@settings(deadline=2_000, max_examples=200)
@given(
    sound=st.sampled_from(SOUND), at=st.integers(0, 500), cut=st.integers(0, 8), put=st.binary(max_size=12)
)
def test_a_mutated_file_never_breaks_a_reader(sound: bytes, at: int, cut: int, put: bytes) -> None:
    """A sound file with some bytes replaced, removed or put in gives facts or a CheckpointError."""
    at %= len(sound)
    read_any(sound[:at] + put + sound[at + cut :])


WRITTEN: dict[str, dict[str, bytes]] = {
    "tokenizer.model": {"tokenizer.model": model()},
    "spiece.model": {"spiece.model": model(kind=1)},
    "tokenizer.model.v3": {"tokenizer.model.v3": model()},
    "tekken.json": {"tekken.json": tekken([b"a", b"b", b" ab"], ["<s>"], 2)},
    "qwen.tiktoken": {"qwen.tiktoken": ranks([b"a", b"b", b" ab"])},
    "tiktoken.model": {"tiktoken.model": ranks([b"a", b"b", b" ab"])},
    "vocab.json": {"vocab.json": '{"a": 0, "b": 1, "Ġ": 2, "Ġab": 3}'.encode(), "merges.txt": b"a b"},
}


def folder_with(folder: Path, files: dict[str, bytes]) -> Path:
    """A tiny checkpoint with these files beside its weights."""
    write(folder)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


@pytest.mark.parametrize("name", WRITTEN)
def test_a_checkpoint_finds_each_kind_of_file(tmp_path: Path, name: str) -> None:
    """Without tokenizer.json the file is found and read; neighbours give the template; tokenizer.json goes first."""
    files = WRITTEN[name] | {"chat_template.jinja": b"{{ messages }}"}
    checkpoint = open_checkpoint(folder_with(tmp_path / "a", files))
    facts = checkpoint.tokenizer
    assert facts is not None
    assert facts.source == name
    assert b" ab" in facts.tokens
    assert facts.chat_template == "{{ messages }}"
    assert not checkpoint.problems
    (tmp_path / "a" / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"x": 0}}}))
    first = open_checkpoint(tmp_path / "a").tokenizer
    assert first is not None
    assert first.source == "tokenizer.json"


def test_a_tokenizer_model_may_be_tiktokens(tmp_path: Path) -> None:
    """Llama 3's own release calls its file of ranks tokenizer.model."""
    facts = open_checkpoint(folder_with(tmp_path, {"tokenizer.model": ranks([b"a", b"b"])})).tokenizer
    assert facts is not None
    assert facts.tokens == {b"a": 0, b"b": 1}


def test_the_next_kind_is_tried_where_one_cannot_be_read(tmp_path: Path) -> None:
    """Each file that cannot be read is a problem with its own code, and the first sound one is used."""
    files = {
        "tokenizer.json": b"{", "tokenizer.model": b"\x0a" + varint(1 << 63), "a.tiktoken": b"!",
        "tekken.json": b"{}", "vocab.json": b'{"a": 1}',
    }  # fmt: skip
    checkpoint = open_checkpoint(folder_with(tmp_path, files))
    facts = checkpoint.tokenizer
    assert facts is not None
    assert facts.source == "vocab.json"
    assert [p.code for p in checkpoint.problems] == ["JSON", "TOKENIZER_PROTOBUF", "TOKENIZER", "TOKENIZER"]


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file above its limit (here a sparse one of a terabyte) is a problem and never read."""
    folder = folder_with(tmp_path, {})
    with (folder / "tokenizer.model").open("wb") as file:
        file.write(model())
        file.truncate(1 << 40)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.tokenizer is None
    assert [p.code for p in checkpoint.problems] == ["TOKENIZER_SIZE"]


def test_a_file_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    """A link out of the folder is a problem, for the vocabulary as for a file beside it."""
    folder = folder_with(tmp_path, {"spiece.model": model()})
    (folder / "tokenizer.model").symlink_to("/etc/hostname")
    (folder / "chat_template.jinja").symlink_to("/etc/hostname")
    checkpoint = open_checkpoint(folder)
    facts = checkpoint.tokenizer
    assert facts is not None
    assert (facts.source, facts.chat_template) == ("spiece.model", None)
    assert [p.code for p in checkpoint.problems] == ["PATH_ESCAPE", "PATH_ESCAPE"]


def test_special_tokens_come_from_the_neighbours_too(tmp_path: Path) -> None:
    """tokenizer_config.json by id and by role, and added_tokens.json; odd entries are left out."""
    decoder = {
        "0": {"content": "<unk>"},
        "10": {"content": "<x>"},
        "-1": {"content": "y"},
        "²": {"content": "z"},
        "4": 7,
    }
    said = {
        "added_tokens_decoder": decoder,
        "eos_token": {"content": "b"},
        "pad_token": "nowhere",
        "bos_token": 3,
    }
    files = {
        "tokenizer.model": model(), "tokenizer_config.json": json.dumps(said).encode(),
        "added_tokens.json": b'{"<y>": 11, "minus": -2}',
    }  # fmt: skip
    facts = open_checkpoint(folder_with(tmp_path, files)).tokenizer
    assert facts is not None
    assert facts.special == {"<unk>": 0, "<s>": 1, "ab": 9, "b": 7, "<x>": 10, "<y>": 11}


def test_ids_that_the_settings_contradict_are_not_used(tmp_path: Path) -> None:
    """Where the model's own code shifts ids, as the settings show, rows would be other tokens': a problem instead."""
    decoder = {str(i + 1): {"content": text} for i, (text, _, _) in enumerate(PIECES[:2])}
    settings_ = json.dumps({"added_tokens_decoder": decoder}).encode()
    checkpoint = open_checkpoint(
        folder_with(tmp_path, {"spiece.model": model(), "tokenizer_config.json": settings_})
    )
    assert checkpoint.tokenizer is None
    assert [p.code for p in checkpoint.problems] == ["TOKENIZER_IDS"]


def test_anchors_are_the_same_for_a_model_and_its_converted_copy(tmp_path: Path) -> None:
    """Anchors of a checkpoint with tokenizer.model are hash for hash and row for row those of its tokenizer.json."""
    vocab = {text: i for i, (text, _, _) in enumerate(PIECES)}
    converted = json.dumps({"model": {"type": "BPE", "vocab": vocab}}).encode()
    mine = open_checkpoint(folder_with(tmp_path / "a", {"tokenizer.model": model()})).anchors(6)
    theirs = open_checkpoint(folder_with(tmp_path / "b", {"tokenizer.json": converted})).anchors(6)
    assert mine is not None
    assert theirs is not None
    np.testing.assert_array_equal(mine.hashes, theirs.hashes)
    np.testing.assert_array_equal(mine.rows, theirs.rows)
    assert len(mine.hashes) == 6


def test_tokenizer_diff_finds_a_vocabulary_again_in_another_kind_of_file(tmp_path: Path) -> None:
    """The probe reads overlap 1 and every id alike between tokenizer.model and tokenizer.json of one vocabulary."""
    vocab = {text: i for i, (text, _, _) in enumerate(PIECES)}
    converted = json.dumps({"model": {"type": "BPE", "vocab": vocab, "merges": ["▁ a"]}}).encode()
    files = {"a": {"tokenizer.model": model()}, "b": {"tokenizer.json": converted}}
    probe = TokenizerDiff()
    ours, theirs = (
        probe.sketcher(open_checkpoint(folder_with(tmp_path / n, f))).finish() for n, f in files.items()
    )
    reading = probe.compare(ours, theirs)
    assert reading.value == 1.0
    assert reading.facts["id_agreement"] == 1.0
    assert reading.facts["common_merge_prefix"] == 1
    assert reading.facts["kind"] == "identical"


def test_a_probe_reads_the_same_through_another_kind_of_file(tmp_path: Path) -> None:
    """Neurons are matched on the very same anchors whether the vocabulary is tokenizer.json or a file of ranks."""
    parent = tiny_checkpoint(tmp_path / "parent", seed=1)
    child = descend(parent, tmp_path / "child", noise=0.05, permute=True, seed=2)
    before = open_checkpoint(child)
    _, tokens = byte_level()
    converted = descend(child, tmp_path / "converted", noise=0.0)
    (converted / "tokenizer.json").unlink()
    (converted / "tokenizer.tiktoken").write_bytes(ranks(tokens))
    after = open_checkpoint(converted)
    assert before.tokenizer is not None
    assert after.tokenizer is not None
    assert after.tokenizer.tokens == before.tokenizer.tokens
    probe = NeuronMatch()
    suspect = sketch_only(open_checkpoint(parent), [probe], "")["neuron-match"]
    readings = [probe.compare(suspect, sketch_only(c, [probe], "")["neuron-match"]) for c in (before, after)]
    assert readings[0].value == readings[1].value
    assert readings[0].facts == readings[1].facts


def test_junk_does_not_push_a_tokenizer_off_the_list() -> None:
    """Among more files than are listed, those that may hold a tokenizer are kept."""
    junk = [f"a{i}.txt" for i in range(FILES_LIMIT)]
    assert set(WRITTEN) - {"tokenizer.model.v3"} <= set(budgeted([*junk, *WRITTEN]))


def test_what_the_weights_bring_along_is_the_last_resort(tmp_path: Path) -> None:
    """A GGUF header's tokenizer is used where no file can be read, and not where one can."""
    header = TokenizerFacts(model="BPE", tokens={b"x": 0}, source="GGUF header")
    for raw, source in ((b"\x0a\xff", "GGUF header"), (model(), "tokenizer.model")):
        checkpoint = open_checkpoint(folder_with(tmp_path, {"tokenizer.model": raw}))
        checkpoint._tokenizer = header
        assert checkpoint.tokenizer is not None
        assert checkpoint.tokenizer.source == source


def spelt_apart() -> dict[str, TokenizerFacts]:
    """One byte-level vocabulary and its special token in every kind of file that can hold it."""
    parsed = tokenizer_json()
    _, tokens = byte_level()
    vocab, end = parsed["model"]["vocab"], parsed["added_tokens"][0]
    settings_ = {"added_tokens_decoder": {str(end["id"]): {"content": end["content"]}}}
    beside = Neighbours(settings=json.dumps(settings_).encode())
    merges = "\n".join(parsed["model"]["merges"]).encode()
    header = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": [*vocab, end["content"]],
        "tokenizer.ggml.token_type": [NORMAL] * len(vocab) + [CONTROL],
        "tokenizer.ggml.merges": parsed["model"]["merges"],
    }  # fmt: skip
    gguf = gguf_tokenizer(header)
    assert gguf is not None
    return {
        "tokenizer.json": facts_of(parsed),
        "tiktoken": completed(tiktoken_facts(ranks(tokens), "t"), beside),
        "vocab.json": completed(vocab_facts(json.dumps(vocab).encode(), merges, "v"), beside),
        "GGUF": gguf,
    }


def spelt_in_pieces() -> dict[str, TokenizerFacts]:
    """One SentencePiece vocabulary as itself, converted, and in a header."""
    vocab = {text: i for i, (text, _, _) in enumerate(PIECES)}
    apart = (UNKNOWN, CONTROL, USER_DEFINED)
    added = [{"content": t, "id": i} for i, (t, _, kind) in enumerate(PIECES) if kind in apart]
    merges = ["▁ a", "▁a b", "▁ ab", "a b"]
    gguf = gguf_tokenizer(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": list(vocab),
            "tokenizer.ggml.token_type": [kind for _, _, kind in PIECES],
            "tokenizer.ggml.merges": merges,
        }
    )
    assert gguf is not None
    model_ = {"type": "BPE", "vocab": vocab, "merges": merges}
    return {
        "tokenizer.model": sentencepiece_facts(model(), "m"),
        "tokenizer.json": facts_of({"model": model_, "added_tokens": added}),
        "GGUF": gguf,
    }


def spelt_with_special_in_front() -> dict[str, TokenizerFacts]:
    """A tekken.json, and the tokenizer.json that converters make from it: special tokens first."""
    parsed = tokenizer_json()
    _, tokens = byte_level()
    named = ["<unk>", "<s>", "<SPECIAL_2>"]
    added = [{"content": text, "id": i} for i, text in enumerate(named)]
    vocab = {text: i for i, text in enumerate([*named, *parsed["model"]["vocab"]])}
    converted = {**parsed, "added_tokens": added, "model": {**parsed["model"], "vocab": vocab}}
    return {
        "tekken.json": tekken_facts(tekken(tokens, named[:2], 3), "k"),
        "tokenizer.json": facts_of(converted),
    }


SPELT = {
    f"{ours} and {theirs}": (found[ours], found[theirs])
    for found in (spelt_apart(), spelt_in_pieces(), spelt_with_special_in_front())
    for ours, theirs in permutations(found, 2)
}


def kind_of(ours: TokenizerFacts, theirs: TokenizerFacts) -> tuple[Likeness, VocabularyKind]:
    """What two have in common, and its name."""
    sides = [vocabulary_of(f.tokens, f.merges, f.special) for f in (ours, theirs)]
    found = likeness(*sides, sample=100, rng=np.random.default_rng(0))
    return found, vocabulary_kind(found, same_special=special_likeness(*sides)[1])


@pytest.mark.parametrize("pair", SPELT)
def test_a_converted_tokenizer_is_identical(pair: str) -> None:
    """The same vocabulary in another kind of file has the same tokens, ids, order of merges and special tokens."""
    found, kind = kind_of(*SPELT[pair])
    assert kind is VocabularyKind.IDENTICAL
    assert found.prefix == found.prefix_most > 0


def test_the_same_ranks_behind_special_tokens_are_a_renumbered_copy() -> None:
    """tekken.json puts special tokens in front of the ranks that a tiktoken file begins with."""
    _, tokens = byte_level()
    found, kind = kind_of(spelt_with_special_in_front()["tekken.json"], tiktoken_facts(ranks(tokens), "t"))
    assert kind is VocabularyKind.RENUMBERED
    assert (found.shift, found.shifted_ids) == (3, found.shared)
    assert found.prefix == found.prefix_most


def test_only_two_hexadecimal_digits_are_a_byte() -> None:
    """What int() would also take (signs, spaces, other digits) is text."""
    assert token_bytes("<0x0a>", byte_level=False) == b"\n"
    for text in ("<0x+A>", "<0x A>", "<0x_A>", "<0x\uff11\uff12>"):
        assert token_bytes(text, byte_level=False) == text.encode()
