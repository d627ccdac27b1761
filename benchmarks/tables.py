"""Generated blocks of documents: what stands between two marks is replaced, the rest is left alone."""

from __future__ import annotations

from pathlib import Path


def put(document: Path, block: str, text: str) -> None:
    """Replaces what stands between `<!-- BLOCK:begin -->` and `<!-- BLOCK:end -->`; ValueError without the marks."""
    begin, end = f"<!-- {block}:begin -->", f"<!-- {block}:end -->"
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document.name} has no block {block!r}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
