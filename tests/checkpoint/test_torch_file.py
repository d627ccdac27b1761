"""PyTorch files read without PyTorch: every tensor's bytes are those that PyTorch itself would load."""

from __future__ import annotations

import collections
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.checkpoint.convert import ITEM_BYTES
from forensics.checkpoint.divergence import _alike
from forensics.checkpoint.opening import open_checkpoint
from forensics.checkpoint.safetensors_file import open_safetensors_file
from forensics.checkpoint.source import LocalBytes
from forensics.checkpoint.stored import WeightFile
from forensics.checkpoint.streaming import Streamed
from forensics.checkpoint.torch_file import open_torch
from forensics.checkpoint.torch_names import ITEM_BYTES as TORCH_ITEM_BYTES
from forensics.errors import CheckpointError
from tests.tiny import CONFIG, llama_tensors, write

KINDS = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.uint16: "U16", torch.uint32: "U32",
    torch.uint64: "U64", torch.complex64: "C64", torch.float8_e8m0fnu: "F8_E8M0", torch.complex128: "C128",
}  # fmt: skip
CLASSIC = {d for d in NAMES if "float8" not in str(d) and "uint" not in str(d)} | {torch.uint8}
"""Dtypes with a storage class of their own; of the others, PyTorch writes older files and cannot read them."""


def saved(tmp_path: Path, value: object, *, new: bool = True, **options: Any) -> Path:
    """A file that torch.save wrote."""
    path = tmp_path / "pytorch_model.bin"
    torch.save(value, path, _use_new_zipfile_serialization=new, **options)
    return path


def opened(path: Path) -> WeightFile:
    """The file, opened."""
    return open_torch(LocalBytes.open(path, path.name))


def raw_bytes(tensor: torch.Tensor) -> bytes:
    """A tensor's elements in order, as they are stored."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def assert_same(file: WeightFile, expected: Mapping[str, torch.Tensor]) -> None:
    """Names, dtypes, shapes and bytes are those of `expected`, whole and in the file's order."""
    assert {entry.name for entry in file.entries} == set(expected)
    begins = [(entry.begin, -entry.end) for entry in file.entries]
    assert begins == sorted(begins)
    for entry in file.entries:
        tensor = expected[entry.name]
        assert entry.dtype == NAMES[tensor.dtype]
        assert entry.shape == tuple(tensor.shape)
        assert entry.end - entry.begin == tensor.numel() * tensor.element_size()
        stored = tensor.T if entry.turned else tensor
        assert file.read(entry.begin, entry.end - entry.begin) == raw_bytes(stored)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Random bits as numbers of any dtype."""
    count = math.prod(shape) * dtype.itemsize
    if dtype is torch.bool:
        return torch.randint(0, 2, shape, dtype=torch.uint8).bool()
    return torch.randint(0, 256, (count,), dtype=torch.uint8).view(dtype).reshape(shape)


@KINDS
@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_every_dtype(dtype: torch.dtype, new: bool, tmp_path: Path) -> None:
    """Each dtype has the name that safetensors gives it, and its bytes."""
    tensors = {
        "weight": drawn(3, 4, dtype=dtype),
        "scalar": drawn(dtype=dtype),
        "none": drawn(0, 4, dtype=dtype),
    }
    file = opened(saved(tmp_path, tensors, new=new))
    assert_same(file, tensors)
    assert not file.refused
    assert not file.missing
    assert (file.trailing, file.problems) == (0, [])
    assert TORCH_ITEM_BYTES[NAMES[dtype]] == dtype.itemsize
    assert ITEM_BYTES.get(NAMES[dtype], dtype.itemsize) == dtype.itemsize


@KINDS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol: int, new: bool, tmp_path: Path) -> None:
    """Files of every protocol that picklers use for tensors are read."""
    tensors = {f"layers.{n}.weight": drawn(2, 3) for n in range(300)}
    assert_same(opened(saved(tmp_path, tensors, new=new, pickle_protocol=protocol)), tensors)


@KINDS
def test_state_dict_of_a_module(new: bool, tmp_path: Path) -> None:
    """A module's state dict, which is an OrderedDict with attributes, and parameters instead of tensors."""
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    assert_same(opened(saved(tmp_path, module.state_dict(), new=new)), module.state_dict())
    parameters = dict(module.named_parameters())
    parameters["0.weight"].mark = "attribute"  # type: ignore[attr-defined]
    assert_same(opened(saved(tmp_path, parameters, new=new)), parameters)


