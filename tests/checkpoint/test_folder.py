"""Folders and files as they come: sound, cut short, misleading or hostile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.checkpoint.folder import PICKLES
from forensics.checkpoint.place import FILES_LIMIT, budgeted
from forensics.errors import CheckpointError
from forensics.reading import ReadingDone, read
from forensics.subjects import WEIGHTS
from tests.tiny import CONFIG, Tensors, llama_tensors, write, write_index

SHARD = "model-00001-of-00002.safetensors"


def refusal(location: Path) -> CheckpointError:
    """The error with which a place is refused."""
    with pytest.raises(CheckpointError) as refused:
        open_checkpoint(location)
    assert "\n" not in refused.value.message
    return refused.value


def read_whole(location: Path) -> tuple[Checkpoint, ReadingDone]:
    """The checkpoint, read once without probes."""
    checkpoint = open_checkpoint(location)
    try:
        return checkpoint, read(checkpoint, [])
    finally:
        checkpoint.close()


def codes(checkpoint: Checkpoint) -> set[str]:
    """Codes of the problems met."""
    return {p.code for p in checkpoint.problems}


@pytest.mark.parametrize("shards", [1, 3])
def test_sound_folder_is_read_whole(shards: int, tmp_path: Path) -> None:
    """A sound checkpoint, whole or sharded, has no problem, nothing unexamined and full coverage."""
    checkpoint, done = read_whole(write(tmp_path / "a", shards=shards))
    assert done.problems == ()
    assert done.subject.unexamined == ()
    assert done.subject.recognised == done.subject.parameters == sum(t.size for t in llama_tensors().values())
    assert len(checkpoint.files) == shards
    assert done.subject.architecture is not None
    assert done.subject.architecture.layers == 2


def test_single_file_is_a_checkpoint(tmp_path: Path) -> None:
    """A safetensors file alone is read by its shapes; nothing is known of its heads."""
    write(tmp_path / "a")
    checkpoint, done = read_whole(tmp_path / "a" / "model.safetensors")
    assert done.subject.recognised == done.subject.parameters
    assert (checkpoint.architecture.layers, checkpoint.architecture.heads) == (2, 0)
    assert checkpoint.tokenizer is None
    assert checkpoint.texts == ()


ABSENT: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, "EMPTY"),
    "only a config": (lambda p: (p / "config.json").write_text("{}"), "NO_WEIGHTS"),
    "only a pickle": (lambda p: (p / "pytorch_model.bin").write_bytes(b"\x80\x04."), "PICKLE_STACK"),
    "only a GGUF": (lambda p: (p / "model.Q4_K_M.gguf").write_bytes(b"GGUF\3\0\0\0"), "GGUF_TRUNCATED"),
    "an index that is no JSON": (lambda p: (p / "model.safetensors.index.json").write_text("{"), "JSON"),
    "an index without a map": (lambda p: (p / "model.safetensors.index.json").write_text("{}"), "INDEX"),
    "an index of nothing": (lambda p: write_index(p, {}), "NO_WEIGHTS"),
    "an index of numbers": (lambda p: write_index(p, {"a": 3}), "INDEX"),
    "an index with NaN": (lambda p: write_index(p, {"a": "b"}, total=float("nan")), "JSON_NOT_FINITE"),
    "an index with a key twice": (
        lambda p: (p / "model.safetensors.index.json").write_text('{"weight_map":{"a":"b","a":"c"}}'),
        "JSON_DUP_KEY",
    ),
    "an index of ten thousand shards": (lambda p: write_index(p, {f"t{i}": f"s{i}" for i in range(10_000)}), "INDEX"),
    "an index of missing shards": (lambda p: write_index(p, {"a": "x.safetensors"}), "NO_WEIGHTS"),
    "weights that are a folder": (lambda p: (p / "model.safetensors").mkdir(), "EMPTY"),
    "weights that are a pipe": (lambda p: os.mkfifo(p / "model.safetensors"), "NOT_A_FILE"),
    "weights of no tensor": (
        lambda p: (p / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}"),
        "NO_WEIGHTS",
    ),
    "a link in a circle": (lambda p: (p / "model.safetensors").symlink_to("model.safetensors"), "PATH_ESCAPE"),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "code"), ABSENT.values(), ids=ABSENT)
def test_folder_without_readable_weights_is_refused(
    prepare: Callable[[Path], object], code: str, tmp_path: Path
) -> None:
    """A folder without anything readable is refused at once, with the reason's code and a hint."""
    prepare(tmp_path)
    began = time.monotonic()
    error = refusal(tmp_path)
    assert error.code == code
    assert time.monotonic() - began < 2


