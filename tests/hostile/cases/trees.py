"""Folders and indexes that lie: names that lead elsewhere, links, pipes, crowds, decoys."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.case import Collection, Traps
from tests.hostile.files import config, put, sound, with_tensors
from tests.tiny import llama_tensors, write, write_index

CASES = Collection("folders and indexes")
PART = "part.safetensors"


def indexed(path: Path, **extra: Any) -> dict[str, Any]:
    """A sound checkpoint under an index whose map also says this; returns the map."""
    write(path)
    (path / "model.safetensors").rename(path / PART)
    mapping = {**dict.fromkeys(llama_tensors(), PART), **extra}
    write_index(path, mapping)
    return mapping


def unread(subject: Mapping[str, Any]) -> None:
    """What the index named besides is listed as not examined, and the rest was read."""
    assert 0 < subject["recognised"] < subject["parameters"]
    assert subject["unexamined"]


ESCAPES: dict[str, tuple[str, Callable[[Path, Traps], str]]] = {
    "21": ("a sibling folder", lambda path, _: f"../{path.name}-other/model.safetensors"),
    "21a": ("a long way up", lambda _, __: "a/../../../../../../../../etc/passwd"),
    "22": ("an absolute path", lambda _, traps: str(traps.secret)),
    "22a": ("a file address", lambda _, traps: f"file://{traps.secret}"),
    "22b": ("a web address", lambda _, traps: traps.url + "model.safetensors"),
    "22c": ("a name with NUL", lambda _, __: "part.safetensors\0.txt"),
    "22d": ("a name with backslashes", lambda _, __: "..\\..\\windows\\x.safetensors"),
    "22e": ("an empty name", lambda _, __: ""),
    "22f": ("a share", lambda _, traps: f"//127.0.0.1/share/{traps.secret.name}"),
    "22g": ("a name of 100 000 letters", lambda _, __: "x" * 100_000),
    "22h": ("a hub address", lambda _, __: "hf://someone/model/model.safetensors"),
}


def escape(number: str, title: str, name: Callable[[Path, Traps], str]) -> None:
    """An index that names such a file, beside a sound shard."""

    def build(path: Path, traps: Traps) -> None:
        sound(path.with_name(path.name + "-other"), seed=5)
        indexed(path, stolen=name(path, traps))

    code = "SHARD_ABSENT" if number == "22g" else "PATH_ESCAPE"
    CASES.case(
        number, f"the index names {title}", codes=(code,), more=True, check=unread, whole=number == "21"
    )(build)


for _number, (_title, _name) in ESCAPES.items():
    escape(_number, _title, _name)


@CASES.case("22i", "the index names a device", codes=("PATH_ESCAPE",), more=True, check=unread)
def device(path: Path, _: Traps) -> None:
    """Reading it would never end."""
    indexed(path, endless="/dev/zero")


@CASES.case("22j", "the index names a folder as a shard", codes=("NOT_A_FILE",), more=True)
def folder_as_shard(path: Path, _: Traps) -> None:
    """It is there, and no file."""
    indexed(path, folder="sub")
    (path / "sub").mkdir()


@CASES.case("22k", "the index names its own folder", codes=("NOT_A_FILE",), more=True)
def itself(path: Path, _: Traps) -> None:
    """A single dot."""
    indexed(path, folder=".")


@CASES.case("23", "the index names tensors that no shard holds", codes=("INDEX_TENSOR_ABSENT",), check=None)
def promised(path: Path, _: Traps) -> None:
    """Three more than there are."""
    indexed(path, **{f"ghost.{i}.weight": PART for i in range(3)})


def second_left_out(subject: Mapping[str, Any]) -> None:
    """Neither counts, for loaders differ in which they take, and both are listed with the reason."""
    reasons = [u["reason"] for u in subject["unexamined"]]
    assert {"first of two tensors for the same role", "second tensor for the same role"} <= set(reasons)


@CASES.case(
    "23a", "one tensor is in two shards with other values", codes=("TENSOR_TWICE",), check=second_left_out
)
def twice(path: Path, _: Traps) -> None:
    """The second shard repeats a tensor of the first."""
    from safetensors.numpy import save_file

    indexed(path, other="second.safetensors")
    again = {"model.norm.weight": np.full(8, 7, np.float32), "other": np.ones(8, np.float32)}
    save_file(again, path / "second.safetensors")


@CASES.case("23b", "a shard is missing", codes=("SHARD_ABSENT",), check=unread)
def missing(path: Path, _: Traps) -> None:
    """Named and not there."""
    write(path, shards=3)
    next(iter(sorted(path.glob("*.safetensors")))).unlink()


@CASES.case("24", "the index names a million shards", refused="INDEX", megabytes=900)
def million(path: Path, _: Traps) -> None:
    """Each tensor has a shard of its own."""
    sound(path)
    (path / "model.safetensors").unlink()
    text = ",".join(f'"{i}":"s{i}.safetensors"' for i in range(1_000_000))
    put(path, "model.safetensors.index.json", f'{{"weight_map":{{{text}}}}}')


@CASES.case("24a", "the index is cut at its limit of 64 MB", refused="JSON", megabytes=900, slow=True)
def heavy(path: Path, _: Traps) -> None:
    """80 MB of it."""
    sound(path)
    (path / "model.safetensors").unlink()
    put(path, "model.safetensors.index.json", '{"weight_map":{"x":"' + "y" * 80_000_000 + '"}}')


INDEXES = {
    "24b": ("holds NaN", '{"metadata":{"total_size":NaN},"weight_map":{}}', "JSON_NOT_FINITE"),
    "24c": ("names a key twice", '{"weight_map":{"a":"x","a":"y"}}', "JSON_DUP_KEY"),
    "24d": ("maps to numbers", '{"weight_map":{"a":3}}', "INDEX"),
    "24e": ("is a list", "[]", "INDEX"),
    "24f": ("is nested 200 000 deep", "[" * 200_000, "JSON"),
    "24g": ("is empty", "", "JSON"),
    "24h": ("is not UTF-8", b"\xff\xfe{}", "JSON"),
    "24i": ("has a number of 10 000 digits", '{"weight_map":{},"x":' + "9" * 10_000 + "}", "JSON"),
}


def bad_index(number: str, title: str, content: str | bytes, code: str) -> None:
    """A folder whose index is that."""

    def build(path: Path, _: Traps) -> None:
        sound(path)
        (path / "model.safetensors").rename(path / PART)
        put(path, "model.safetensors.index.json", content)

    CASES.case(number, f"the index {title}", refused=code, whole=number == "24b")(build)


for _number, (_title, _content, _code) in INDEXES.items():
    bad_index(_number, _title, _content, _code)


def pipe(path: Path) -> None:
    """Opening it to read would wait for ever."""
    os.mkfifo(path)


def listening(path: Path) -> None:
    """A socket file."""
    here = os.getcwd()
    os.chdir(path.parent)  # the address of a socket file is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "20": ("a pipe", pipe, "NOT_A_FILE"),
    "20a": ("a folder", Path.mkdir, "NO_WEIGHTS"),
    "20b": ("a socket", listening, "UNREADABLE"),
    "20c": ("a link to a device", lambda p: p.symlink_to("/dev/zero"), "PATH_ESCAPE"),
    "20d": ("a dangling link", lambda p: p.symlink_to("nowhere"), "UNREADABLE"),
    "25": ("a link to /etc/passwd", lambda p: p.symlink_to("/etc/passwd"), "PATH_ESCAPE"),
    "25a": ("a link to itself", lambda p: p.symlink_to(p.name), "PATH_ESCAPE"),
}


def special(number: str, title: str, make: Callable[[Path], object], code: str) -> None:
    """A folder whose `model.safetensors` is that."""

    def build(path: Path, _: Traps) -> None:
        sound(path)
        (path / "model.safetensors").unlink()
        make(path / "model.safetensors")

    CASES.case(number, f"model.safetensors is {title}", refused=code, seconds=1.0, whole=number == "20")(
        build
    )


for _number, (_title, _make, _code) in SPECIAL.items():
    special(_number, _title, _make, _code)


def cache(path: Path, blob: str = "../../blobs/abc") -> None:
    """A hub cache's snapshot at `path`/snapshots/0, whose files are links to that blob."""
    snapshot = path / "snapshots" / "0"
    (path / "blobs").mkdir(parents=True)
    sound(snapshot)
    (snapshot / "model.safetensors").rename(path / "blobs" / "abc")
    (snapshot / "model.safetensors").symlink_to(blob)