@KINDS
def test_tensors_that_share_bytes(new: bool, tmp_path: Path) -> None:
    """Tied tensors are two entries of the same bytes; slices of one storage are each their own; a part is refused."""
    whole = drawn(6, 4)
    tensors = {"embed": whole, "head": whole, "first": whole[:2], "rest": whole[2:]}
    file = opened(saved(tmp_path, tensors, new=new))
    assert_same(file, tensors)
    file = opened(saved(tmp_path, {"a": whole[:4], "b": whole[2:]}, new=new))
    assert_same(file, {"a": whole[:4]})
    assert [(entry.name, reason) for entry, reason in file.refused] == [
        ("b", "it shares a part of another tensor's bytes")
    ]


@KINDS
def test_views(new: bool, tmp_path: Path) -> None:
    """A transposed matrix is read as it lies; other strided views are left out, with the reason, unmaterialised."""
    kept = {"turned": drawn(4, 6).T, "row": drawn(1, 5).T, "part": drawn(8, 5)[3:6]}
    views = {"expanded": drawn(1).expand(9), "every other": drawn(8)[::2], "columns": drawn(4, 6)[:, :3],
             "cube": drawn(2, 3, 4).permute(2, 0, 1)}  # fmt: skip
    file = opened(saved(tmp_path, kept | views, new=new))
    assert_same(file, kept)
    assert [entry.name for entry in file.entries if entry.turned] == ["turned"]
    assert {entry.name: reason for entry, reason in file.refused} == dict.fromkeys(
        views, "a strided view of other bytes"
    )


def test_conjugate_and_negative_views_are_left_out(tmp_path: Path) -> None:
    """Bits that PyTorch would negate on reading are no plain bytes."""
    views = {"conjugate": drawn(4, dtype=torch.complex64).conj(), "negative": torch._neg_view(drawn(4))}
    file = opened(saved(tmp_path, views | {"plain": drawn(3)}))
    assert [entry.name for entry in file.entries] == ["plain"]
    assert {entry.name: reason for entry, reason in file.refused} == dict.fromkeys(
        views, "a conjugate or negative view"
    )


def test_special_tensors_are_left_out(tmp_path: Path) -> None:
    """Sparse, quantised and meta tensors are refused one by one; the plain tensor beside them is read."""
    special = {
        "sparse": torch.eye(3).to_sparse(),
        "compressed": torch.eye(3).to_sparse_csr(),
        "meta": torch.empty(3, device="meta"),
        "quantised": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    }
    file = opened(saved(tmp_path, special | {"plain": drawn(3)}))
    assert [entry.name for entry in file.entries] == ["plain"]
    assert {entry.name for entry, _ in file.refused} == set(special)


WRAPPED: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "state_dict": lambda t: {"state_dict": t, "epoch": 3, "args": {"lr": 0.1}, "name": "x", "done": True},
    "model": lambda t: {"model": t, "optimizer": {"state": {0: {"exp_avg": drawn(3)}}, "param_groups": [{"lr": 1}]}},
    "module, nested": lambda t: {"model": {"module": t}},
    "beside an optimiser only": lambda t: {**t, "optimizer": {"state": {0: drawn(3)}}},
    "DistributedDataParallel": lambda t: {f"module.{name}": tensor for name, tensor in t.items()},
    "counters and sets": lambda t: {
        "state_dict": t, "counter": collections.Counter("abc"), "set": {1, 2}, "bytes": b"xyz", "complex": 2j,
        "device": torch.device("cpu"), "size": torch.Size([2, 3]), "dtype": torch.float16, "long": 10**60,
        "text": "x" * 10_000, "keys": {1.5: 1, None: 2, (1, 2): 3}, "list": [{"a": 1}], "milestones": {30: 1, 80: 1},
    },
}  # fmt: skip


@KINDS
@pytest.mark.parametrize("wrap", WRAPPED)
def test_state_dict_within_a_training_checkpoint(wrap: str, new: bool, tmp_path: Path) -> None:
    """The model is found under the keys that training scripts use; what stands beside it is counted, never a fault."""
    tensors = {"layer.weight": drawn(4, 3), "layer.bias": drawn(4)}
    value = WRAPPED[wrap](tensors)
    file = opened(saved(tmp_path, value, new=new))
    assert_same(file, tensors)
    beside = "optim" in wrap or wrap == "model"
    assert [code for code, _ in file.problems] == (["TORCH_BESIDE"] if beside else [])
    assert (file.metadata["ignored"] > 0) == (wrap in ("state_dict", "model", "counters and sets"))


