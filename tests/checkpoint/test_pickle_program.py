"""The interpreter of pickles: what plain values give, and that no bytes whatever give more than an error."""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.checkpoint.pickle_opcodes import FOLLOWED, FORBIDDEN, STOP
from forensics.checkpoint.pickle_program import Program
from forensics.checkpoint.pickle_stack import OPAQUE, TEXT_LIMIT, Opaque
from forensics.checkpoint.pickle_tape import Tape
from forensics.checkpoint.torch_file import open_torch
from forensics.checkpoint.torch_meaning import TorchMeaning
from forensics.checkpoint.torch_names import ALLOWED
from forensics.errors import CheckpointError
from tests.checkpoint.hostile_archives import GOOD, archived, legacy
from tests.checkpoint.test_torch_hostile import Held

OPCODES = st.sampled_from([bytes([code]) for code in FOLLOWED])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=300)
    | st.floats()
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner)
        | st.tuples(inner, inner, inner, inner)
        | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=30,
)


def run(raw: bytes) -> Any:
    """What the pickle builds."""
    return Program(Tape(Held(raw), 0, len(raw)), TorchMeaning()).run()


def seen(value: object) -> object:
    """A value as the interpreter keeps it: floats and bytes are of no interest."""
    match value:
        case float() | bytes():
            return OPAQUE
        case str() if len(value.encode(errors="surrogatepass")) > TEXT_LIMIT:
            return OPAQUE
        case list():
            return [seen(item) for item in value]
        case tuple():
            return tuple(seen(item) for item in value)
        case dict():
            return {key: seen(item) for key, item in value.items()}
        case _:
            return value


@settings(deadline=None)
@given(VALUES, st.integers(3, 5), st.booleans())
def test_plain_values_come_back(value: object, protocol: int, optimised: bool) -> None:
    """Numbers, text, tuples, lists and dictionaries are what Python pickled, in every protocol."""
    raw = pickle.dumps(value, protocol)
    assert run(pickletools.optimize(raw) if optimised else raw) == seen(value)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from([bytes([code]) for code in FOLLOWED]) | st.binary(max_size=6), max_size=60).map(
        b"".join
    )
)
def test_no_bytes_give_more_than_an_error(raw: bytes) -> None:
    """Any sequence of opcodes and bytes gives a value or a CheckpointError with a code; never another exception."""
    try:
        run(raw)
    except CheckpointError as error:
        assert error.code.startswith(("PICKLE_", "TORCH_"))  # noqa: PT017 - either may happen


@settings(deadline=None, max_examples=300)
@given(st.data(), st.booleans())
def test_spoilt_files_give_no_more_than_an_error(data: st.DataObject, new: bool) -> None:
    """A sound file with pieces overwritten, taken out or put in: opened within its bytes, or a CheckpointError."""
    content = bytearray(archived(GOOD) if new else legacy(GOOD))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        taken = data.draw(st.integers(0, 3))
        content[place : place + taken] = data.draw(st.binary(max_size=4))
    try:
        file = open_torch(Held(bytes(content)))
    except CheckpointError:
        return
    for entry in (*file.entries, *(entry for entry, _ in file.refused)):
        assert 0 <= entry.begin <= entry.end <= len(content)


def test_every_opcode_is_followed_or_forbidden_by_name() -> None:
    """Python knows no opcode that the table lacks, and those that make objects are not followed."""
    table = {ord(op.code): op.name for op in pickletools.opcodes}
    assert FOLLOWED.keys() | FORBIDDEN.keys() | {STOP} == table.keys()
    assert not FOLLOWED.keys() & FORBIDDEN.keys()
    assert {name for code, name in table.items() if code in FORBIDDEN} == set(FORBIDDEN.values())
    assert all(table[code] == name for code, name in FORBIDDEN.items())
    assert {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"} <= set(FORBIDDEN.values())


def test_no_name_on_the_list_runs_anything_of_a_files_choice() -> None:
    """The list holds names of tensors, storages, dtypes and plain containers; nothing that loads, opens or runs."""
    modules = {module for module, _ in ALLOWED}
    assert modules == {
        "torch", "torch.cuda", "torch.storage", "torch._utils", "torch._tensor", "torch.nn.parameter", "_codecs",
        "torch.serialization", "collections", "builtins", "__builtin__",
    }  # fmt: skip
    risky = (
        "load",
        "eval",
        "exec",
        "open",
        "import",
        "attr",
        "call",
        "compile",
        "bytearray",
        "system",
        "map",
    )
    assert not [name for _, name in ALLOWED if any(word in name.lower() for word in risky)]


def test_long_text_and_bytes_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be a name is skipped without being read or kept."""
    monkeypatch.setattr("forensics.checkpoint.pickle_tape.TAPE_LIMIT", 100_000)
    kept = run(pickle.dumps({"log": "x" * 10_000_000, "blob": b"x" * 10_000_000, "name": "short"}, 3))
    assert (kept["log"], kept["blob"], kept["name"]) == (OPAQUE, OPAQUE, "short")
    assert isinstance(kept["log"], Opaque)


def test_too_much_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that together are longer than any model's are refused."""
    monkeypatch.setattr("forensics.checkpoint.pickle_stack.TEXTS_LIMIT", 1_000)
    assert run(pickle.dumps("x" * 1_000, 3)) == "x" * 1_000
    with pytest.raises(CheckpointError) as refused:
        run(pickle.dumps(["x" * 600, "y" * 600], 3))
    assert refused.value.code == "PICKLE_BUDGET"
