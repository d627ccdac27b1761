"""From a location to a checkpoint, with a reason for whatever cannot be opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forensics.checkpoint.config import declared, read_config
from forensics.checkpoint.divergence import divergence
from forensics.checkpoint.folder import ADAPTER, Listing, gguf_sets, list_place
from forensics.checkpoint.formats import open_weights
from forensics.checkpoint.layout import Layout
from forensics.checkpoint.opened import Checkpoint
from forensics.checkpoint.place import LocalPlace, Place, display_name, read_small
from forensics.checkpoint.quantised import contradictions
from forensics.checkpoint.stored import WeightFile
from forensics.errors import CheckpointError
from forensics.records import Problem

CONFIG_LIMIT = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an opener is told besides the location."""

    label: str = ""
    layouts: tuple[Layout, ...] | None = None
    """Every known architecture; None for the bundled ones."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """By location: what is not on this machine, as the parent process hands it in."""
    base: str = ""
    """Location of the model that an adapter was made for, as the user named it; empty where they did not."""


def open_checkpoint(
    location: str | Path, *, label: str = "", layouts: Iterable[Layout] | None = None, base: str = ""
) -> Checkpoint:
    """Opens a folder or one file of weights; CheckpointError (message, hint, code) where that is impossible."""
    known = tuple(layouts) if layouts is not None else None
    return open_location(str(location), Opening(label=label, layouts=known, base=base))


def open_location(location: str, opening: Opening) -> Checkpoint:
    """See open_checkpoint; what stands at the location decides how it is read."""
    opening = replace(opening, label=opening.label or Path(location).name)
    place = opening.places.get(location) or local_place(Path(location), opening.label)
    if place.holds(ADAPTER):
        from forensics.checkpoint.adapter import open_adapter

        return open_adapter(place, opening)
    return open_place(place, opening)


def local_place(path: Path, label: str) -> LocalPlace:
    """A folder, or one file (of a split GGUF: its other parts too) without its neighbours."""
    if not os.path.exists(path):  # unlike Path.exists, never raises
        raise CheckpointError(f"{label}: no such file or folder", "check the path", code="MISSING")
    if path.is_dir():
        return LocalPlace(path)
    real = path.resolve()  # what the user named may be a link; what a checkpoint names may not
    only = {real.name}
    if real.name.endswith(".gguf"):
        beside = sorted(n for n in os.listdir(real.parent) if n.endswith(".gguf"))
        only |= {n for found in gguf_sets(beside) if real.name in found for n in found}
    return LocalPlace(real.parent, frozenset(only))


def open_place(place: Place, opening: Opening) -> Checkpoint:
    """The checkpoint whose files lie in `place`."""
    single = isinstance(place, LocalPlace) and place.only
    listing = (
        Listing(place=place, names=tuple(sorted(place.only)), weights=tuple(sorted(place.only)))
        if isinstance(place, LocalPlace) and single
        else list_place(place)
    )
    label = opening.label
    problems = [Problem(where=label, code=p.code, message=p.message) for p in listing.problems]
    files = _opened(listing, label, problems)
    config, tokenizer = _described(place, files, label, problems, silent=bool(single))
    checkpoint = Checkpoint(
        label=label, files=files, config=config, listing=listing, problems=problems, layouts=opening.layouts,
        tokenizer=tokenizer,
    )  # fmt: skip
    checkpoint.problems += [Problem(where=label, code=c, message=m) for c, m in divergence(listing, files)]
    checkpoint.problems += _contradictions(checkpoint, listing)
    doubts = contradictions([p.stored for p in checkpoint.plan.tensors], config)
    checkpoint.problems += [Problem(where=label, code=c, message=m) for c, m in doubts]
    return checkpoint


def _opened(listing: Listing, label: str, problems: list[Problem]) -> list[WeightFile]:
    """Every weight file that can be opened; what cannot is a problem, and an error where nothing is left."""
    files = []
    for name in listing.weights:
        try:
            files.append(open_weights(listing.place.open(name)))
            problems += _faults(files[-1], label)
        except CheckpointError as error:
            if len(listing.weights) == 1 and not listing.absent:
                raise
            shown = display_name(name)
            message = error.message if shown in error.message else f"{shown}: {error.message}"
            problems.append(Problem(where=label, code=error.code, message=message))
    if any(f.entries for f in files):
        if files[0].format == "gguf":
            from forensics.checkpoint.gguf_split import split_problems

            problems += [Problem(where=label, code=c, message=m) for c, m in split_problems(files)]
        return files
    reason = "; ".join(p.message for p in problems) or "no tensors"
    raise CheckpointError(
        f"no weights could be read ({reason[:1500]})", "fetch the files again", code="NO_WEIGHTS"
    )


def _faults(file: WeightFile, label: str) -> list[Problem]:
    found = list(file.problems)
    name, prefix = display_name(file.name), {"safetensors": "ST", "gguf": "GGUF"}.get(file.format, "TORCH")
    if file.missing:
        message = f"{name} ends {len(file.missing)} tensors early; what is there was examined"
        found.append((f"{prefix}_TRUNCATED", message))
    if file.trailing:
        found.append((f"{prefix}_TRAILING", f"{name} has {file.trailing} bytes behind its last tensor"))
    return [Problem(where=label, code=code, message=message) for code, message in found]


def _described(
    place: Place, files: list[WeightFile], label: str, problems: list[Problem], *, silent: bool
) -> tuple[dict[str, Any], Any]:
    """Config and, where the weights bring it along, tokenizer.

    A GGUF header wins over a config.json beside it: it is what llama.cpp goes by, so it cannot lie and still run.
    """
    config: dict[str, Any] = {}
    gguf = files[0].format == "gguf"
    try:
        raw = read_small(place, "config.json", CONFIG_LIMIT)
        if raw is None:
            raw = read_small(place, "params.json", CONFIG_LIMIT)  # Meta's and Mistral's own releases
        config = read_config(raw) if raw is not None else {}
        if raw is None and not gguf and not silent:
            message = "no config.json; shapes alone were used"
            problems.append(Problem(where=label, code="NO_CONFIG", message=message))
    except CheckpointError as error:
        problems.append(Problem(where=label, code=error.code, message=error.message))
    if not gguf:
        return config, None
    from forensics.checkpoint.gguf_facts import gguf_config, gguf_tokenizer

    return {**config, **gguf_config(files[0].metadata)}, gguf_tokenizer(files[0].metadata)


def _repeated(checkpoint: Checkpoint) -> list[Problem]:
    """Tensors that several files hold."""
    counts = Counter(e.name for f in checkpoint.files for e in f.entries)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if not twice:
        return []
    message = f"{len(twice)} tensors are in two files, and loaders differ in which they take, e.g. {twice[0][:80]!r}"
    return [Problem(where=checkpoint.label, code="TENSOR_TWICE", message=message)]


def _contradictions(checkpoint: Checkpoint, listing: Listing) -> list[Problem]:
    """Where index or config say otherwise than the tensors, which are believed."""
    found: list[Problem] = []
    there = {e.name for f in checkpoint.files for e in (*f.entries, *f.missing, *(r[0] for r in f.refused))}
    found += _repeated(checkpoint)
    lost = sum(name not in there for name in listing.indexed) if not listing.absent else 0
    if lost:
        message = f"{lost} tensors that the index names are in no shard"
        found.append(Problem(where=checkpoint.label, code="INDEX_TENSOR_ABSENT", message=message))
    whole = not (lost or listing.absent or any(f.missing for f in checkpoint.files))
    shapes = checkpoint.architecture
    for what, shown in (
        ("layers", shapes.layers),
        ("width", shapes.width),
        ("vocabulary", shapes.vocabulary),
    ):
        said = declared(checkpoint.config, what)
        if whole and said and shown and said != shown:
            message = f"config.json declares {what} {said}, the tensors show {shown}"
            found.append(Problem(where=checkpoint.label, code="CONFIG_MISMATCH", message=message))
    return found
