"""What lies in a checkpoint folder: weight files by rule, text files by budget, nothing outside the folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.safetensors_file import HEADER_LIMIT
from forensics.checkpoint.source import open_regular, read_exactly
from forensics.errors import CheckpointError
from forensics.records import Problem

FILES_LIMIT = 5_000
DEPTH_LIMIT = 4
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
NEEDED = (".safetensors", INDEX, "config.json", "tokenizer.json")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A folder's files by use; all names are relative with forward slashes."""

    root: Path
    names: tuple[str, ...]
    weights: tuple[str, ...]
    absent: tuple[str, ...]
    """Shards that the index names and the folder lacks."""
    indexed: frozenset[str]
    """Tensors that the index names; empty without index."""
    declared_bytes: int
    """`total_size` of the index; 0 without."""
    problems: tuple[Problem, ...]


def walk(root: Path) -> tuple[list[str], list[Problem]]:
    """Relative names of all files, sorted, hidden folders left out; problems where a budget was reached."""
    names: list[str] = []
    problems: list[Problem] = []
    for folder, folders, files in os.walk(root, followlinks=False):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < DEPTH_LIMIT else []
        names += [(Path(folder) / f).relative_to(root).as_posix() for f in files]
        if len(names) > FILES_LIMIT:
            problems.append(
                Problem(where="", code="TOO_MANY_FILES", message=f"only {FILES_LIMIT} files were listed")
            )
            break
    names.sort(
        key=lambda n: (not n.endswith(NEEDED), n.count("/"), n)
    )  # junk must not push weights off the list
    return sorted(names[:FILES_LIMIT]), problems


def inside(root: Path, name: str) -> Path:
    """The real path of a file named relative to `root`.

    Refused (PATH_ESCAPE): absolute names, `..`, backslashes, NUL, schemes, and links that leave the folder, except
    a hub cache's own links from `snapshots/` into `blobs/`.
    """
    pure = PurePosixPath(name)
    if (
        pure.is_absolute()
        or ".." in pure.parts
        or any(bad in name for bad in ("\\", "\0", "://"))
        or not name
    ):
        raise CheckpointError(f"{name[:200]!r} names a file outside the folder", code="PATH_ESCAPE")
    try:
        home, real = root.resolve(), (root / name).resolve()
    except (OSError, RuntimeError, ValueError):
        raise CheckpointError(f"{name[:200]!r} cannot be resolved", code="PATH_ESCAPE") from None
    allowed = [home]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in allowed):
        raise CheckpointError(f"{name[:200]!r} leads outside the folder", code="PATH_ESCAPE")
    return real


def read_small(root: Path, name: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a file, or None where there is no such file."""
    path = inside(root, name)
    if not os.path.exists(path):
        return None
    fd, size = open_regular(path, name)
    try:
        return read_exactly(fd, 0, min(size, limit))
    finally:
        os.close(fd)


def list_folder(root: Path) -> Listing:
    """Which files hold the weights: `model.safetensors`, else those of the index, else every safetensors file.

    That is the order of transformers' own loader; weights besides those are noted and keep `independent` away.
    """
    names, problems = walk(root)
    single = os.path.lexists(root / SINGLE) and not os.path.isdir(root / SINGLE)
    if not single and os.path.lexists(root / INDEX):
        return _indexed(root, names, problems)
    found = [n for n in names if n.endswith(".safetensors") and "/" not in n]
    weights = [SINGLE] if single else found
    others = sorted({n for n in found if n not in weights} | {n for n in names if single and n == INDEX})
    if others:
        message = f"{SINGLE} was read, as loaders do; beside it, not read: {', '.join(map(display_name, others[:5]))}"
        problems.append(Problem(where="", code="WEIGHTS_AMBIGUOUS", message=message))
    if not weights:
        _explain_absence(names)
    return Listing(
        root=root, names=tuple(names), weights=tuple(weights), absent=(), indexed=frozenset(), declared_bytes=0,
        problems=tuple(problems),
    )  # fmt: skip


def _explain_absence(names: list[str]) -> None:
    if not names:
        raise CheckpointError(
            "the folder is empty", "give a folder with config.json and safetensors", code="EMPTY"
        )
    for name in names:
        if name.endswith((*PICKLES, ".gguf")):
            raise _foreign(name, gguf=name.endswith(".gguf"))
    raise CheckpointError(
        "no safetensors file in the folder",
        "give a folder with config.json and safetensors",
        code="NO_WEIGHTS",
    )


def _foreign(name: str, *, gguf: bool) -> CheckpointError:
    shown = display_name(name)
    if gguf:
        message = f"only GGUF weights ({shown}), which are not read yet"
        return CheckpointError(
            message, "name the safetensors checkpoint they were made from", code="GGUF_ONLY"
        )
    return CheckpointError(
        f"only pickled weights ({shown}), which can run code when loaded and are not read",
        "convert the checkpoint to safetensors in a sandbox and name that folder",
        code="PICKLE_ONLY",
    )


def refuse_foreign(path: Path) -> None:
    """Raises a clear CheckpointError for a single file in a format that is known and not read."""
    fd, size = open_regular(path.resolve(), path.name)
    try:
        magic = read_exactly(fd, 0, min(8, size))
    finally:
        os.close(fd)
    if int.from_bytes(magic, "little") <= HEADER_LIMIT:
        return  # the length of a safetensors header, whatever its bytes look like
    if magic.startswith((b"GGUF", b"PK\x03\x04", *(bytes([0x80, version]) for version in range(2, 6)))):
        raise _foreign(path.name, gguf=magic.startswith(b"GGUF"))


def display_name(name: str) -> str:
    """A file's name as Unicode text of bounded length: bytes that are none are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()[:200]


def _indexed(root: Path, names: list[str], problems: list[Problem]) -> Listing:
    raw = read_small(root, INDEX, 64_000_000) or b""
    parsed = parse_json(raw, INDEX)
    mapping = parsed.get("weight_map") if isinstance(parsed, dict) else None
    if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
        raise CheckpointError(f"{INDEX} has no weight_map", code="INDEX")
    shards, absent = [], []
    named = sorted(set(mapping.values()))
    if len(named) > FILES_LIMIT:
        raise CheckpointError(f"{INDEX} names {len(named)} shards", code="INDEX")
    for shard in named:
        try:
            path = inside(root, shard)
        except CheckpointError as error:
            problems.append(Problem(where="", code=error.code, message=f"index: {error.message}; not opened"))
            absent.append(display_name(shard))
            continue
        if os.path.exists(path):
            shards.append(shard)
        else:
            absent.append(display_name(shard))
            message = f"{display_name(shard)} is named but not there"
            problems.append(Problem(where="", code="SHARD_ABSENT", message=message))
    metadata = parsed.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return Listing(
        root=root, names=tuple(names), weights=tuple(shards), absent=tuple(absent), indexed=frozenset(mapping),
        declared_bytes=total if isinstance(total, int) and 0 < total < 2**53 else 0, problems=tuple(problems),
    )  # fmt: skip
