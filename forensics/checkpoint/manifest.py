"""What every file of a checkpoint hashes to; what was not hashed says why."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from forensics.checkpoint.folder import NO_WEIGHTS, PICKLES
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError
from forensics.records import FileSeen
from forensics.subjects import OTHER_WEIGHTS

if TYPE_CHECKING:
    from forensics.checkpoint.opened import Checkpoint

OTHER_LIMIT = 256 << 20
"""Bytes above which a file that holds no examined weights is listed but not hashed."""


def recorded_name(name: str) -> str:
    """A file's name as a record can hold it: Unicode text of at most 500 characters, bytes that are none escaped."""
    return name.encode("utf-8", "backslashreplace").decode()[:500]


def file_seen(file: WeightFile, sha256: str) -> FileSeen:
    """The record of a weight file that was read whole."""
    return FileSeen(name=recorded_name(file.name), size=file.size, sha256=sha256)


def other_files(checkpoint: Checkpoint, limit: int = OTHER_LIMIT) -> list[FileSeen]:
    """Records of all files besides the weights that were read; those above `limit` bytes are not hashed."""
    if checkpoint.listing is None:
        return []
    read = {f.name for f in checkpoint.files}
    return [_other(checkpoint, name, limit) for name in checkpoint.listing.names if name not in read]


def _note(name: str) -> str:
    """Why a file that holds weights was not examined; empty for other files."""
    weights = name.endswith((".safetensors", ".gguf", *PICKLES)) and not NO_WEIGHTS.fullmatch(name)
    return OTHER_WEIGHTS if weights else ""


def _other(checkpoint: Checkpoint, name: str, limit: int) -> FileSeen:
    assert checkpoint.listing is not None
    shown = recorded_name(name)
    try:
        source = checkpoint.listing.place.open(name)
    except CheckpointError as error:
        return FileSeen(name=shown, size=0, sha256="", note=f"not opened: {error.message}")
    try:
        if source.size > limit:
            note = _note(name) or "not examined and too large to hash for that"
            return FileSeen(name=shown, size=source.size, sha256="", note=note)
        whole = hashlib.sha256()
        for offset in range(0, source.size, 1 << 23):
            whole.update(source.read(offset, min(1 << 23, source.size - offset)))
        return FileSeen(name=shown, size=source.size, sha256=whole.hexdigest(), note=_note(name))
    except CheckpointError as error:
        return FileSeen(name=shown, size=source.size, sha256="", note=f"not read: {error.message}")
    finally:
        source.close()