FOREIGN = {
    "GGUF": (b"GGUF\3\0\0\0" + bytes(64), "NO_WEIGHTS"),
    "zip": (b"PK\x03\x04" + b"\x14" * 64, "TORCH_ZIP_TRUNCATED"),
    "pickle": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." * 4, "TORCH_LEGACY_VERSION"),
    "text": (b"hello, this is no checkpoint", "ST_HEADER_TOO_LARGE"),
    "empty": (b"", "ST_TRUNCATED"),
}


@pytest.mark.parametrize(("content", "code"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_file_is_refused_by_what_it_is(content: bytes, code: str, tmp_path: Path) -> None:
    """A file that is spoilt is refused as what its bytes say it is, whatever its ending."""
    (tmp_path / "weights.safetensors").write_bytes(content)
    assert refusal(tmp_path / "weights.safetensors").code == code


def test_header_length_is_no_pickle(tmp_path: Path) -> None:
    """A sound file whose header length happens to begin like a pickle is read."""
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(0x0280)
    (tmp_path / "m.safetensors").write_bytes((0x0280).to_bytes(8, "little") + header + b"\0")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert len(checkpoint.files[0].entries) == 1
    checkpoint.close()


@pytest.mark.parametrize("name", ["missing", "x" * 5000, "a\0b"])
def test_place_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    """A path that does not exist, or cannot, is MISSING and no traceback."""
    assert refusal(tmp_path / name).code == "MISSING"


OUTSIDE = [
    "../b/model.safetensors", "/etc/hostname", "sub/../../b/model.safetensors", "file:///etc/hostname",
    "http://127.0.0.1/x.safetensors", "..\\b\\model.safetensors", "a\0b", "", "\ud800", "/proc/self/mem",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE, ids=repr)
def test_index_cannot_lead_outside(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard name that leads out of the folder is reported and the file never opened; the rest is read."""
    write(tmp_path / "b")
    folder = write(tmp_path / "a", shards=2)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    write_index(folder, {**index["weight_map"], "model.layers.9.mlp.up_proj.weight": name})
    opened: list[str] = []
    real = os.open

    def noted(path: Any, *rest: Any, **more: Any) -> int:
        opened.append(str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", noted)
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"PATH_ESCAPE"}
    assert all(path.startswith(str(folder)) for path in opened)
    assert done.subject.recognised == sum(t.size for t in llama_tensors().values())
    assert done.subject.parameters > done.subject.recognised


def test_index_may_name_a_shard_in_a_subfolder(tmp_path: Path) -> None:
    """A relative shard name within the folder is followed."""
    write(tmp_path / "a" / "sub")
    (tmp_path / "a" / "config.json").write_text(json.dumps(CONFIG))
    write_index(tmp_path / "a", dict.fromkeys(llama_tensors(), "sub/model.safetensors"))
    checkpoint, done = read_whole(tmp_path / "a")
    assert checkpoint.problems == []
    assert done.subject.recognised == done.subject.parameters


def test_missing_shard_lowers_coverage(tmp_path: Path) -> None:
    """A shard that the index names and nobody sent is a problem, and coverage falls below one."""
    folder = write(tmp_path / "a", shards=2)
    (folder / SHARD).unlink()
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"SHARD_ABSENT"}
    assert 0 < done.subject.recognised < done.subject.parameters
    assert SHARD in {u.name for u in done.subject.unexamined}


@pytest.mark.parametrize("lost", [1, 100])
def test_truncated_shard_keeps_its_whole_tensors(lost: int, tmp_path: Path) -> None:
    """Of a shard cut short the whole tensors are used, the others listed, and coverage falls below one."""
    folder = write(tmp_path / "a", shards=2)
    shard = folder / "model-00002-of-00002.safetensors"
    os.truncate(shard, shard.stat().st_size - lost)
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"ST_TRUNCATED"}
    total = sum(t.size for t in llama_tensors().values())
    assert done.subject.parameters == total
    assert 0 < done.subject.recognised < total
    assert {u.reason for u in done.subject.unexamined} == {"beyond the end of its file"}


def test_malformed_shard_is_left_out(tmp_path: Path) -> None:
    """A shard with overlapping ranges is reported, and the other one is read."""
    folder = write(tmp_path / "a", shards=2)
    content = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(content.replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1))
    checkpoint, done = read_whole(folder)
    assert len(codes(checkpoint) & {"ST_SHAPE", "ST_OVERLAP", "ST_HOLE"}) == 1
    assert 0 < done.subject.recognised < done.subject.parameters


def test_trailing_bytes_are_a_problem(tmp_path: Path) -> None:
    """Bytes hidden behind the last tensor are reported and hashed."""
    folder = write(tmp_path / "a")
    with open(folder / "model.safetensors", "ab") as file:
        file.write(b"PK\x03\x04 and a whole archive")
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"ST_TRAILING"}
    whole = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert {f.name: f.sha256 for f in done.subject.files}["model.safetensors"] == whole


def test_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Weights, config or texts that are links out of the folder are not opened, and the manifest says so."""
    write(tmp_path / "b")
    folder = write(tmp_path / "a")
    secret = tmp_path / "secret.md"
    secret.write_text("secret")
    (folder / "README.md").symlink_to(secret)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(tmp_path / "b" / "config.json")
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"PATH_ESCAPE"}
    assert checkpoint.config == {}
    assert checkpoint.texts == ()
    seen = {f.name: f for f in done.subject.files}
    assert (seen["README.md"].sha256, seen["README.md"].note.startswith("not opened")) == ("", True)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(tmp_path / "b" / "model.safetensors")
    assert refusal(folder).code == "PATH_ESCAPE"


def test_hub_cache_links_are_followed(tmp_path: Path) -> None:
    """A hub cache's snapshot, whose files are links into its own blobs, is read; links elsewhere are not."""
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "0123"
    write(tmp_path / "plain")
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tmp_path / "plain" / name, blobs / f"blob-{name}")
        (snapshot / name).symlink_to(f"../../blobs/blob-{name}")
    (snapshot / "LICENSE").symlink_to("/etc/hostname")
    checkpoint, done = read_whole(snapshot)
    assert checkpoint.problems == []
    assert done.subject.recognised == done.subject.parameters
    assert checkpoint.texts[0].name == "config.json"
    assert len(checkpoint.texts) == 1


def test_hard_link_is_a_file(tmp_path: Path) -> None:
    """A hard link is read like any file."""
    write(tmp_path / "b")
    (tmp_path / "a").mkdir()
    os.link(tmp_path / "b" / "model.safetensors", tmp_path / "a" / "model.safetensors")
    checkpoint, _ = read_whole(tmp_path / "a")
    assert codes(checkpoint) == {"NO_CONFIG"}


def test_index_that_promises_more_than_there_is_is_told(tmp_path: Path) -> None:
    """Tensors that the index puts into a shard which does not hold them are counted, and coverage falls."""
    folder = write(tmp_path / "a", shards=2)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    write_index(folder, {**index["weight_map"], "model.layers.2.mlp.up_proj.weight": SHARD})
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"INDEX_TENSOR_ABSENT"}
    assert done.subject.recognised < done.subject.parameters


