"""Sketches of one checkpoint as one safetensors file, written and read by our own strict code."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.archive import plain, restored
from forensics.checkpoint.safetensors_file import open_safetensors_file
from forensics.checkpoint.stored import Entry, WeightFile
from forensics.errors import CaseError, CheckpointError, ReportError
from forensics.probe import Sketch
from forensics.readings import Abstention, Failure
from forensics.records import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = "forensics-sketch/1"
SIZE_LIMIT = 256 << 20
BEGINNING = b'{"__metadata__":{"format":"' + FORMAT.encode() + b'"'
"""What follows the length of the header in a file that we wrote."""
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


def check(sketch: object, probe: str) -> None:
    """TypeError or ValueError where this is no sketch by `probe` that can be saved and read back unchanged."""
    import numpy as np

    if not isinstance(sketch, Sketch):
        raise TypeError(f"the sketcher returned {type(sketch).__name__}, not a Sketch")
    if sketch.probe != probe:
        raise ValueError(f"the sketch says it is by {sketch.probe!r}")
    arrays: Mapping[str, object] = sketch.arrays
    for name, array in arrays.items():
        kind = array.dtype.str if isinstance(array, np.ndarray) else type(array).__name__
        if kind not in _NAMES:
            raise TypeError(f"a sketch cannot hold {name!r}, which is {kind}")
    for name, value in {**sketch.facts, **sketch.parameters}.items():
        if not _is_plain(value):
            raise TypeError(f"{name!r} in a sketch is no plain finite value")


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def save(path: Path, book: SketchBook) -> None:
    """Writes a book of checked sketches. The file appears whole or not at all; CaseError where it cannot."""
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
    try:
        partial.unlink(missing_ok=True)
        with open(partial, "xb") as out:
            out.writelines(_encoded(arrays, metadata))
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        hint = "name another file, or set TMPDIR to a roomier folder"
        raise CaseError(f"cannot write {path.name}: {error.strerror}", hint) from None


def _described(sketch: Sketch) -> dict[str, Any]:
    return {
        "probe": sketch.probe,
        "version": sketch.version,
        "parameters": dict(sketch.parameters),
        "facts": dict(sketch.facts),
        "subject": sketch.subject,
        "precision": sketch.precision,
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
        place = [position, position + body.nbytes]
        header[name] = {"dtype": _NAMES[body.dtype.str], "shape": list(array.shape), "data_offsets": place}
        bodies.append(body.tobytes())
        position += body.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return [len(encoded).to_bytes(8, "little"), encoded, *bodies]


def is_sketch_file(path: Path) -> bool:
    """Whether `path` begins as our sketch files do; nothing of it is parsed, for it may be anything."""
    if not os.path.isfile(path):  # unlike Path.is_file, never raises
        return False
    try:
        with open(path, "rb") as file:
            return file.read(8 + len(BEGINNING))[8:] == BEGINNING
    except OSError:
        return False


def load(path: Path) -> SketchBook:
    """Reads a book; the other side may have written it, so everything is checked (CheckpointError)."""
    file = open_safetensors_file(path.resolve(), path.name)
    try:
        if file.metadata.get("format") != FORMAT or file.size > SIZE_LIMIT or file.missing or file.trailing:
            raise CheckpointError(f"{path.name} is not a whole {FORMAT} file", code="SKETCH")
        arrays = {e.name: _array(file, e) for e in file.entries if e.dtype in DTYPES}
        subject = restored(Subject, json.loads(file.metadata["subject"]))
        sketches = {item["probe"]: _sketch(item, arrays) for item in json.loads(file.metadata["sketches"])}
        for probe, sketch in sketches.items():
            check(sketch, probe)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, ReportError) as error:
        detail = f"{path.name} is a malformed sketch file ({type(error).__name__})"
        raise CheckpointError(detail, code="SKETCH") from None
    finally:
        file.close()
    return SketchBook(subject=subject, sketches=sketches)


def _array(file: WeightFile, entry: Entry) -> NDArray[np.generic]:
    import numpy as np

    stored = np.frombuffer(file.read(entry.begin, entry.end - entry.begin), DTYPES[entry.dtype])
    if entry.dtype == "BOOL":
        stored = stored.view(np.uint8) != 0  # a byte other than 0 and 1 is no bool
    return stored.reshape(entry.shape)


def _sketch(item: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Sketch:
    absent: Abstention | Failure | None = None
    if item["absent"]:
        absent = restored(Failure if item["absent"]["kind"] == "failure" else Abstention, item["absent"])
    return Sketch(
        probe=str(item["probe"]),
        version=str(item["version"]),
        parameters=dict(item["parameters"]),
        arrays={name: arrays[f"{item['probe']}/{name}"] for name in item["arrays"]},
        facts=dict(item["facts"]),
        subject=str(item["subject"]),
        api=int(item["api"]),
        absent=absent,
        precision=str(item.get("precision", ""))[:120],
    )