def whole(subject: Mapping[str, Any]) -> None:
    """All of it was recognised."""
    assert subject["recognised"] == subject["parameters"] > 0


def blobs(path: Path) -> list[Path]:
    """The cache's own blobs."""
    return [path / "blobs"]


@CASES.case(
    "25b",
    "a hub cache's links into its blobs",
    single="snapshots/0",
    codes=(),
    check=whole,
    also=blobs,
    whole=True,
)
def linked(path: Path, _: Traps) -> None:
    """Accepted: this is how the hub's own library keeps files."""
    cache(path)


@CASES.case(
    "25c", "a cache whose blob leads elsewhere", single="snapshots/0", refused="PATH_ESCAPE", also=blobs
)
def led_astray(path: Path, traps: Traps) -> None:
    """The link ends in another folder."""
    cache(path)
    (path / "blobs" / "abc").unlink()
    (path / "blobs" / "abc").symlink_to(traps.secret)


@CASES.case("25d", "a hard link", codes=(), check=whole)
def hard_linked(path: Path, _: Traps) -> None:
    """A file like any other."""
    sound(path.with_name(path.name + "-twin"))
    sound(path)
    (path / "model.safetensors").unlink()
    os.link(path.with_name(path.name + "-twin") / "model.safetensors", path / "model.safetensors")


