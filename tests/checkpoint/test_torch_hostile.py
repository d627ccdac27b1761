"""PyTorch files that mean harm: each is refused by its code, soon, in little memory, and nothing of it ever runs."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from forensics.checkpoint.formats import open_weights
from forensics.checkpoint.source import LocalBytes
from forensics.checkpoint.stored import WeightFile
from forensics.checkpoint.torch_file import open_torch
from forensics.errors import CheckpointError
from tests.checkpoint.hostile_archives import (
    ARCHIVES,
    FOREIGN,
    GOOD,
    LEGACY,
    LEGACY_HEAD,
    archived,
    legacy,
    zipped,
)
from tests.checkpoint.hostile_pickles import BOMBS, RUNNERS, TENSORS

SECONDS = 6.0
"""Of processor time: others may use the machine meanwhile."""
MEMORY = 200 << 20


@pytest.fixture(autouse=True)
def spied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test in this file may unpickle anything, whatever happens before or after."""
    called: list[str] = []

    def spy(name: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            called.append(name)
            raise AssertionError(f"{name} was called")

        return refuse

    for module, name in (
        (torch, "load"), (torch.serialization, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"),
        (pickle, "_Unpickler"), (torch._weights_only_unpickler, "load"), (torch._weights_only_unpickler, "Unpickler"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, spy(f"{module.__name__}.{name}"))
    yield
    assert not called


@dataclass(frozen=True, slots=True)
class Held:
    """A file in memory."""

    raw: bytes
    name: str = "pytorch_model.bin"

    @property
    def size(self) -> int:
        """See ByteSource."""
        return len(self.raw)

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        if length < 0 or not 0 <= offset <= len(self.raw) - length:
            raise AssertionError(f"read of {length} bytes at {offset} of {len(self.raw)}")
        return self.raw[offset : offset + length]

    def close(self) -> None:
        """See ByteSource."""


def opened(content: bytes) -> WeightFile:
    """The file of this content; no byte beyond its end may be asked for."""
    return open_torch(Held(content))


def refused(content: bytes) -> CheckpointError:
    """The error, after holding time, memory and its wording against their limits."""
    start = time.process_time()
    with pytest.raises(CheckpointError) as error:
        opened(content)
    assert time.process_time() - start < SECONDS
    assert len(error.value.message) < 500
    assert error.value.message.isprintable()
    return error.value


def wrapped(raw: bytes) -> tuple[bytes, ...]:
    """A pickle in a zip archive, in the older format, and in place of its magic number."""
    return archived(raw), LEGACY_HEAD + raw, raw if raw.startswith(b"\x80") else LEGACY_HEAD + raw


@pytest.mark.parametrize("case", RUNNERS)
def test_pickle_that_would_run_a_command_is_refused(case: str, tmp_path: Path) -> None:
    """Whatever a pickle would run, it is refused by name in every container, and the canary never appears."""
    canary = tmp_path / "canary"
    made, code = RUNNERS[case]
    for content in wrapped(made(str(canary))):
        assert refused(content).code == code
    assert not canary.exists()


@pytest.mark.parametrize(
    "case", ["os.system", "eval", "exec", "subprocess", "named on the stack", "protocol 0", "INST"]
)
def test_generated_pickles_would_run(case: str, tmp_path: Path) -> None:
    """The hostile pickles are no duds: Python's own unpickler, in a process of its own, does what they say."""
    canary = tmp_path / "canary"
    (tmp_path / "evil.pkl").write_bytes(RUNNERS[case][0](str(canary)))
    program = f"import pickle; pickle.load(open({str(tmp_path / 'evil.pkl')!r}, 'rb'))"
    subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert canary.exists()


def test_refusal_names_the_global() -> None:
    """The message names what the pickle wanted, cut and without control characters, and promises nothing ran."""
    error = refused(archived(RUNNERS["os.system"][0]("x")))
    assert "os.system" in error.message
    assert "nothing of it was run" in error.message
    assert "\\x1b[31m" in refused(archived(RUNNERS["name of escapes"][0]("x"))).message


@pytest.mark.parametrize("case", BOMBS)
def test_pickle_that_would_cost_is_refused(case: str) -> None:
    """Malformed and explosive pickles meet a budget or the end of the file, in every container."""
    made, code = BOMBS[case]
    raw = made()
    assert refused(archived(raw)).code == code
    if len(raw) < 200_000:  # the larger ones would only take as long again
        bare = refused(LEGACY_HEAD + raw).code
        assert bare in (
            code,
            "PICKLE_TRUNCATED",
        )  # where nothing is wrong before its list of storages is missed


SLOW = ("four million instructions", "two million memo entries", "a million dictionaries")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name, (_, code) in BOMBS.items()
        if code == "PICKLE_BUDGET"
    ],
)
def test_bombs_cost_little_memory(case: str) -> None:
    """What meets a budget meets it before it has cost much."""
    content = archived(BOMBS[case][0]())
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            opened(content)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", TENSORS)
def test_tensor_that_is_not_there_is_refused(case: str) -> None:
    """A tensor that no range of its storage's bytes can be is left out with the reason, or refuses the file."""
    made, code = TENSORS[case]
    content = archived(made())
    if code.isupper():
        assert refused(content).code == code
        return
    file = opened(content)
    assert [reason for _, reason in file.refused] == [code]
    assert not file.entries
    assert all(entry.end <= file.size for entry, _ in file.refused)


@pytest.mark.parametrize("case", ARCHIVES)
def test_ambiguous_archive_is_refused(case: str) -> None:
    """An archive that two readers could read differently, or that would have to be inflated, is refused."""
    made, code = ARCHIVES[case]
    content = made()
    tracemalloc.start()
    try:
        assert refused(content).code == code
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", FOREIGN)
def test_another_format_is_named(case: str) -> None:
    """A file of another format under a PyTorch name is told by its first bytes."""
    made, code = FOREIGN[case]
    assert refused(made()).code == code


@pytest.mark.parametrize("case", LEGACY)
def test_spoilt_older_file_is_refused(case: str) -> None:
    """Files of the older format are held to every one of their five pickles."""
    made, code = LEGACY[case]
    assert refused(made()).code == code


def test_every_truncation_is_an_error_or_a_shorter_file() -> None:
    """Cut anywhere, a file of either format is refused, or its tensors are missing; never more, never a crash."""
    for content, least in ((archived(GOOD), 0), (legacy(GOOD), len(legacy(GOOD)) - 24)):
        for length in range(len(content)):
            try:
                file = opened(content[:length])
            except CheckpointError:
                continue
            assert least <= length
            assert not file.entries
            assert [entry.name for entry in file.missing] == ["w"]


def test_every_flipped_byte_is_an_error_or_the_same_tensors() -> None:
    """One byte changed anywhere in an archive: refused, or of no consequence for where the tensor lies."""
    content = archived(GOOD)
    sound = opened(content).entries
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x41
        try:
            file = opened(bytes(changed))
        except CheckpointError:
            continue
        assert file.entries == sound


def test_failure_is_not_tried_again_in_another_way(tmp_path: Path) -> None:
    """Opened as a checkpoint's file would be, by content, a hostile pickle is refused too; the spies saw nothing."""
    canary = tmp_path / "canary"
    path = tmp_path / "pytorch_model.bin"
    for content in wrapped(RUNNERS["exec"][0](str(canary))):
        path.write_bytes(content)
        with pytest.raises(CheckpointError) as error:
            open_weights(LocalBytes.open(path, path.name))
        assert error.value.code == "PICKLE_GLOBAL"
    assert not canary.exists()


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of more members than any model has storages is refused by their number."""
    monkeypatch.setattr("forensics.checkpoint.torch_zip.MEMBER_LIMIT", 3)
    assert refused(archived(GOOD)).code == "TORCH_ZIP_COUNT"


def test_too_many_tensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More tensors than any model has are refused by their number, though they share their bytes."""
    monkeypatch.setattr("forensics.checkpoint.torch_state.TENSOR_LIMIT", 0)
    assert refused(archived(GOOD)).code == "PICKLE_BUDGET"


def test_pickles_larger_than_any_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle of more bytes than the budget is refused by its size, in an archive and on its own."""
    monkeypatch.setattr("forensics.checkpoint.torch_file.TAPE_LIMIT", 20)
    assert refused(archived(GOOD)).code == "PICKLE_BUDGET"
    monkeypatch.setattr("forensics.checkpoint.pickle_tape.TAPE_LIMIT", 20)
    assert refused(zipped([])).code == "FOREIGN_ZIP"
    assert refused(legacy(GOOD)).code == "PICKLE_BUDGET"
