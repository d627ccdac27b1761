"""What a weight file says it holds: named byte ranges, and tensors made of one or several of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from forensics.checkpoint.codec import Codec, Patch
from forensics.checkpoint.source import ByteSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stored byte range with a name: `begin` and `end` are absolute byte offsets in the file."""

    name: str
    dtype: str
    """As the format spells it: `BF16`, `Q4_K`, `I32`, …"""
    shape: tuple[int, ...]
    begin: int
    end: int
    turned: bool = False
    """Whether the bytes are those of the transposed matrix, columns as rows: a view that PyTorch saved."""

    @property
    def elements(self) -> int:
        """How many numbers the shape holds."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count


@dataclass(slots=True, kw_only=True)
class WeightFile:
    """An open, checked file of any format: entries that lie wholly in it, and those that do not."""

    format: str
    """`safetensors`, `torch`, `gguf`."""
    source: ByteSource
    entries: list[Entry]
    """Sorted by `begin`; ranges were checked against the file's size. Two may share bytes (tied tensors)."""
    missing: list[Entry] = field(default_factory=list)
    """Declared beyond the end of the file."""
    refused: list[tuple[Entry, str]] = field(default_factory=list)
    """Declared, there, and not usable, with the reason, e.g. a strided view of another tensor."""
    trailing: int = 0
    """Bytes behind the last tensor where the format allows none."""
    header_end: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the file says about itself, bounded; hostile."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """(code, message) of oddities that did not keep it from being opened."""

    @property
    def name(self) -> str:
        """Relative name of the file."""
        return self.source.name

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.source.size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, or a CheckpointError."""
        return self.source.read(offset, length)

    def chunks(self, begin: int, end: int, step: int) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) from `begin` to `end` in pieces of at most `step` bytes."""
        for offset in range(begin, end, step):
            yield offset, self.source.read(offset, min(step, end - offset))

    def close(self) -> None:
        """Lets go of the file; safe to call twice."""
        self.source.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One tensor as a model's author would name it, whatever number of entries it is made of."""

    name: str
    """Name without a quantiser's suffixes: `model.layers.0.mlp.up_proj.weight`."""
    shape: tuple[int, ...]
    """Logical shape; (out, in) or (experts, out, in) if `oriented`, else as the layout says."""
    precision: str
    """From what it was read, as the record shows it: `bf16`, `gptq-int4`, `q4_k`, …"""
    file: int
    """Index of the file that holds `entry`."""
    entry: Entry
    """The bytes that the reading pass hands to `codec`; small companions are fetched by the codec itself."""
    codec: Codec | None
    """None where it cannot be decoded, with `refused` saying why."""
    oriented: bool = False
    """Whether the codec yields (out, in) rows even where the layout's own files are transposed."""
    refused: str = ""
    patch: Patch | None = None
    """What an adapter adds to the decoded rows."""
    companions: tuple[tuple[int, Entry], ...] = ()
    """(file, entry) of scales, zeros and the like, for the account of what was examined."""

    @property
    def elements(self) -> int:
        """Parameters of the model, not stored numbers."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count
