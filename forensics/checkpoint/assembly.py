"""From named byte ranges to tensors: which entries belong together, and what decodes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forensics.checkpoint.codec import Plain, Turned
from forensics.checkpoint.convert import ITEM_BYTES, SHORT_NAMES
from forensics.checkpoint.gguf_codec import gguf_stored
from forensics.checkpoint.quantised import claim
from forensics.checkpoint.stored import Entry, Stored, WeightFile


def assembled(files: Sequence[WeightFile], config: Mapping[str, Any]) -> list[Stored]:
    """Every tensor of every file, in file order; those that a quantiser took apart are whole again."""
    claims = claim(files, config)
    rest = [
        gguf_stored(index, entry) if file.format == "gguf" else plain(index, entry)
        for index, file in enumerate(files)
        for entry in file.entries
        if (index, entry.name) not in claims.taken
    ]
    return sorted([*claims.stored, *rest], key=in_file_order)


def in_file_order(stored: Stored) -> tuple[int, int, int]:
    """Sorts tensors by where they lie; of two that begin together the longer first, whose bytes hold the other's."""
    return stored.file, stored.entry.begin, -stored.entry.end


def plain(file: int, entry: Entry) -> Stored:
    """An entry that is a tensor by itself."""
    columns = entry.shape[-1] if len(entry.shape) > 1 else 1
    known = entry.dtype in ITEM_BYTES
    codec = Turned(entry.dtype, columns, entry.shape[0]) if entry.turned else Plain(entry.dtype, columns)
    return Stored(
        name=entry.name,
        shape=entry.shape,
        precision=SHORT_NAMES.get(entry.dtype, entry.dtype.lower()),
        file=file,
        entry=entry,
        codec=codec if known else None,
        refused="" if known else f"stored as {entry.dtype}, without what would be needed to decode it",
    )
