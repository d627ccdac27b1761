"""Safetensors files and folders made by hand, for what no library would write."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import CONFIG, llama_tensors, write

Item = dict[str, Any]


def raw_file(
    path: Path, header: bytes | str | Mapping[str, Any], body: bytes = b"", length: int | None = None
) -> Path:
    """A file with this header, as it stands; `length` is what its first eight bytes claim."""
    if isinstance(header, Mapping):
        header = json.dumps(header)
    encoded = header.encode("utf-8", "surrogatepass") if isinstance(header, str) else header
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(encoded) if length is None else length) + encoded + body)
    return path


def item(shape: list[Any], offsets: list[Any], dtype: Any = "F32") -> Item:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def single(folder: Path, header: Any, body: bytes = b"", length: int | None = None) -> None:
    """A folder whose only weights are that file."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    raw_file(folder / "model.safetensors", header, body, length)


def sound(folder: Path, seed: int = 0, **files: str | bytes) -> Path:
    """A sound tiny Llama with these files beside it; `__` stands for a dot, `_slash_` for a slash in their names."""
    write(folder, llama_tensors(seed))
    for name, content in files.items():
        put(folder, name.replace("_slash_", "/").replace("__", "."), content)
    return folder


def put(folder: Path, name: str, content: str | bytes) -> None:
    """One file of the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)


def config(folder: Path, **changed: Any) -> Path:
    """A sound checkpoint whose config says something else."""
    sound(folder)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    return folder


def with_tensors(folder: Path, **changed: Any) -> Path:
    """A tiny Llama with tensors replaced or added (`None` removes); `__` stands for a dot."""
    tensors = {**llama_tensors(), **{k.replace("__", "."): v for k, v in changed.items()}}
    return write(folder, {k: np.ascontiguousarray(v) for k, v in tensors.items() if v is not None})
