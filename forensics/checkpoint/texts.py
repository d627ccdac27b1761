"""The text files of a checkpoint, within budgets: card, licences, notices, code, small configs."""

from __future__ import annotations

import codecs
import re

from forensics.checkpoint.facts import TextFile
from forensics.checkpoint.folder import Listing
from forensics.checkpoint.place import read_small
from forensics.errors import CheckpointError

EACH = 1_000_000
ALL = 16_000_000
COUNT = 200
ENDINGS = (".md", ".txt", ".py", ".json", ".jinja", ".yaml", ".yml", ".rst", ".cff")
NOT_TEXT = ("tokenizer.json", "tekken.json", "vocab.json", "merges.txt", ".index.json", "added_tokens.json")
PAPER = re.compile(
    r"(?:open[-_ .]?source[-_ .]?software|(?:usage?|acceptable)[-_ .]?(?:use[-_ .]?)?policy|readme|copying|"
    r"(?:un)?licen[cs]e|notice|third[-_ .]?party|copyright|legal|patents?|authors|contributors|credits|"
    r"acknowledg|attribution|terms[-_ .]of|model[-_ .]?card)"
)
"""How names of documents begin that speak of rights and origin, in small letters and whatever their ending."""
BINARY = (
    ".pdf", ".docx", ".doc", ".odt", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".zip", ".gz", ".whl", ".safetensors",
    ".bin", ".pt", ".pth",
)  # fmt: skip
"""Endings under which even a document's name promises no text."""


def is_paper(name: str) -> bool:
    """Whether a file's own name is that of a document about rights and origin: licence, notice, readme and the like."""
    last = re.split("[/:]", name)[-1].lower()  # a repository's names begin with `repository:`
    return not last.endswith(BINARY) and PAPER.match(last) is not None


def is_text(name: str) -> bool:
    """Whether a file is worth reading as text by its name."""
    last = name.rsplit("/", 1)[-1].lower()
    return not last.endswith(NOT_TEXT) and (last.endswith(ENDINGS) or is_paper(last))


def decoded(raw: bytes) -> str:
    """Text of a file's bytes: UTF-16 where it begins with a mark that says so, else UTF-8 with replacement."""
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return raw.decode("utf-16" if marked else "utf-8-sig", "replace")


def read_texts(listing: Listing) -> tuple[tuple[TextFile, ...], int]:
    """Texts in name order and how many more there are; an unreadable one is left out (the manifest says why)."""
    found: list[TextFile] = []
    used = omitted = 0
    for name in listing.names:
        if not is_text(name):
            continue
        if len(found) >= COUNT or used >= ALL:
            omitted += 1
            continue
        try:
            raw = read_small(listing.place, name, EACH + 1)
        except CheckpointError:
            continue
        if raw is not None:
            used += len(raw)
            found.append(TextFile(name=name, text=decoded(raw[:EACH]), truncated=len(raw) > EACH))
    return tuple(found), omitted