@CASES.case(
    "25e", "config, tokenizer and card are links out of the folder", codes=("PATH_ESCAPE",), more=True
)
def small_links(path: Path, traps: Traps) -> None:
    """None of them is followed."""
    sound(path)
    (path / "config.json").unlink()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "LICENSE"):
        (path / name).symlink_to(traps.secret)


@CASES.case("25f", "a folder of the tree is a link to the root", codes=())
def linked_folder(path: Path, _: Traps) -> None:
    """Nothing below it is listed."""
    sound(path)
    (path / "everything").symlink_to("/")


@CASES.case("26", "6 000 small files", codes=("TOO_MANY_FILES",), check=whole)
def crowd(path: Path, _: Traps) -> None:
    """More than the budget; the weights are read all the same."""
    sound(path)
    (path / "crowd").mkdir()
    for i in range(6_000):
        os.close(os.open(path / "crowd" / f"{i}.txt", os.O_CREAT | os.O_WRONLY))


@CASES.case("26a", "folders nested 1 200 deep", codes=(), check=whole)
def deep(path: Path, _: Traps) -> None:
    """Made step by step: the path is longer than any call takes."""
    sound(path)
    here = os.getcwd()
    os.chdir(path)
    try:
        for _step in range(1_200):
            os.mkdir("d")
            os.chdir("d")
        Path("end.txt").touch()
    finally:
        os.chdir(here)


@CASES.case("26b", "names that differ in case or composition only", codes=(), check=whole)
def twins(path: Path, _: Traps) -> None:
    """All are listed."""
    sound(path)
    for name in ("README.md", "readme.md", "ReadMe.md", "caf\u00e9.md", "cafe\u0301.md"):
        put(path, name, name)


@CASES.case("26c", "names that are no Unicode or steer a terminal", codes=(), check=whole)
def odd_names(path: Path, _: Traps) -> None:
    """Escaped in the record."""
    sound(path)
    for name in (
        b"\xff\xfe.md",
        b"\x1b[2J.md",
        "\u202egpj.md".encode(),
        b"=cmd.md",
        b"<script>.md",
        b"new\nline.md",
    ):
        Path(os.fsdecode(os.fsencode(path) + b"/" + name)).write_text("x")


