"""A code repository that lies apart from the weights: its text files, within budgets, as the examiner named it.

Nothing in it is run, imported or rendered, links to folders are not followed, and links to files only where they stay
inside. Folders are walked level by level in the order of names, so that junk deep below cannot push the licence at the
top off the list; version control's own folders are passed over.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from forensics.checkpoint.facts import TextFile
from forensics.checkpoint.leads import PREFIX
from forensics.checkpoint.manifest import recorded_name
from forensics.checkpoint.place import LocalPlace, read_small
from forensics.checkpoint.texts import EACH, decoded, is_paper, is_text
from forensics.errors import CheckpointError
from forensics.subjects import RepositorySeen

ENTRIES, DEPTH = 20_000, 12
"""Names that are looked at, and levels of folders."""
COUNT, ALL = 4_000, 64_000_000
"""Texts that are read, and bytes of all of them."""
PASSED_OVER = frozenset({".git", ".hg", ".svn", ".bzr", "__pycache__"})
CODE = (
    ".c", ".cc", ".cpp", ".cu", ".cuh", ".go", ".h", ".hpp", ".html", ".ini", ".ipynb", ".java", ".js", ".cfg", ".m",
    ".patch", ".pyi", ".pyx", ".rs", ".sh", ".toml", ".ts", ".xml",
)  # fmt: skip
"""Endings of texts that a repository has and a folder of weights does not, besides those of `texts`."""
DOCUMENTS = (".md", ".txt", ".rst", ".cff")
NUL_SHARE = 32
"""A file with a NUL in more than one of so many characters is no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What was read of one repository."""

    texts: tuple[TextFile, ...]
    """Documents about rights and origin first, then other documents, then code and settings; `PREFIX` before names."""
    seen: RepositorySeen
    """Its record, still without the name by which the case knows it."""
    problems: tuple[tuple[str, str], ...] = ()
    """(code, message) for what was cut off or could not be read."""


@dataclass(slots=True, kw_only=True)
class _Taken:
    """Texts as they are read, and what came in the way."""

    texts: list[TextFile] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    size: int = 0
    refused: list[str] = field(default_factory=list)
    binary: int = 0
    cut: int = 0
    left: int = 0


def read_repository(root: Path) -> Repository:
    """The repository in a folder; CheckpointError where there is none."""
    if not root.is_dir():
        raise CheckpointError("no such folder as its repository", "check the path", code="MISSING")
    names, whole = walked(root)
    place, taken = LocalPlace(root), _Taken()
    for name in sorted(filter(_is_text, names), key=_rank):
        if len(taken.texts) >= COUNT or taken.size >= ALL:
            taken.left += 1
        else:
            _take(place, name, taken)
    digest = hashlib.sha256("".join(sorted(taken.lines)).encode()).hexdigest()
    seen = RepositorySeen(name="", files=len(names), texts=len(taken.texts), size=taken.size, digest=digest)
    return Repository(texts=tuple(taken.texts), seen=seen, problems=tuple(_problems(taken, whole=whole)))


def walked(root: Path) -> tuple[list[str], bool]:
    """Relative names of all files, level by level, and whether these are all there are."""
    names: list[str] = []
    level, whole, seen = [""], True, 0
    for depth in range(DEPTH + 1):
        deeper: list[str] = []
        for folder in level:
            entries = sorted(islice(_entries(root, folder), ENTRIES + 1 - seen))
            seen += len(entries)
            names += [name for name, is_folder in entries if not is_folder]
            deeper += [name for name, is_folder in entries if is_folder]
            if seen > ENTRIES:
                return names[:ENTRIES], False
        whole = whole and not (deeper and depth == DEPTH)
        level = deeper
    return names, whole


def _entries(root: Path, folder: str) -> Iterator[tuple[str, bool]]:
    """(relative name, whether it is a folder) of what stands in a folder; a folder that cannot be read is empty."""
    try:
        with os.scandir(root / folder) as listed:
            for entry in listed:
                is_folder = entry.is_dir(follow_symlinks=False)
                if not (is_folder and entry.name in PASSED_OVER) and not _leads_to_folder(entry):
                    yield (f"{folder}/{entry.name}" if folder else entry.name), is_folder
    except OSError:
        return


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link to a folder; one that leads nowhere or in a circle is not."""
    try:
        return entry.is_symlink() and stat.S_ISDIR(os.stat(entry.path).st_mode)
    except OSError:
        return False


def _is_text(name: str) -> bool:
    return is_text(name) or name.lower().endswith(CODE)


def _rank(name: str) -> tuple[bool, bool, bool, int, str]:
    """What is read first: documents about rights, other documents, code before settings, the shallower, by name."""
    last = name.lower()
    return (
        not is_paper(name), not last.endswith(DOCUMENTS), last.endswith((".json", ".ipynb")), name.count("/"), name,
    )  # fmt: skip


def _take(place: LocalPlace, name: str, taken: _Taken) -> None:
    """Reads one text; what leads outside, is no file or is no text is counted."""
    shown = recorded_name(name)
    try:
        raw = read_small(place, name, EACH + 1)
    except CheckpointError:
        raw = None
    if raw is None:
        taken.refused.append(shown)
        return
    taken.size += len(raw)
    taken.cut += len(raw) > EACH
    taken.lines.append(f"{hashlib.sha256(raw).hexdigest()}  {shown}\n")
    text = decoded(raw[:EACH])
    if text.count("\0") * NUL_SHARE > len(text):
        taken.binary += 1
    else:
        taken.texts.append(TextFile(name=PREFIX + shown, text=text, truncated=len(raw) > EACH))


def _problems(taken: _Taken, *, whole: bool) -> Iterator[tuple[str, str]]:
    """What a reader must know of the repository before concluding anything from silence."""
    if not whole:
        yield (
            "REPOSITORY_CUT",
            f"repository: only {ENTRIES} names and {DEPTH} levels of folders were looked at",
        )
    if taken.left:
        yield "REPOSITORY_CUT", f"repository: {taken.left} text files beyond the budget were not read"
    if taken.cut:
        yield "REPOSITORY_CUT", f"repository: {taken.cut} text files were read up to {EACH} bytes only"
    if taken.binary:
        yield "REPOSITORY_BINARY", f"repository: {taken.binary} files are named as text and hold none"
    if taken.refused:
        first = taken.refused[0][:200]
        message = f"repository: {len(taken.refused)} files lead outside or cannot be read, e.g. {first!r}"
        yield "REPOSITORY_REFUSED", message
