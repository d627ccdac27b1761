"""Which of a place's files hold the weights, by the rule of loaders; what else looks like weights is noted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from forensics.checkpoint.config import parse_json
from forensics.checkpoint.gguf_split import split_parts
from forensics.checkpoint.place import FILES_LIMIT, Place, display_name, proper, read_small
from forensics.errors import CheckpointError
from forensics.records import Problem

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SINGLE_PICKLE, INDEX_PICKLE = "pytorch_model.bin", "pytorch_model.bin.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
NO_WEIGHTS = re.compile(
    r"(training_args|optimizer|scheduler|rng_state.*|adapter_model)\.(bin|pt|pth|safetensors)"
)
"""Files that end like weights and are none of the model's."""
ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A place's files by use; all names are relative with forward slashes."""

    place: Place
    names: tuple[str, ...]
    weights: tuple[str, ...]
    absent: tuple[str, ...] = ()
    """Shards that the index names and the place lacks."""
    indexed: frozenset[str] = frozenset()
    """Tensors that the index names; empty without index."""
    second: tuple[str, ...] = ()
    """Weights in another format beside `weights`, which another loader would take."""
    problems: tuple[Problem, ...] = ()


def list_place(place: Place) -> Listing:
    """What lies there; CheckpointError where nothing looks like weights.

    The order is that of transformers' own loader: `model.safetensors`, the shards of its index, any other safetensors
    files; then the same for pickles; then GGUF. Weights besides those are noted and keep `independent` away.
    """
    names, problems = place.names()
    top = [n for n in names if "/" not in n and not NO_WEIGHTS.fullmatch(n)]
    tensors = [n for n in top if n.endswith(".safetensors")]
    pickles = [n for n in top if n.endswith(PICKLES)]
    second: tuple[str, ...] = ()
    if explicit := _explicit(place, names):
        known = ("", explicit) if explicit.endswith(".json") else (explicit, INDEX)
        found = _chosen(place, names, tensors, known)
    elif tensors or INDEX in names:
        found = _chosen(place, names, tensors, (SINGLE, INDEX))
        named = {SINGLE_PICKLE, INDEX_PICKLE} & set(names)
        second = _chosen(place, names, pickles, (SINGLE_PICKLE, INDEX_PICKLE)).weights if named else ()
    elif pickles or INDEX_PICKLE in names:
        found = _chosen(place, names, pickles, (SINGLE_PICKLE, INDEX_PICKLE))
    else:
        found = _gguf(place, names)
    return Listing(
        place=place,
        names=names,
        weights=found.weights,
        absent=found.absent,
        indexed=found.indexed,
        second=second,
        problems=(*problems, *found.problems),
    )


def _explicit(place: Place, names: Sequence[str]) -> str:
    """The file that config.json names as `transformers_weights`, which transformers takes before any other; or none."""
    try:  # as leniently as transformers itself, so that a NaN elsewhere does not make the two take different files
        config = json.loads(read_small(place, "config.json", 4_000_000) or b"{}")
    except (CheckpointError, ValueError, RecursionError):
        return ""
    said = config.get("transformers_weights") if isinstance(config, dict) else None
    if not isinstance(said, str) or said not in names:
        return ""
    return said if said.endswith(".safetensors") or said == INDEX else ""


def _chosen(place: Place, names: Sequence[str], found: list[str], known: tuple[str, str]) -> Listing:
    """The weights of one format: the single file, else what the index names, else every file."""
    single, index = known
    if single not in names and index in names:
        return _indexed(place, tuple(names), index)
    weights = [single] if single in names else found
    others = sorted({n for n in found if n not in weights} | {n for n in names if n == index})
    problems = []
    if others:
        shown = ", ".join(map(display_name, others[:5]))
        message = f"{display_name(weights[0])} was read, as loaders do; beside it, not read: {shown}"
        problems.append(Problem(where="", code="WEIGHTS_AMBIGUOUS", message=message))
    return Listing(place=place, names=tuple(names), weights=tuple(weights), problems=tuple(problems))


def gguf_sets(names: Sequence[str]) -> list[list[str]]:
    """GGUF files that belong together, each set and its parts in name order."""
    sets: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names):
        part = split_parts(name)
        sets.setdefault((part[0], str(part[2])) if part else (name, ""), []).append(name)
    return list(sets.values())


def _gguf(place: Place, names: Sequence[str]) -> Listing:
    """One GGUF set of the place: the first complete one by name; others are noted."""
    sets = gguf_sets([n for n in names if n.endswith(".gguf") and "/" not in n])
    if not sets:
        raise _nothing(names)
    first, *others = sets
    problems = []
    if others:
        shown = ", ".join(display_name(s[0]) for s in others[:5])
        message = f"{display_name(first[0])} was read; other GGUF files beside it were not: {shown}"
        problems.append(Problem(where="", code="WEIGHTS_AMBIGUOUS", message=message))
    return Listing(place=place, names=tuple(names), weights=tuple(first), problems=tuple(problems))


def _nothing(names: Sequence[str]) -> CheckpointError:
    if not names:
        return CheckpointError("the folder is empty", "give a folder with weights in it", code="EMPTY")
    hint = "give a folder with safetensors, PyTorch or GGUF weights in it"
    return CheckpointError("no weights in the folder", hint, code="NO_WEIGHTS")


def _indexed(place: Place, names: tuple[str, ...], index: str) -> Listing:
    parsed = parse_json(read_small(place, index, 64_000_000) or b"", index)
    mapping = parsed.get("weight_map") if isinstance(parsed, dict) else None
    if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
        raise CheckpointError(f"{index} has no weight_map", code="INDEX")
    shards, absent, problems = [], [], []
    named = sorted(set(mapping.values()))
    if len(named) > FILES_LIMIT:
        raise CheckpointError(f"{index} names {len(named)} shards", code="INDEX")
    for shard in named:
        try:
            there = place.holds(proper(shard))
        except CheckpointError as error:
            problems.append(Problem(where="", code=error.code, message=f"index: {error.message}; not opened"))
            absent.append(display_name(shard))
            continue
        if there:
            shards.append(shard)
        else:
            absent.append(display_name(shard))
            message = f"{display_name(shard)} is named but not there"
            problems.append(Problem(where="", code="SHARD_ABSENT", message=message))
    return Listing(
        place=place, names=names, weights=tuple(shards), absent=tuple(absent), indexed=frozenset(mapping),
        problems=tuple(problems),
    )  # fmt: skip