def test_unindexed_weights_are_told(tmp_path: Path) -> None:
    """Weights beside the ones examined are hashed and said not to be examined."""
    folder = write(tmp_path / "a")
    (folder / "other.safetensors").write_bytes(b"whatever")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    _, done = read_whole(folder)
    notes = {f.name: f.note for f in done.subject.files}
    assert "not examined" in notes["other.safetensors"]
    assert "not examined" in notes["pytorch_model.bin"]
    assert notes["model.safetensors"] == notes["config.json"] == ""


def test_shards_without_an_index_are_all_read(tmp_path: Path) -> None:
    """Without index and without model.safetensors, every safetensors file of the folder counts."""
    folder = write(tmp_path / "a", shards=3)
    (folder / "model.safetensors.index.json").unlink()
    _, done = read_whole(folder)
    assert done.subject.recognised == sum(t.size for t in llama_tensors().values())


def test_odd_file_names_reach_the_record(tmp_path: Path) -> None:
    """File names that are no Unicode, or try to steer a terminal, end as escaped text in a record that encodes."""
    from forensics.archive import encode

    folder = write(tmp_path / "a")
    for name in (b"\xff\xfe.md", b"esc\x1b[31m.md", "\u202etxt.md".encode(), b"new\nline.safetensors"):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"text")
    os.link(folder / "model.safetensors", os.path.join(os.fsencode(folder), b"\xfe.safetensors"))
    checkpoint, done = read_whole(folder)
    assert len(done.subject.files) == 7
    assert len(checkpoint.texts) == 4
    assert encode(done.subject)


