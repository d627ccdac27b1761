"""Readers of small files, on anything at all: what they accept is bounded and stays inside, the rest is refused."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.checkpoint.config import LARGEST, declared, read_config
from forensics.checkpoint.folder import list_place
from forensics.checkpoint.place import LocalPlace
from forensics.checkpoint.tokenizer import tokenizer_facts
from forensics.errors import CheckpointError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
PARTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a",
        "sub",
        "a.safetensors",
        "link",
        "etc",
        "~",
        "C:",
        "\\",
        "\0",
        "x://",
        " ",
        "\u202e",
        "\ud800",
    ]
)
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join) | st.text(max_size=20)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a shard, a subfolder, and links out of it."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made).resolve() / "root"
        (root / "sub").mkdir(parents=True)
        for name in ("a.safetensors", "sub/a.safetensors", "../a.safetensors", "../a"):
            (root / name).write_bytes(b"x")
        (root / "link").symlink_to("..")
        (root / "etc").symlink_to("/etc")
        yield root


@given(mapping=st.dictionaries(st.text(max_size=8), NAMES | VALUES, max_size=6))
@settings(max_examples=150, deadline=None)
def test_index_names_files_inside_the_folder_only(folder: Path, mapping: dict[str, Any]) -> None:
    """Whatever an index says, each shard that is accepted lies in the folder, links followed; the rest is refused."""
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))
    try:
        listing = list_place(LocalPlace(folder))
    except CheckpointError:
        return
    for shard in listing.weights:
        assert not PurePosixPath(shard).is_absolute()
        assert (folder / shard).resolve().is_relative_to(folder)
    accepted = set(listing.weights)
    assert {n for n in mapping.values() if n not in accepted} == set() or listing.absent


@given(raw=st.binary(max_size=80) | VALUES.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=150, deadline=None)
def test_any_index_is_read_or_refused(folder: Path, raw: bytes) -> None:
    """Bytes or JSON of any kind in the place of an index give a listing or a CheckpointError."""
    (folder / "model.safetensors.index.json").write_bytes(raw)
    with contextlib.suppress(CheckpointError):
        list_place(LocalPlace(folder))


KEYS = st.sampled_from(
    [
        "hidden_size",
        "num_hidden_layers",
        "vocab_size",
        "text_config",
        "model_type",
        "n_layer",
        "dim",
        "head_dim",
    ]
)


@given(
    raw=st.dictionaries(KEYS, VALUES, max_size=8).map(lambda v: json.dumps(v).encode())
    | st.binary(max_size=60)
)
@settings(max_examples=200, deadline=None)
def test_any_config_is_plain_and_bounded(raw: bytes) -> None:
    """A config is refused or gives sizes between 0 and a bound, whatever stands in it."""
    try:
        config = read_config(raw)
    except CheckpointError:
        return
    assert all(0 <= declared(config, what) <= LARGEST for what in ("layers", "width", "heads", "vocabulary"))
    assert len(json.dumps(config, allow_nan=False)) < 1_000_000


TOKENIZERS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.fixed_dictionaries({}, optional={"type": VALUES, "vocab": VALUES, "merges": VALUES}) | VALUES,
        "added_tokens": st.lists(st.dictionaries(st.sampled_from(["id", "content", "special"]), VALUES), max_size=3)
        | VALUES,
        "normalizer": VALUES, "pre_tokenizer": VALUES, "decoder": VALUES,
    },
)  # fmt: skip
ANYTHING = TOKENIZERS.map(lambda v: json.dumps(v).encode()) | st.binary(max_size=60)


@given(raw=ANYTHING, settings_=st.none() | ANYTHING, template=st.none() | st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_tokenizer_gives_facts_or_is_refused(
    raw: bytes, settings_: bytes | None, template: bytes | None
) -> None:
    """A tokenizer is refused, or its tokens are bytes with ids below 2^31; nothing else is ever raised."""
    try:
        facts = tokenizer_facts(raw, settings_, template)
    except CheckpointError:
        return
    assert all(isinstance(t, bytes) and 0 <= i < 2**31 for t, i in facts.tokens.items())
    assert all(0 <= i < 2**31 for i in facts.special.values())
    assert len(facts.normalizer) <= 10_000
