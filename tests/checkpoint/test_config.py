"""config.json: bounded, finite, plain values, and nothing that could reach a library unchecked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.config import (
    LARGEST,
    LIST_LIMIT,
    TEXT_LIMIT,
    declared,
    parse_json,
    read_config,
    sanitised,
)
from forensics.errors import CheckpointError
from tests.tiny import CONFIG, llama_tensors, write

REFUSED = {
    "no JSON": (b"{", "JSON"),
    "not UTF-8": (b'{"a":"\xff"}', "JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "JSON"),
    "key twice": (b'{"a":1,"a":2}', "JSON_DUP_KEY"),
    "key twice inside": (b'{"a":{"b":1,"b":2}}', "JSON_DUP_KEY"),
    "NaN": (b'{"a":NaN}', "JSON_NOT_FINITE"),
    "infinity": (b'{"a":-Infinity}', "JSON_NOT_FINITE"),
    "ten thousand digits": (b'{"a":' + b"9" * 10_000 + b"}", "JSON"),
    "200 000 levels": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "JSON"),
    "a list": (b"[]", "CONFIG"),
    "a text": (b'"llama"', "CONFIG"),
}


@pytest.mark.parametrize(("raw", "code"), REFUSED.values(), ids=REFUSED)
def test_malformed_config_is_refused(raw: bytes, code: str) -> None:
    """What is no plain JSON object is a CheckpointError with its code."""
    with pytest.raises(CheckpointError) as refused:
        read_config(raw)
    assert refused.value.code == code


@pytest.mark.parametrize("raw", [raw for raw, _ in REFUSED.values()], ids=REFUSED)
def test_malformed_config_does_not_stop_the_checkpoint(raw: bytes, tmp_path: Path) -> None:
    """With a malformed config the tensors are read by their shapes, and one problem says why."""
    folder = write(tmp_path / "a")
    (folder / "config.json").write_bytes(raw)
    checkpoint = open_checkpoint(folder)
    assert len(checkpoint.problems) == 1
    assert checkpoint.config == {}
    assert (checkpoint.architecture.layers, checkpoint.architecture.width) == (2, 8)
    checkpoint.close()


def plain(value: Any, depth: int = 0) -> bool:
    """Whether a value is small, finite and plain all the way down."""
    match value:
        case None | bool():
            return True
        case int():
            return abs(value) <= LARGEST
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= TEXT_LIMIT
        case list():
            return depth < 5 and len(value) <= LIST_LIMIT and all(plain(v, depth + 1) for v in value)
        case dict():
            return depth < 5 and len(value) <= LIST_LIMIT and all(plain(v, depth + 1) for v in value.values())
    return False


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600)
trees = st.recursive(
    leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text(max_size=5), t, max_size=4)
)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_sanitised_values_are_plain_and_stay(raw: Any) -> None:
    """Whatever comes in, what comes out is bounded and plain, and is not changed by doing it again."""
    once = sanitised(raw)
    assert plain(once)
    assert sanitised(once) == once


def test_long_lists_and_texts_are_cut() -> None:
    """Lists, maps and texts are cut at their limits."""
    made = sanitised({"l": list(range(10_000)), "t": "x" * 10_000, "m": {str(i): i for i in range(10_000)}})
    assert (len(made["l"]), len(made["t"]), len(made["m"])) == (LIST_LIMIT, TEXT_LIMIT, LIST_LIMIT)


@pytest.mark.parametrize("value", [0, -1, 10**9 + 1, 2**62, 1.5, "8", None, True, [8], float("inf")])
def test_senseless_size_is_not_declared(value: Any) -> None:
    """A size that is no whole number from 1 to a thousand million counts as not declared."""
    assert declared({"hidden_size": sanitised(value)}, "width") == 0


@pytest.mark.parametrize("key", ["hidden_size", "n_embd", "d_model"])
def test_size_is_found_under_any_of_its_names(key: str) -> None:
    """Families call one size by several names."""
    assert declared(read_config(json.dumps({key: 64}).encode()), "width") == 64


def test_text_part_of_a_multimodal_config_is_used() -> None:
    """Of a wrapper the text model's settings count, down to rotary parameters per kind of layer."""
    rope = {"full_attention": {"rope_type": "default", "rope_theta": 1e6}}
    inner = {"model_type": "gemma3_text", "hidden_size": 32, "rope_parameters": rope}
    config = read_config(json.dumps({"model_type": "gemma3", "text_config": inner}).encode())
    assert (config["model_type"], config["wrapper_type"], config["hidden_size"]) == (
        "gemma3_text",
        "gemma3",
        32,
    )
    assert config["rope_parameters"] == rope


