"""What every file of a checkpoint hashes to; what was not hashed says why."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from forensics.checkpoint.folder import PICKLES, inside
from forensics.checkpoint.source import open_regular, read_exactly
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError
from forensics.records import FileSeen
from forensics.subjects import OTHER_WEIGHTS

if TYPE_CHECKING:
    from forensics.checkpoint.opened import Checkpoint

OTHER_LIMIT = 256 << 20
"""Bytes above which a file that holds no examined weights is listed but not hashed."""


def file_seen(file: WeightFile, sha256: str) -> FileSeen:
    """The record of a weight file that was read whole."""
    return FileSeen(name=file.name[:500], size=file.size, sha256=sha256)


def other_files(checkpoint: Checkpoint) -> list[FileSeen]:
    """Records of all files besides the weights that were read."""
    if checkpoint.listing is None:
        return []
    read = {f.name for f in checkpoint.files}
    return [_other(checkpoint, name) for name in checkpoint.listing.names if name not in read]


def _note(name: str) -> str:
    """Why a file that holds weights was not examined; empty for other files."""
    if name.endswith(".safetensors"):
        return OTHER_WEIGHTS
    if name.endswith(PICKLES):
        return "pickled; never opened"
    return "GGUF is not read yet; not examined" if name.endswith(".gguf") else ""


def _other(checkpoint: Checkpoint, name: str) -> FileSeen:
    assert checkpoint.listing is not None
    shown = name.encode("utf-8", "backslashreplace").decode()[:500]
    try:
        fd, size = open_regular(inside(checkpoint.listing.root, name), shown)
    except CheckpointError as error:
        return FileSeen(name=shown, size=0, sha256="", note=f"not opened: {error.message}")
    try:
        if size > OTHER_LIMIT:
            return FileSeen(
                name=shown, size=size, sha256="", note="not examined and too large to hash for that"
            )
        whole = hashlib.sha256()
        for offset in range(0, size, 1 << 23):
            whole.update(read_exactly(fd, offset, min(1 << 23, size - offset)))
        return FileSeen(name=shown, size=size, sha256=whole.hexdigest(), note=_note(name))
    except CheckpointError as error:
        return FileSeen(name=shown, size=size, sha256="", note=f"not read: {error.message}")
    finally:
        os.close(fd)
