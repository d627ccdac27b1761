"""What a GGUF header says of its model becomes bounded facts, whatever it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.checkpoint.config import declared
from forensics.checkpoint.gguf_facts import gguf_config, gguf_tokenizer
from forensics.checkpoint.tokenizer import tokenizer_facts


def sized(**values: Any) -> dict[str, Any]:
    """A header of a Llama with these sizes."""
    return {
        "general.architecture": "llama",
        **{f"llama.{k.replace('__', '.')}": v for k, v in values.items()},
    }


def test_sizes_have_the_names_of_config_json() -> None:
    """Layers, width, heads, vocabulary and constants, with the vocabulary's length where no size is given."""
    config = gguf_config(
        sized(
            block_count=2,
            embedding_length=64,
            attention__head_count=4,
            attention__head_count_kv=[2, 2],
            rope__freq_base=1e4,
        )
        | {"tokenizer.ggml.tokens": ["a", "b", "c"]}
    )
    assert config == {
        "architecture": "llama", "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 1e4, "vocab_size": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        (sized(expert_count=8), "mixtral"), (sized(expert_count=0), "llama"),
        ({"general.architecture": "deepseek2", "deepseek2.expert_gating_func": 2}, "deepseek_v3"),
        ({"general.architecture": "deepseek2"}, "deepseek_v2"), ({"general.architecture": "qwen3moe"}, "qwen3_moe"),
        ({"general.architecture": "a-new-one"}, "a_new_one"),
    ],
)  # fmt: skip
def test_the_model_type_is_transformers(metadata: dict[str, Any], wanted: str) -> None:
    """GGUF's word for an architecture becomes config.json's."""
    assert gguf_config(metadata)["model_type"] == wanted


@pytest.mark.parametrize(
    "value", [None, True, "x" * 9_000, [], [None], [[1], [2]], [1, 2], 2**63, -1, float("1e300")]
)
def test_a_hostile_size_is_no_size(value: Any) -> None:
    """Whatever stands there, the config is short JSON and the size is absent or sane."""
    config = gguf_config(
        sized(attention__head_count=value, block_count=value) | {"tokenizer.ggml.tokens": value}
    )
    assert len(json.dumps(config, allow_nan=False)) < 300
    assert 0 <= declared(config, "heads") <= 1_000_000_000


@pytest.mark.parametrize("name", [None, "", 7, ["llama"]])
def test_without_an_architecture_there_is_no_config(name: Any) -> None:
    """A part of a split file has none; a hostile one may have anything."""
    assert gguf_config({"general.architecture": name}) == {}
    assert len(gguf_config({"general.architecture": "x" * 9_000})["model_type"]) == 64


def test_a_sentencepiece_vocabulary_is_that_of_its_tokenizer_json() -> None:
    """Spaces and bytes are undone alike, front tokens stay, padding behind the vocabulary goes."""
    listed = ["<unk>", "<s>", "<0x0A>", "\u2581the", "cat", "<extra>", "[PAD6]"]
    metadata = {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": listed,
        "tokenizer.ggml.token_type": [2, 3, 6, 1, 1, 4, 5],
    }  # fmt: skip
    parsed = {
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(listed[:5])}, "merges": []},
        "added_tokens": [{"content": t, "id": i} for i, t in ((0, "<unk>"), (1, "<s>"), (5, "<extra>"))],
    }
    mine, theirs = gguf_tokenizer(metadata), tokenizer_facts(json.dumps(parsed).encode(), None, None)
    assert mine is not None
    assert mine.tokens == theirs.tokens == {b"<unk>": 0, b"<s>": 1, b"\n": 2, b" the": 3, b"cat": 4}
    assert mine.special == theirs.special
    assert mine.model == theirs.model


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"tokenizer.ggml.model": "gpt2"}, {"tokenizer.ggml.model": 5, "tokenizer.ggml.tokens": ["a"]},
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": "a"},
        {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": []},
    ],
)  # fmt: skip
def test_no_vocabulary_is_no_tokenizer(metadata: dict[str, Any]) -> None:
    """Nothing is made up from half of one."""
    assert gguf_tokenizer(metadata) is None


def test_hostile_lists_are_read_as_far_as_they_make_sense() -> None:
    """Other things than text among the tokens, too few types, merges of one or three parts, a template that is none."""
    facts = gguf_tokenizer(
        {
            "tokenizer.ggml.model": "x" * 500,
            "tokenizer.ggml.tokens": ["a", 7, None, ["b"], "c", "\ufffd"],
            "tokenizer.ggml.token_type": ["1", None],
            "tokenizer.ggml.merges": ["a c", "a", "a b c", 5, None],
            "tokenizer.chat_template": 7,
        }
    )
    assert facts is not None
    assert facts.tokens[b"a"] == 0
    assert facts.tokens[b"c"] == 4
    assert facts.merges == ((b"a", b"c"),)
    assert facts.chat_template is None
    assert len(facts.model) == 40
