"""Which code reads and sketches: a digest that changes with our own sources and the libraries below them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from forensics.records import Origin

APART = (
    "calibrating", "differences.py", "evidence", "exhibits.py", "filing.py", "plugins", "report", "templates",
    "testing", "verifying",
)  # fmt: skip
"""Rooms that take no part in a sketch; a plugin's own digest stands in its origin."""
LIBRARIES = ("gguf", "numpy", "scipy", "tokenizers", "torch", "transformers")


def _sources() -> Iterator[tuple[str, Path]]:
    """(name, path) of every source and table that can change a sketch, without the plugins' own modules."""
    home = Path(__file__).parent
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home)
        if path.suffix in {".py", ".json", ".npz"} and name.parts[0] not in APART:
            yield name.as_posix(), path
    plugins = importlib.util.find_spec("forensics.plugins")
    for folder in sorted(plugins.submodule_search_locations or ()) if plugins else ():
        for path in sorted(Path(folder).rglob("*.json")):
            yield f"plugins/{path.relative_to(folder).as_posix()}", path


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


@cache
def _ours() -> str:
    whole = hashlib.sha256()
    for name, path in _sources():
        whole.update(f"{name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    versions = {library: _version(library) for library in LIBRARIES}
    running = [platform.python_version(), platform.machine()]
    whole.update(json.dumps([versions, running], sort_keys=True).encode())
    return whole.hexdigest()


def vintage(readers: Iterable[Origin]) -> str:
    """Digest of our reading code and of strangers' code that opens checkpoints; empty where some cannot be told."""
    strangers = [(o.distribution, o.version, o.sha256) for o in readers]
    if not all(sha256 for _, _, sha256 in strangers):
        return ""
    try:
        return hashlib.sha256(json.dumps([_ours(), strangers]).encode()).hexdigest()
    except OSError:
        return ""
