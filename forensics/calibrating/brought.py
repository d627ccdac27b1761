"""Calibration files that an examiner brings to a case: read, checked, and bound to the record by their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics.errors import CaseError, PluginError
from forensics.evidence.library import assemble, load_reference

SIZE_LIMIT = 64 << 20
HINT = "name a file that `forensics calibrate` wrote"
KEPT = (
    "schema",
    "id",
    "description",
    "source",
    "families",
    "derived_pairs",
    "unrelated_pairs",
    "calibrations",
)
"""What a case needs of a file; a table for the fusion is not taken from one."""


def read_calibration(file: str) -> dict[str, Any]:
    """A file's calibrations and population, whose digest is that of the file. CaseError where it makes no sense."""
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > SIZE_LIMIT:
            raise CaseError(f"{file} is no file of at most {SIZE_LIMIT >> 20} MB", HINT)
        raw = path.read_bytes()
        found = json.loads(raw)
    except OSError as error:
        raise CaseError(f"cannot read {file}: {error.strerror}", HINT) from None
    except (ValueError, RecursionError):
        raise CaseError(f"{file} is not JSON", HINT) from None
    if not isinstance(found, dict) or not found.get("calibrations"):
        raise CaseError(f"{file} holds no calibrations", HINT)
    kept = {key: found[key] for key in KEPT if key in found} | {"sha256": hashlib.sha256(raw).hexdigest()}
    try:
        _check(kept)
        assemble([kept])
    except PluginError as error:
        raise CaseError(f"{file}: {error.message}", error.hint or HINT) from None
    return kept


def _check(content: Mapping[str, Any]) -> None:
    """PluginError for texts that no record should repeat."""
    for key in ("id", "description"):
        text = content.get(key)
        if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= 2000:
            raise PluginError(f"{key!r} is no printable text of at most 2000 characters")


def read_calibrations(files: list[str]) -> tuple[dict[str, Any], ...]:
    """All files of a case; CaseError where two calibrate one probe or one is called like a bundled population."""
    contents = tuple(read_calibration(file) for file in files)
    try:
        load_reference((), contents)
    except PluginError as error:
        raise CaseError(error.message, error.hint or HINT) from None
    return contents
