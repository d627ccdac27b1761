"""What every file of a checkpoint hashes to; what was not hashed says why."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from forensics.checkpoint.folder import NO_WEIGHTS
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError
from forensics.records import FileSeen
from forensics.subjects import OTHER_WEIGHTS, WEIGHTS

if TYPE_CHECKING:
    from forensics.checkpoint.opened import Checkpoint

OTHER_LIMIT = 256 << 20
"""Bytes above which a file that holds no examined weights is listed but not hashed."""
FOREIGN = (
    ".h5", ".keras", ".msgpack", ".npz", ".npy", ".onnx", ".onnx_data", ".nemo", ".pt2", ".ot", ".distcp", ".tflite",
    ".pdparams", ".ggml", ".data",
)  # fmt: skip
"""Endings of weights in formats that are not read."""
NO_STATE = 1 << 20
"""Bytes from which a file named as a training's state may hold weights: optimizers keep a copy of them."""
ROOMY = 64 << 20
"""Bytes from which a file of any name could hold a model, if it has a quarter of the bytes that were read."""


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
    roomy = max(ROOMY, sum(f.size for f in checkpoint.files) // 4)
    return [_other(checkpoint, name, limit, roomy) for name in checkpoint.listing.names if name not in read]


def _note(name: str, size: int = NO_STATE, *, roomy: bool = False) -> str:
    """Why a file that holds weights, or has room for them, was not examined; empty for other files."""
    if NO_WEIGHTS.fullmatch(name) and not name.startswith("adapter_model") and size < NO_STATE:
        return ""
    return OTHER_WEIGHTS if roomy or name.lower().endswith((*WEIGHTS, *FOREIGN)) else ""


def _other(checkpoint: Checkpoint, name: str, limit: int, roomy: int) -> FileSeen:
    assert checkpoint.listing is not None
    shown = recorded_name(name)
    try:
        source = checkpoint.listing.place.open(name)
    except CheckpointError as error:
        weights = f"{note}; " if (note := _note(name)) else ""
        return FileSeen(name=shown, size=0, sha256="", note=f"{weights}not opened: {error.message}")
    said = _note(name, source.size, roomy=source.size >= roomy)
    try:
        if source.size > limit:
            note = said or "not examined and too large to hash for that"
            return FileSeen(name=shown, size=source.size, sha256="", note=note)
        whole = hashlib.sha256()
        for offset in range(0, source.size, 1 << 23):
            whole.update(source.read(offset, min(1 << 23, source.size - offset)))
        return FileSeen(name=shown, size=source.size, sha256=whole.hexdigest(), note=said)
    except CheckpointError as error:
        return FileSeen(name=shown, size=source.size, sha256="", note=f"not read: {error.message}")
    finally:
        source.close()
