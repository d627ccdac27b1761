"""The text files of a checkpoint, within budgets: card, licences, notices, code, small configs."""

from __future__ import annotations

from forensics.checkpoint.facts import TextFile
from forensics.checkpoint.folder import Listing
from forensics.checkpoint.place import read_small
from forensics.errors import CheckpointError

EACH = 1_000_000
ALL = 16_000_000
COUNT = 200
ENDINGS = (".md", ".txt", ".py", ".json", ".jinja", ".yaml", ".yml", ".rst", ".cff")
NAMES = ("license", "licence", "notice", "copying", "readme", "authors", "use_policy", "usage_policy")
NOT_TEXT = ("tokenizer.json", "tekken.json", "vocab.json", "merges.txt", ".index.json", "added_tokens.json")


def is_text(name: str) -> bool:
    """Whether a file is worth reading as text by its name."""
    last = name.rsplit("/", 1)[-1].lower()
    if last.endswith(NOT_TEXT):
        return False
    return last.endswith(ENDINGS) or last.startswith(NAMES)


def read_texts(listing: Listing) -> tuple[TextFile, ...]:
    """Texts in name order; an unreadable one is left out (the manifest says why)."""
    found: list[TextFile] = []
    used = 0
    for name in listing.names:
        if not is_text(name) or len(found) >= COUNT or used >= ALL:
            continue
        try:
            raw = read_small(listing.place, name, EACH + 1)
        except CheckpointError:
            continue
        if raw is not None:
            used += len(raw)
            text = raw[:EACH].decode("utf-8", "replace")
            found.append(TextFile(name=name, text=text, truncated=len(raw) > EACH))
    return tuple(found)