@KINDS
def test_nested_dictionaries_are_joined_with_dots(new: bool, tmp_path: Path) -> None:
    """Dictionaries in dictionaries, some with numbers as keys, give names with dots."""
    nested = {"encoder": {0: {"weight": drawn(2)}, 1: {"weight": drawn(3)}}, "head": drawn(2)}
    flat = {
        "encoder.0.weight": nested["encoder"][0]["weight"],
        "encoder.1.weight": nested["encoder"][1]["weight"],
    }
    assert_same(opened(saved(tmp_path, nested, new=new)), flat | {"head": nested["head"]})


def test_older_file_of_python_2(tmp_path: Path) -> None:
    """Strings of Python 2, pairs in an OrderedDict's call, and a view of a storage, as files of 2018 have them."""
    from tests.checkpoint.hostile_archives import legacy
    from tests.checkpoint.hostile_pickles import named, number, pickled, storage, tensor, text

    view = b"(" + text("view") + number(1) + number(2) + b"t"
    pairs = b"]" + b"]U\x01wa" + tensor((2,), held=storage(view=view)) + b"aa"
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(
        legacy(
            pickled(named("collections", "OrderedDict") + pairs + b"\x85R"), storages=(b"0123456789abcdef",)
        )
    )
    file = opened(path)
    (entry,) = file.entries
    assert (entry.name, file.read(entry.begin, 8)) == ("w", b"456789ab")


@KINDS
def test_file_that_ends_early(new: bool, tmp_path: Path) -> None:
    """A short archive has lost its directory and is refused; a short older file lacks its last tensors."""
    tensors = {name: drawn(50) for name in "abcd"}
    path = saved(tmp_path, tensors, new=new)
    os.truncate(path, path.stat().st_size - 100)
    if new:
        with pytest.raises(CheckpointError) as refused:
            opened(path)
        assert refused.value.code == "TORCH_ZIP_TRUNCATED"
        return
    file = opened(path)
    (lost,) = file.missing
    assert_same(file, {name: tensor for name, tensor in tensors.items() if name != lost.name})


def test_bytes_behind_an_older_file_are_counted(tmp_path: Path) -> None:
    """What follows the last storage is told."""
    path = saved(tmp_path, {"a": drawn(5)}, new=False)
    with path.open("ab") as file:
        file.write(b"hidden!")
    assert opened(path).trailing == 7


def test_module_saved_whole_is_refused_by_its_class(tmp_path: Path) -> None:
    """A pickled module would import and run code, so it is refused, with a hint."""
    with pytest.raises(CheckpointError) as refused:
        opened(saved(tmp_path, torch.nn.Linear(2, 2)))
    assert (refused.value.code, "torch.nn.modules.linear.Linear" in refused.value.message) == (
        "PICKLE_GLOBAL",
        True,
    )
    assert refused.value.hint


def test_torchscript_is_refused(tmp_path: Path) -> None:
    """A program of torch.jit is told apart by its members."""
    from tests.checkpoint.hostile_archives import ARCHIVES

    path = tmp_path / "model.pt"
    path.write_bytes(ARCHIVES["TorchScript"][0]())
    with pytest.raises(CheckpointError) as refused:
        opened(path)
    assert refused.value.code == "TORCHSCRIPT"


