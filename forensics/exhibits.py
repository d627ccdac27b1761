"""What the parties put in: documents and statements, as they go into the record; identified, never weighed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from forensics.readings import STRICT

FOLDER = "exhibits"
"""Where a case keeps the copies, beside its record."""

Side: TypeAlias = Literal["for", "against"]
"""For or against the claim that the suspect descends from a candidate."""

ENDINGS = {
    "application/msword": ".doc",
    "application/pdf": ".pdf",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/gzip": ".gz",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".txt",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "text/html": ".txt",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}
"""Ending of a copy by its media type. What a browser would run (HTML, SVG) is kept as text; all else as `.bin`."""

DIGEST = re.compile(r"[0-9a-f]{64}")
COPY = re.compile(r"[0-9a-f]{16}(-[A-Za-z0-9-]{1,40})?\.[a-z0-9]{2,4}")
"""Names that copies have within their folder, and no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A document that a party put in: an accusation, a denial, a screenshot. It has no weight."""

    name: str
    """The file's own name as displayed, without its folders."""
    note: str
    """What the examiner says of it; empty where nothing was said."""
    size: int
    """In bytes."""
    sha256: str
    media_type: str
    """By the first bytes; the name only tells apart what begins alike (office documents)."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A party's own words on the claim, quoted; they have no weight."""

    side: Side
    name: str
    """The file's own name as displayed, without its folders."""
    size: int
    """In bytes."""
    sha256: str
    text: str
    """As the file holds it, at most the first part."""
    omitted: int = 0
    """Characters of the file behind `text`."""

    __pydantic_config__: ClassVar[Any] = STRICT


def copied_as(document: Exhibit | Statement) -> str:
    """Path of a document's copy from its case's folder, `/` between parts; empty where the record's digest is none.

    Made of nothing but hexadecimal digits, ASCII letters, digits and hyphens, whatever the record says.
    """
    if not DIGEST.fullmatch(document.sha256):
        return ""
    stem = document.name.rpartition(".")[0] or document.name
    words = re.sub("[^A-Za-z0-9]+", "-", stem)[:40].strip("-")
    media = document.media_type if isinstance(document, Exhibit) else "text/plain"
    return f"{FOLDER}/{document.sha256[:16]}{'-' if words else ''}{words}{ENDINGS.get(media, '.bin')}"
