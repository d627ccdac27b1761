"""`org/name` or `org/name@revision`: how a repository on a hub is named on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
"""One half of a repository's name; the hub's own rules also forbid `--` and `..` (huggingface_hub._validators)."""
REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/+-]{0,198}[A-Za-z0-9_+-])?")
"""A branch, a tag, `refs/pr/1` or a commit."""
COMMIT = re.compile(r"[0-9a-f]{40}")


def repository_name(text: str) -> bool:
    """Whether this is an owner and a name as the hub allows them."""
    parts = text.split("/")
    return (
        len(parts) == 2
        and len(text) <= 96
        and all(PART.fullmatch(part) and "--" not in part and ".." not in part for part in parts)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLocation:
    """A repository and, where one was named, a revision of it."""

    name: str
    """`org/name`."""
    revision: str = ""
    """Branch, tag or commit; empty for the repository's main branch."""

    @classmethod
    def parse(cls, text: str) -> HubLocation | None:
        """What `text` names, or None if it has another form. A local path of that name goes first; see the caller."""
        name, at, revision = text.partition("@")
        if not repository_name(name) or (at and not revision):
            return None
        if revision and (not REVISION.fullmatch(revision) or ".." in revision or "//" in revision):
            return None
        return cls(name=name, revision=revision)

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name