def test_file_repacked_by_a_zip_tool(tmp_path: Path) -> None:
    """An archive that Python's zipfile stored again, without alignment and descriptors, holds the same tensors."""
    import zipfile

    tensors = {"a": drawn(3, 4), "b": drawn(5)}
    path = saved(tmp_path, tensors)
    again = tmp_path / "again.bin"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(again, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same(opened(again), tensors)


def test_archive_beyond_four_gigabytes(tmp_path: Path) -> None:
    """Sizes and places of 64 bits are read where they stand; the file is sparse and takes no room."""
    path, backing = tmp_path / "pytorch_model.bin", tmp_path / "backing"
    backing.touch()
    os.truncate(backing, 5 << 30)
    large = torch.from_file(str(backing), shared=True, size=5 << 30, dtype=torch.uint8)
    with torch.serialization.skip_data():
        torch.save({"large": large, "small": torch.empty(7)}, path)
    assert path.stat().st_size > 5 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    file = opened(path)
    assert [(entry.name, entry.end - entry.begin) for entry in file.entries] == [
        ("large", 5 << 30),
        ("small", 28),
    ]
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        loaded = torch.load(path, weights_only=True)
    offsets = {key: tensor.untyped_storage()._checkpoint_offset for key, tensor in loaded.items()}
    assert {entry.name: entry.begin for entry in file.entries} == offsets


@st.composite
def state_dicts(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """Tensors of any kind and dtype, some tied, some slices, some transposed."""
    made: dict[str, torch.Tensor] = {}
    for name in draw(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
                              unique=True, min_size=1, max_size=6)):  # fmt: skip
        shape = draw(st.lists(st.integers(0, 5), max_size=4))
        tensor = drawn(*shape, dtype=draw(st.sampled_from(list(NAMES))))
        how = draw(st.sampled_from(["plain", "plain", "tied", "turned", "slice"]))
        if how == "tied" and made:
            tensor = made[draw(st.sampled_from(sorted(made)))]
        elif how == "turned" and len(shape) == 2:
            tensor = tensor.T
        elif how == "slice" and shape and shape[0]:
            tensor = tensor[draw(st.integers(0, shape[0])) :]
        made[name] = tensor
    return made


@settings(max_examples=80, deadline=None)
@given(state_dicts(), st.booleans(), st.integers(2, 5))
def test_any_state_dict_is_what_pytorch_loads(
    tensors: dict[str, torch.Tensor], new: bool, protocol: int
) -> None:
    """Whatever torch.save wrote, the bytes found are those of the tensors that torch.load gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), tensors, new=new, pickle_protocol=protocol)
        loaded = tensors
        if new or all(tensor.dtype in CLASSIC for tensor in tensors.values()):
            loaded = torch.load(
                path, weights_only=protocol < 4
            )  # its strict reader knows the older protocols only
        file = opened(path)
        names = [entry.name for entry in file.entries]
        assert {*names, *(entry.name for entry, _ in file.refused)} == {*loaded}
        assert_same(file, {name: loaded[name] for name in names})
        assert all(reason == "a strided view of other bytes" for _, reason in file.refused)
        file.close()


@KINDS
def test_sharded_checkpoint_is_opened_whole(new: bool, tmp_path: Path) -> None:
    """Shards with an index make one checkpoint, the same as its safetensors twin, tensor for tensor."""
    tensors = llama_tensors(3)
    write(tmp_path / "plain", tensors)
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    names = sorted(tensors)
    weight_map = {}
    for part, chosen in enumerate((names[::2], names[1::2]), start=1):
        shard = f"pytorch_model-{part:05}-of-00002.bin"
        kept = {name: torch.from_numpy(tensors[name].copy()) for name in chosen}
        kept = {name: t.T.contiguous().T if "mlp" in name else t for name, t in kept.items()}
        torch.save(kept, folder / shard, _use_new_zipfile_serialization=new)
        weight_map |= dict.fromkeys(chosen, shard)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    one, other = open_checkpoint(tmp_path / "plain"), open_checkpoint(folder)
    assert not other.problems
    assert sum(entry.turned for file in other.files for entry in file.entries) == 6
    assert len(other.plan.specs) == len(one.plan.specs) > 10
    for spec in one.plan.specs:
        twin = other.find(spec.role, spec.layer)
        assert twin is not None
        assert np.array_equal(one.matrix(spec), other.matrix(twin))


@KINDS
def test_reading_pass_hashes_the_file(new: bool, tmp_path: Path) -> None:
    """Tied, nested and turned tensors are each read, and every byte of the file is hashed once."""
    import hashlib

    weights = {name: torch.from_numpy(value.copy()) for name, value in llama_tensors(4).items()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    both = drawn(24, 8, dtype=torch.int32).view(torch.float32)
    up, gate = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight"
    weights[up], weights[gate] = both[12:], both[:12]
    norm = "model.layers.1.input_layernorm.weight"
    weights[norm] = weights["model.layers.1.self_attn.q_proj.weight"][2]
    down = "model.layers.1.mlp.down_proj.weight"
    weights[down] = weights[down].T.contiguous().T
    path = saved(tmp_path, weights, new=new)
    checkpoint = open_checkpoint(path)
    with Streamed(checkpoint=checkpoint) as streamed:
        read = sum(piece.count for piece in streamed)
    assert streamed.hashes[0] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read == path.stat().st_size
    assert {len(planned.segments) for planned in checkpoint.plan.tensors} == {1}
    for role, layer, name in (
        ("lm_head", None, "lm_head.weight"),
        ("down_proj", 1, down),
        ("gate_proj", 0, gate),
    ):
        spec = checkpoint.find(role, layer)
        assert spec is not None
        assert np.array_equal(checkpoint.matrix(spec), weights[name].numpy(), equal_nan=True)


def test_turned_view_of_a_matrix_stored_in_out(tmp_path: Path) -> None:
    """GPT-2 keeps matrices (in, out); such a matrix saved as a view of (out, in) rows gives those very rows."""
    width, config = 8, {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 10}
    tensors = {"wte.weight": drawn(10, width), "wpe.weight": drawn(6, width), "ln_f.weight": drawn(width)}
    shapes = {"attn.c_attn": (8, 24), "attn.c_proj": (8, 8), "mlp.c_fc": (8, 32), "mlp.c_proj": (32, 8)}
    for norm in ("ln_1", "ln_2"):
        tensors[f"h.0.{norm}.weight"] = drawn(width)
    tensors |= {f"h.0.{name}.weight": drawn(*shape) for name, shape in shapes.items()}
    tensors = {name: torch.nan_to_num(tensor) for name, tensor in tensors.items()}
    opened_twice = []
    for folder, view in (("plain", False), ("views", True)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(config))
        kept = {n: t.T.contiguous().T if view and t.dim() == 2 else t for n, t in tensors.items()}
        saved(tmp_path / folder, kept)
        opened_twice.append(open_checkpoint(tmp_path / folder))
    one, other = opened_twice
    assert len(one.plan.specs) == len(other.plan.specs) >= 10
    for spec in one.plan.specs:
        twin = other.find(spec.role, spec.layer)
        assert twin is not None
        assert np.array_equal(one.matrix(spec), other.matrix(twin))


def test_archive_named_code_is_no_program(tmp_path: Path) -> None:
    """The folder inside an archive has the file's name, which may be any."""
    tensors = {"a": drawn(3)}
    torch.save(tensors, tmp_path / "code.bin")
    assert_same(opened(tmp_path / "code.bin"), tensors)


def test_turned_twin_in_safetensors_is_recognised(tmp_path: Path) -> None:
    """A matrix that one file keeps transposed is compared number by number with its twin in the other."""
    from safetensors.torch import save_file

    matrix = drawn(12, 7, dtype=torch.int32).view(torch.float32)
    save_file({"w": matrix}, tmp_path / "model.safetensors")
    plain = open_safetensors_file(tmp_path / "model.safetensors", "model.safetensors")
    turned = opened(saved(tmp_path, {"w": matrix.T.contiguous().T}))
    (tmp_path / "other").mkdir()
    other = opened(saved(tmp_path / "other", {"w": (matrix + 1).T.contiguous().T}))
    assert turned.entries[0].turned
    assert _alike((plain, plain.entries[0]), (turned, turned.entries[0]))
    assert _alike((turned, turned.entries[0]), (plain, plain.entries[0]))
    assert not _alike((plain, plain.entries[0]), (other, other.entries[0]))


def test_four_hundred_tensors_open_soon(tmp_path: Path) -> None:
    """Opening costs a few hundredths of a second of processor time, and nothing of a tensor is read."""
    import time

    path = saved(tmp_path, {f"model.layers.{n}.mlp.up_proj.weight": drawn(1, 4) for n in range(400)})
    spent = []
    for _ in range(5):
        start = time.process_time()
        opened(path).close()
        spent.append(time.process_time() - start)
    assert min(spent) < 0.1


@KINDS
def test_tensor_within_another_leaves_no_byte_unhashed(new: bool, tmp_path: Path) -> None:
    """A head that is the first rows of the embeddings, from the same byte on, spoils neither digest nor count."""
    tensors = {name: torch.from_numpy(tensor) for name, tensor in llama_tensors().items()}
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"][:6]
    path = saved(tmp_path, tensors, new=new)
    checkpoint = open_checkpoint(path)
    with Streamed(checkpoint=checkpoint) as stream:
        assert sum(piece.count for piece in stream) == path.stat().st_size
    assert all(planned.segments for planned in checkpoint.plan.tensors)
    assert stream.hashes == {0: hashlib.sha256(path.read_bytes()).hexdigest()}
