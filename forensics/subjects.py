"""What was examined: one checkpoint, its files and its architecture, as they go into the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from forensics.claims import Claim
from forensics.readings import STRICT

OTHER_WEIGHTS = "other weights, which loaders pass over; not examined"
"""Note on a file of weights that was not read because other weights are loaded first."""

WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Endings of all files that may hold weights; others of that kind lie beside them (`training_args.bin`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSeen:
    """One file of a checkpoint. `sha256` is empty where the file was not read whole, with `note` saying why."""

    name: str
    size: int
    sha256: str
    note: str = ""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexamined:
    """A tensor or file that was not used, and why."""

    name: str
    reason: str

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a checkpoint's shapes say it is; `declared` is what its config claims."""

    declared: str
    layout: str
    """Name of the layout that recognised most tensors; `unknown` where none did."""
    layers: int
    width: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    experts: int = 0
    glu: bool = True
    norm: Literal["rms", "layer", "unknown"] = "unknown"
    rope: bool = True
    tied_embeddings: bool = False

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySeen:
    """A code repository that was named beside a checkpoint, as far as it was read."""

    name: str
    """As named on the command line; of an absolute path only its last part."""
    files: int
    """Files found in it, without those of version control."""
    texts: int
    """How many of them were read as text."""
    size: int
    """Bytes read of these."""
    digest: str
    """SHA-256 over a line of SHA-256, two spaces and name for each text as read, sorted by name."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One checkpoint as examined."""

    label: str
    role: Literal["suspect", "candidate", "control"]
    form: Literal["checkpoint", "merged", "first-look", "sketch", "unreadable"]
    """`merged`: an adapter, read with the base that the examiner named for it. `first-look`: only a part was read and
    nothing was hashed whole, so that `digest` identifies nothing."""
    files: tuple[FileSeen, ...] = ()
    digest: str = ""
    """SHA-256 over the concatenated raw digests of `files`, sorted by name, and of `repository` behind them."""
    repository: RepositorySeen | None = None
    """The code repository that the examiner named for it; its texts are examined as if they lay beside the weights."""
    commit: str = ""
    """Commit of the hub repository to which the reading was pinned; empty for local files."""
    architecture: Architecture | None = None
    parameters: int = 0
    """Elements in all tensors of the language model; towers beside it are listed with their share and left out."""
    recognised: int = 0
    """Elements in tensors whose role was recognised and that were read."""
    in_layers: int = 0
    """Of `recognised`, what belongs to numbered layers: embeddings can be padded to any size."""
    dtypes: tuple[str, ...] = ()
    unexamined: tuple[Unexamined, ...] = ()
    unexamined_omitted: int = 0
    claims: tuple[Claim, ...] | None = None
    """What its metadata state of its origin; None where they were not read (an older sketch file, no readable weights).
    """

    __pydantic_config__: ClassVar[Any] = STRICT