def test_many_files_and_deep_folders_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than the limit, and deep folders, are listed up to it, with a problem that says so."""
    monkeypatch.setattr("forensics.checkpoint.place.FILES_LIMIT", 50)
    folder = write(tmp_path / "a")
    for index in range(100):
        (folder / f"n{index}.bin").touch()
    deep = folder
    for _ in range(60):
        deep /= "d"
        deep.mkdir()
    (deep / "hidden.md").write_text("deep")
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"TOO_MANY_FILES"}
    assert done.subject.recognised == done.subject.parameters
    assert all("hidden" not in f.name for f in done.subject.files)


def pickled(folder: Path, tensors: Tensors) -> None:
    """The same names as a PyTorch file beside the safetensors."""
    torch.save({name: torch.from_numpy(t) for name, t in tensors.items()}, folder / "pytorch_model.bin")


def test_two_sets_of_weights_that_differ_are_told(tmp_path: Path) -> None:
    """Weights for another loader that are others are told by a difference in sampled bytes; the first set is read."""
    folder = write(tmp_path / "a")
    changed = llama_tensors()
    changed["model.layers.1.mlp.down_proj.weight"][-1, -1] += 1
    pickled(folder, changed)
    checkpoint = open_checkpoint(folder)
    (told,) = [p.message for p in checkpoint.problems if p.code == "PARSER_DIVERGENCE"]
    assert "1 of 21 tensors differ, e.g. 'model.layers.1.mlp.down_proj.weight'" in told
    spec = checkpoint.find("down_proj", 1)
    assert spec is not None
    assert checkpoint.matrix(spec)[-1, -1] == llama_tensors()["model.layers.1.mlp.down_proj.weight"][-1, -1]


def test_two_sets_of_equal_weights_are_no_divergence(tmp_path: Path) -> None:
    """The same weights twice are told as such, and as compared by samples only."""
    folder = write(tmp_path / "a")
    pickled(folder, llama_tensors())
    checkpoint = open_checkpoint(folder)
    assert codes(checkpoint) == {"WEIGHTS_TWICE"}
    assert "sampled bytes" in checkpoint.problems[0].message


def test_second_set_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A second set that is spoilt does not keep the first from being read, and is not called equal."""
    folder = write(tmp_path / "a")
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + bytes(100))
    checkpoint, done = read_whole(folder)
    assert codes(checkpoint) == {"TORCH_ZIP_TRUNCATED", "WEIGHTS_AMBIGUOUS"}
    assert done.subject.recognised == done.subject.parameters


@pytest.mark.parametrize("legacy", [False, True])
def test_folder_of_pickles_is_read_as_its_safetensors(legacy: bool, tmp_path: Path) -> None:
    """Pickled weights, zipped or legacy, sharded by their index, give the rows that safetensors give."""
    folder = write(tmp_path / "a")
    expected = open_checkpoint(write(tmp_path / "b"))
    (folder / "model.safetensors").unlink()
    names = sorted(llama_tensors())
    weight_map = {}
    for index in range(2):
        shard = f"pytorch_model-{index + 1:05}-of-00002.bin"
        mine = {n: torch.from_numpy(llama_tensors()[n]) for n in names[index::2]}
        torch.save(mine, folder / shard, _use_new_zipfile_serialization=not legacy)
        weight_map |= dict.fromkeys(mine, shard)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    checkpoint = open_checkpoint(folder)
    assert {f.format for f in checkpoint.files} == {"torch"}
    for spec in expected.specs:
        mine = checkpoint.find(spec.role, spec.layer)
        assert mine is not None
        assert (checkpoint.matrix(mine) == expected.matrix(spec)).all()


def test_file_under_a_misleading_name_is_read_as_what_it_is(tmp_path: Path) -> None:
    """What the bytes say wins over the name, and an oddity says so, since loaders go by the name."""
    write(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").rename(tmp_path / "weights.bin")
    checkpoint = open_checkpoint(tmp_path / "weights.bin")
    assert (codes(checkpoint), checkpoint.files[0].format) == ({"MISNAMED"}, "safetensors")


@pytest.mark.parametrize("ending", [".txt", "config.json", ".tiktoken"])
def test_junk_cannot_hide_a_second_set_of_weights(ending: str) -> None:
    """However many files of another kind there are, weights of every format stay on the list."""
    weights = ["model.safetensors", *(f"zz/model{e}" for e in WEIGHTS), "config.json", "pytorch_model.bin"]
    junk = [f"0{number:05}{ending}" for number in range(FILES_LIMIT + 5)]
    assert set(weights) <= set(budgeted([*junk, *weights]))
    assert set(PICKLES) <= set(WEIGHTS)
