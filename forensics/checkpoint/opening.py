"""From a path to a checkpoint: a folder or one file, with a reason for whatever cannot be opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forensics.checkpoint.config import declared, read_config
from forensics.checkpoint.folder import Listing, inside, list_folder, read_small, refuse_foreign
from forensics.checkpoint.layout import Layout
from forensics.checkpoint.opened import Checkpoint
from forensics.checkpoint.safetensors_file import open_safetensors_file
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError
from forensics.records import Problem


def open_checkpoint(
    location: str | Path, *, label: str = "", layouts: Iterable[Layout] | None = None
) -> Checkpoint:
    """Opens a folder or a single safetensors file; CheckpointError (message, hint, code) where that is impossible."""
    path = Path(location)
    label = label or path.name
    if not os.path.exists(path):  # unlike Path.exists, never raises
        raise CheckpointError(f"{label}: no such file or folder", "check the path", code="MISSING")
    if path.is_dir():
        return _open_folder(path, label, layouts)
    refuse_foreign(path)
    file = open_safetensors_file(path.resolve(), path.name)
    return Checkpoint(
        label=label, files=[file], config={}, listing=None, problems=_faults(file, label), layouts=layouts
    )


def _faults(file: WeightFile, label: str) -> list[Problem]:
    faults = []
    if file.missing:
        message = f"{file.name} ends {len(file.missing)} tensors early; what is there was examined"
        faults.append(Problem(where=label, code="ST_TRUNCATED", message=message))
    if file.trailing:
        message = f"{file.name} has {file.trailing} bytes behind its last tensor"
        faults.append(Problem(where=label, code="ST_TRAILING", message=message))
    return faults


def _open_folder(root: Path, label: str, layouts: Iterable[Layout] | None) -> Checkpoint:
    listing = list_folder(root)
    problems = [Problem(where=label, code=p.code, message=p.message) for p in listing.problems]
    config: dict[str, Any] = {}
    try:
        raw = read_small(root, "config.json", 4_000_000)
        if raw is None:
            problems.append(
                Problem(where=label, code="NO_CONFIG", message="no config.json; shapes alone were used")
            )
        else:
            config = read_config(raw)
    except CheckpointError as error:
        problems.append(Problem(where=label, code=error.code, message=error.message))
    files = []
    for name in listing.weights:
        try:
            files.append(_open_weights(root, name))
            problems += _faults(files[-1], label)
        except CheckpointError as error:
            problems.append(Problem(where=label, code=error.code, message=f"{name[:200]}: {error.message}"))
    if not any(f.entries for f in files):
        reason = "; ".join(p.message for p in problems if p.code != "NO_CONFIG") or "no tensors"
        raise CheckpointError(
            f"no weights could be read ({reason})", "fetch the files again", code="NO_WEIGHTS"
        )
    checkpoint = Checkpoint(
        label=label, files=files, config=config, listing=listing, problems=problems, layouts=layouts
    )
    checkpoint.problems += _contradictions(checkpoint, listing)
    return checkpoint


def _contradictions(checkpoint: Checkpoint, listing: Listing) -> list[Problem]:
    """Where index or config say otherwise than the tensors, which are believed."""
    found = []
    there = {e.name for f in checkpoint.files for e in (*f.entries, *f.missing)}
    lost = sum(name not in there for name in listing.indexed) if not listing.absent else 0
    if lost:
        message = f"{lost} tensors that the index names are in no shard"
        found.append(Problem(where=checkpoint.label, code="INDEX_TENSOR_ABSENT", message=message))
    whole = not (lost or listing.absent or any(f.missing for f in checkpoint.files))
    shapes = checkpoint.architecture
    for what, shown in (
        ("layers", shapes.layers),
        ("width", shapes.width),
        ("vocabulary", shapes.vocabulary),
    ):
        said = declared(checkpoint.config, what)
        if whole and said and shown and said != shown:
            message = f"config.json declares {what} {said}, the tensors show {shown}"
            found.append(Problem(where=checkpoint.label, code="CONFIG_MISMATCH", message=message))
    return found


def _open_weights(root: Path, name: str) -> WeightFile:
    return open_safetensors_file(inside(root, name), name)