@pytest.mark.parametrize(
    "hostile",
    [
        {"num_hidden_layers": 10**9, "num_attention_heads": 10**9},
        {"hidden_size": 2**62, "vocab_size": -5},
        {"num_attention_heads": 0, "head_dim": 10**9},
        {"num_key_value_heads": "many", "model_type": 7},
        {"model_type": "gemma2\x1b[31m\u202e" * 100, "auto_map": {"AutoModel": "evil.Evil"}},
        {"model_type": "\ud800"},
    ],
    ids=str,
)
def test_hostile_config_leaves_sizes_to_the_tensors(hostile: dict[str, Any], tmp_path: Path) -> None:
    """Absurd declarations change neither the sizes nor what is recognised, and the record still encodes."""
    from forensics.archive import plain as plain_record
    from forensics.archive import restored
    from forensics.reading import read

    checkpoint = open_checkpoint(write(tmp_path / "a", config={**CONFIG, **hostile}))
    shapes = checkpoint.architecture
    assert (shapes.layers, shapes.width, shapes.vocabulary) == (2, 8, 10)
    subject = read(checkpoint, []).subject
    assert subject.recognised == sum(t.size for t in llama_tensors().values())
    assert restored(type(subject), plain_record(subject)).digest == subject.digest
    checkpoint.close()


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "vocab_size"])
def test_config_that_contradicts_the_tensors_is_told(key: str, tmp_path: Path) -> None:
    """A size that the tensors do not bear out is a problem; the tensors are believed."""
    checkpoint = open_checkpoint(write(tmp_path / "a", config={**CONFIG, key: 3}))
    assert [p.code for p in checkpoint.problems] == ["CONFIG_MISMATCH"]
    assert checkpoint.architecture == open_checkpoint(write(tmp_path / "b")).architecture
    checkpoint.close()


def test_code_of_the_checkpoint_is_never_run(tmp_path: Path) -> None:
    """A config that asks for its own code gets it read as text, and nothing is imported or run."""
    folder = write(tmp_path / "a", config={**CONFIG, "auto_map": {"AutoConfig": "evil.Config"}})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    checkpoint = open_checkpoint(folder)
    assert "evil.py" in {t.name for t in checkpoint.texts}
    assert checkpoint.fill("model.norm.weight", (8,)) is not None
    assert not (tmp_path / "ran").exists()
    checkpoint.close()


def test_texts_are_read_within_budgets(tmp_path: Path) -> None:
    """Text files are cut at a megabyte, bounded in number, and decoded whatever their bytes."""
    folder = write(tmp_path / "a")
    (folder / "README.md").write_bytes(b"\xff" + b"x" * 3_000_000)
    for index in range(250):
        (folder / f"z{index:03}.txt").write_text("small")
    checkpoint = open_checkpoint(folder)
    texts = {t.name: t for t in checkpoint.texts}
    assert len(texts) == 200
    assert texts["README.md"].truncated
    assert len(texts["README.md"].text) == 1_000_000
    assert not texts["z000.txt"].truncated
    checkpoint.close()


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_parse_or_are_refused(raw: bytes) -> None:
    """No bytes make the JSON reader raise anything but a CheckpointError."""
    try:
        parsed = parse_json(raw, "x.json")
    except CheckpointError:
        return
    assert json.loads(raw) == parsed
