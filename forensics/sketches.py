"""Sketches of one checkpoint as one safetensors file, written and read by our own strict code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.archive import plain, restored
from forensics.checkpoint.safetensors_file import SafetensorsFile, read_exactly
from forensics.errors import CheckpointError
from forensics.probe import Sketch
from forensics.readings import Abstention, Failure
from forensics.records import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = "forensics-sketch/1"
SIZE_LIMIT = 1 << 30
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8",
    "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {numpy_name: name for name, numpy_name in DTYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchBook:
    """What one checkpoint left behind: its record and one sketch per probe."""

    subject: Subject
    sketches: Mapping[str, Sketch]


def save(path: Path, book: SketchBook) -> None:
    """Writes a book; arrays of unknown type raise ValueError. The file appears whole or not at all."""
    arrays: dict[str, NDArray[np.generic]] = {}
    described = []
    for probe in sorted(book.sketches):
        sketch = book.sketches[probe]
        for name in sorted(sketch.arrays):
            arrays[f"{probe}/{name}"] = sketch.arrays[name]
        described.append(_described(sketch))
    metadata = {
        "format": FORMAT,
        "subject": json.dumps(plain(book.subject), sort_keys=True),
        "sketches": json.dumps(described, sort_keys=True),
    }
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as out:
        for part in _encoded(arrays, metadata):
            out.write(part)
    os.replace(partial, path)


def _described(sketch: Sketch) -> dict[str, Any]:
    return {
        "probe": sketch.probe,
        "version": sketch.version,
        "parameters": dict(sketch.parameters),
        "facts": dict(sketch.facts),
        "subject": sketch.subject,
        "api": sketch.api,
        "arrays": sorted(sketch.arrays),
        "absent": plain(sketch.absent) if sketch.absent else None,
    }


def _encoded(arrays: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> Iterable[bytes]:
    import numpy as np

    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    bodies, position = [], 0
    for name, array in arrays.items():
        body = np.ascontiguousarray(array)
        kind = _NAMES.get(body.dtype.str)
        if kind is None:
            raise ValueError(f"a sketch cannot hold an array of type {body.dtype}")
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [position, position + body.nbytes]}
        bodies.append(body.tobytes())
        position += body.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return [len(encoded).to_bytes(8, "little"), encoded, *bodies]


def is_sketch_file(path: Path) -> bool:
    """Whether `path` is a sketch file, by its header alone."""
    if not path.is_file():
        return False
    try:
        file = SafetensorsFile.open(path.resolve(), path.name)
    except CheckpointError:
        return False
    file.close()
    return file.metadata.get("format") == FORMAT


def load(path: Path) -> SketchBook:
    """Reads a book; the other side may have written it, so everything is checked (CheckpointError)."""
    import numpy as np

    file = SafetensorsFile.open(path.resolve(), path.name)
    try:
        if file.metadata.get("format") != FORMAT or file.size > SIZE_LIMIT or file.missing:
            raise CheckpointError(f"{path.name} is not a whole {FORMAT} file", code="SKETCH")
        arrays = {
            e.name: np.frombuffer(read_exactly(file.fd, e.begin, e.end - e.begin), DTYPES[e.dtype]).reshape(e.shape)
            if e.end > e.begin
            else np.empty(e.shape, DTYPES[e.dtype])
            for e in file.entries
            if e.dtype in DTYPES
        }
    finally:
        file.close()
    try:
        subject = restored(Subject, json.loads(file.metadata["subject"]))
        raw = json.loads(file.metadata["sketches"])
        sketches = {item["probe"]: _sketch(item, arrays) for item in raw}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise CheckpointError(f"{path.name} is a malformed sketch file", code="SKETCH") from None
    return SketchBook(subject=subject, sketches=sketches)


def _sketch(item: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Sketch:
    absent: Abstention | Failure | None = None
    if item["absent"]:
        kind = Failure if item["absent"].get("kind") == "failure" else Abstention
        absent = restored(kind, item["absent"])
    return Sketch(
        probe=str(item["probe"]),
        version=str(item["version"]),
        parameters=dict(item["parameters"]),
        arrays={name: arrays[f"{item['probe']}/{name}"] for name in item["arrays"]},
        facts=dict(item["facts"]),
        subject=str(item["subject"]),
        api=int(item["api"]),
        absent=absent,
    )