def torch_file(path: Path, seed: int) -> None:
    """A pickle of the same names with other numbers, written by torch itself."""
    import torch

    torch.save({k: torch.from_numpy(v) for k, v in llama_tensors(seed).items()}, path)


@CASES.case(
    "27", "a pickle beside the safetensors holds other weights", codes=("PARSER_DIVERGENCE",), whole=True
)
def diverging(path: Path, _: Traps) -> None:
    """What one loader takes, another does not."""
    sound(path)
    torch_file(path / "pytorch_model.bin", 7)


@CASES.case(
    "27a", "a pickle beside the safetensors holds the same weights", codes=("WEIGHTS_TWICE",), check=whole
)
def doubled(path: Path, _: Traps) -> None:
    """A note, no alarm."""
    sound(path)
    torch_file(path / "pytorch_model.bin", 0)


@CASES.case(
    "27b", "a malicious pickle beside the safetensors", codes=("WEIGHTS_AMBIGUOUS",), more=True, whole=True
)
def malicious(path: Path, traps: Traps) -> None:
    """Never run, and the safetensors are read."""
    sound(path)
    code = f"import os; os.system('touch {traps.canary}')".encode()
    program = b"\x80\x04c__builtin__\nexec\n(V" + code + b"\ntR."
    (path / "pytorch_model.bin").write_bytes(program)


@CASES.case(
    "27c", "an index beside model.safetensors names others", codes=("WEIGHTS_AMBIGUOUS",), check=whole
)
def two_sets(path: Path, _: Traps) -> None:
    """What loaders take is read, and the rest is told."""
    sound(path)
    sound(path / "hidden", seed=3)
    write_index(path, dict.fromkeys(llama_tensors(), "hidden/model.safetensors"))


@CASES.case("28", "the config says Llama, the tensors are Qwen's", codes=(), more=True)
def decoy(path: Path, _: Traps) -> None:
    """Query and key norms are Qwen 3's; tensors win."""
    norms = {
        f"model.layers.{i}.self_attn.{r}_norm.weight": np.ones(4, np.float32) for i in (0, 1) for r in "qk"
    }
    with_tensors(path, **norms)


@CASES.case(
    "28a", "the config's sizes are not the tensors'", codes=("CONFIG_MISMATCH",), check=whole, whole=True
)
def other_sizes(path: Path, _: Traps) -> None:
    """Layers, width and vocabulary of something else."""
    config(path, num_hidden_layers=80, hidden_size=8192, vocab_size=128_256)


@CASES.case("+20", "the folder is empty", refused="EMPTY")
def empty(path: Path, _: Traps) -> None:
    """Nothing there."""
    path.mkdir()


@CASES.case("+21", "the folder holds texts only", refused="NO_WEIGHTS")
def texts_only(path: Path, _: Traps) -> None:
    """No weights."""
    put(path, "README.md", "# nothing")


@CASES.case("+22", "model.safetensors cannot be opened", refused="PATH_ESCAPE")
def loop_of_links(path: Path, _: Traps) -> None:
    """Two links that lead to each other."""
    path.mkdir()
    (path / "model.safetensors").symlink_to("other.safetensors")
    (path / "other.safetensors").symlink_to("model.safetensors")


@CASES.case("+23", "an adapter whose base is an absolute path", codes=("ADAPTER_ALONE",), more=True)
def adapter(path: Path, traps: Traps) -> None:
    """A base is never opened because a file says so."""
    from safetensors.numpy import save_file

    path.mkdir()
    secret = str(traps.secret.parent)
    put(path, "adapter_config.json", json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4,
        "base_model_name_or_path": secret}))  # fmt: skip
    names = ("lora_A", "lora_B")
    shapes = {"lora_A": (2, 8), "lora_B": (8, 2)}
    save_file({f"base_model.model.model.layers.0.self_attn.q_proj.{n}.weight": np.ones(shapes[n], np.float32)
               for n in names}, path / "adapter_model.safetensors")  # fmt: skip
