"""The containers of weights that are read, each in a file of its own; told apart by their first bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from forensics.checkpoint.place import display_name
from forensics.checkpoint.safetensors_file import HEADER_LIMIT
from forensics.checkpoint.source import ByteSource
from forensics.checkpoint.stored import WeightFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One container of weights."""

    id: str
    title: str
    covers: str
    """What of it is read, for the table of formats."""
    where: str
    """`module:function` that opens a ByteSource as a WeightFile; imported when a file calls for it."""
    magic: tuple[bytes, ...] = ()
    endings: tuple[str, ...] = ()

    def open(self, source: ByteSource) -> WeightFile:
        """Opens and checks a file of this format; CheckpointError with a code."""
        module, function = self.where.split(":")
        opener = cast(
            "Callable[[ByteSource], WeightFile]",
            getattr(import_module(f"forensics.checkpoint.{module}"), function),
        )
        return opener(source)


SAFETENSORS = Format(
    id="safetensors",
    title="safetensors",
    covers="single file, folder, sharded with an index, hub cache snapshot",
    where="safetensors_file:open_safetensors",
    endings=(".safetensors",),
)
GGUF = Format(
    id="gguf",
    title="GGUF",
    covers="versions 2 and 3, single and split, every type that can be dequantised",
    where="gguf_file:open_gguf",
    magic=(b"GGUF",),
    endings=(".gguf",),
)
TORCH = Format(
    id="torch",
    title="PyTorch pickle",
    covers="zip and legacy files, whole or sharded; interpreted by an allow-list, never unpickled",
    where="torch_file:open_torch",
    endings=(".bin", ".pt", ".pth", ".ckpt"),
)
FORMATS = (SAFETENSORS, TORCH, GGUF)


PLACES = (
    ("folder", "config, tokenizer, card and weights beside each other, as loaders take them"),
    ("one file", "weights without their neighbours; a split GGUF brings its other parts"),
    ("hub cache snapshot", "its links into `blobs/` are followed, no others"),
    ("hub id", "`org/name[@revision]`, pinned to a commit; read in place, whole or with `--remote` in part"),
    ("adapter", "LoRA, rank-stabilised, DoRA; merged with `--base PATH` as it is read, else only described"),
    ("sketch file", "from `forensics sketch`, in place of the weights"),
)
"""Where weights may lie, for the table of formats."""


def format_of(name: str, beginning: bytes) -> Format:
    """The format of a file by its first 9 bytes; by its name only where they fit none."""
    length = int.from_bytes(beginning[:8], "little")
    pickled = beginning.startswith((b"PK\x03\x04", *(bytes([0x80, version]) for version in range(2, 6))))
    if beginning.startswith(GGUF.magic):
        return GGUF
    if length <= HEADER_LIMIT and beginning[8:9] in (b"{", b""):
        named = [f for f in FORMATS if name.endswith(f.endings)]
        return SAFETENSORS if beginning[8:9] or not named else named[0]
    if pickled and length > HEADER_LIMIT:
        return TORCH
    return next((f for f in FORMATS if name.endswith(f.endings)), SAFETENSORS)


def open_weights(source: ByteSource) -> WeightFile:
    """Opens and checks a file of whichever format it is; closes the source where that fails.

    What the bytes say wins over what the name says, and a problem (MISNAMED) tells of it: loaders go by the name.
    """
    try:
        chosen = format_of(source.name, source.read(0, min(9, source.size)))
        file = chosen.open(source)
        others = [f for f in FORMATS if f is not chosen and source.name.endswith(f.endings)]
        if others:
            message = (
                f"{display_name(source.name)} is a {chosen.title} file by its content, and was read as one"
            )
            file.problems.append(("MISNAMED", message))
        return file
    except BaseException:
        source.close()
        raise
