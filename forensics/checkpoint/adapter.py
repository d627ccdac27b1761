"""A LoRA adapter: merged into its base, tensor by tensor as it is read; or alone, described and not examined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.checkpoint.assembly import assembled, in_file_order, plain
from forensics.checkpoint.config import parse_json, sanitised
from forensics.checkpoint.folder import ADAPTER, Listing
from forensics.checkpoint.formats import open_weights
from forensics.checkpoint.lora import RANK_LIMIT, LowRank, Settings
from forensics.checkpoint.opened import Checkpoint
from forensics.checkpoint.place import Place, read_small
from forensics.checkpoint.source import ByteSource
from forensics.checkpoint.stored import Stored, WeightFile
from forensics.errors import CheckpointError
from forensics.records import Problem

if TYPE_CHECKING:
    from forensics.checkpoint.opening import Opening

FILES = ("adapter_model.safetensors", "adapter_model.bin")
UPDATE = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B|magnitude_vector)(?:\.default)?(?:\.weight)?"
)
PREFIX = re.compile(r"^(?:base_model\.model\.)?(?P<name>.+)$", re.DOTALL)
BYTES_LIMIT = 2 << 30
"""Bytes of an adapter's updates, which are held while the base is read."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A source under another name, so that the files of adapter and base can stand in one list."""

    inner: ByteSource
    name: str

    @property
    def size(self) -> int:
        """See ByteSource."""
        return self.inner.size

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        return self.inner.read(offset, length)

    def close(self) -> None:
        """See ByteSource."""
        self.inner.close()


@dataclass(slots=True, kw_only=True)
class Adapter:
    """The adapter's own tensors, sorted out."""

    config: Mapping[str, Any]
    updates: dict[str, LowRank] = field(default_factory=dict)
    """By the name of the base's tensor."""
    whole: dict[str, Stored] = field(default_factory=dict)
    """Tensors that replace the base's (modules_to_save, biases)."""
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def claim(self) -> str:
        """What it says its base is; unverified."""
        said = self.config.get("base_model_name_or_path")
        return said if isinstance(said, str) and said else ""

    def described(self) -> str:
        """Its size in a sentence."""
        ranks = sorted({u.A.shape[0] for u in self.updates.values()})
        kinds = sorted({name.split(".")[-2] for name in self.updates})
        norms = [u.norm() for u in self.updates.values()]
        claim = f"for a base that it calls {self.claim[:120]!r}" if self.claim else "which names no base"
        return (
            f"a LoRA adapter {claim}: {len(self.updates)} updates of rank {', '.join(map(str, ranks[:5])) or '?'} on "
            f"{', '.join(kinds[:12]) or 'nothing'}, Frobenius norms {min(norms, default=0):.3g} to "
            f"{max(norms, default=0):.3g}; {len(self.whole)} tensors saved whole"
        )


def open_adapter(place: Place, opening: Opening) -> Checkpoint:
    """The merged model if the base was named, else a checkpoint without examined weights that says what it is."""
    config = _config(place)
    names, limits = place.names()
    name = next((n for n in FILES if n in names), None)
    if name is None:
        hint = "give a folder that holds adapter_model.safetensors"
        raise CheckpointError("adapter_config.json without adapter weights", hint, code="NO_WEIGHTS")
    file = open_weights(place.open(name))
    adapter = _sorted_out(file, config)
    problems = [*limits, *(Problem(where="", code=c, message=m) for c, m in file.problems + adapter.problems)]
    listing = Listing(place=place, names=names, weights=(name,))
    if not opening.base:
        text = f"{adapter.described()}; without --base PATH there are no weights to examine"
        problems.append(Problem(where="", code="ADAPTER_ALONE", message=text))
        alone = [
            replace(plain(0, e), codec=None, refused="an adapter's update, without its base")
            for e in file.entries
        ]
        return _checkpoint([file], config, listing, problems, opening, tensors=alone)
    return _merged(file, adapter, listing, problems, opening)


def _config(place: Place) -> dict[str, Any]:
    parsed = sanitised(parse_json(read_small(place, ADAPTER, 4_000_000) or b"", ADAPTER))
    if not isinstance(parsed, dict):
        raise CheckpointError("adapter_config.json is not an object", code="ADAPTER")
    kind = parsed.get("peft_type")
    if isinstance(kind, str) and kind.upper() != "LORA":
        message = f"an adapter of type {kind[:40]!r}, of which only LORA is read"
        raise CheckpointError(message, "merge it into its base and name that folder", code="ADAPTER_KIND")
    return parsed


def _sorted_out(file: WeightFile, config: Mapping[str, Any]) -> Adapter:
    """Updates by the base's tensor they change; what does not fit together is a problem."""
    adapter = Adapter(config=config)
    settings, parts = Settings.of(config), dict[str, dict[str, Stored]]()
    held = 0
    for stored in assembled([file], config):
        name = PREFIX.sub(r"\g<name>", stored.name)
        found = UPDATE.fullmatch(name)
        if not found:
            adapter.whole[name.replace(".modules_to_save.default", "")] = stored
            continue
        held += stored.elements * 4
        parts.setdefault(found["module"], {})[found["part"]] = stored
    if held > BYTES_LIMIT:
        raise CheckpointError(f"updates of {held} bytes", "merge it into its base", code="ADAPTER_TOO_LARGE")
    for module in sorted(parts):
        try:
            adapter.updates[f"{module}.weight"] = _update(file, module, parts[module], settings)
        except CheckpointError as error:
            adapter.problems.append((error.code, f"{module[:200]}: {error.message}"))
    return adapter


def _update(file: WeightFile, module: str, parts: Mapping[str, Stored], settings: Settings) -> LowRank:
    turned = "embedding_A" in parts
    A, B = (_read(file, parts.get(("embedding_" if turned else "") + which)) for which in "AB")
    if A is None or B is None or A.ndim != 2 or B.ndim != 2 or A.shape[0] != B.shape[1]:
        raise CheckpointError("its two factors do not fit each other", code="ADAPTER_SHAPE")
    rank = A.shape[0]
    if not 1 <= rank <= RANK_LIMIT:
        raise CheckpointError(f"an update of rank {rank}", code="ADAPTER_RANK")
    scale = settings.scale(module, rank)
    if not np.isfinite(scale):
        raise CheckpointError(
            "adapter_config.json does not say plainly how large it is", code="ADAPTER_SCALE"
        )
    magnitude = _read(file, parts.get("magnitude_vector"))
    if magnitude is not None and magnitude.size != (A.shape[1] if turned else B.shape[0]):
        raise CheckpointError("its magnitudes do not fit its factors", code="ADAPTER_SHAPE")
    if turned:  # an embedding's rows are tokens: ΔE = s (B A)ᵀ
        A, B = np.ascontiguousarray(B.T), np.ascontiguousarray(A.T)
    flat = None if magnitude is None else magnitude.reshape(-1)
    return LowRank(A=A, B=B * np.float32(scale), magnitude=flat)


def _read(file: WeightFile, stored: Stored | None) -> Any:
    """A small tensor whole, in its own shape; None where there is none or it cannot be decoded."""
    if stored is None or stored.codec is None:
        return None
    if not stored.elements:
        return np.zeros(stored.shape, np.float32)
    raw = file.read(stored.entry.begin, stored.entry.end - stored.entry.begin)
    return np.concatenate([block for _, block in stored.codec.decode(raw, 0)]).reshape(stored.shape)


def _merged(
    file: WeightFile, adapter: Adapter, listing: Listing, problems: list[Problem], opening: Opening
) -> Checkpoint:
    from forensics.checkpoint.opening import open_location

    label = opening.label
    base = open_location(
        opening.base,
        replace(opening, base="", label=f"{Path(opening.base).name}, the base named for {label}"),
    )
    files = [file, *(replace(one, source=Renamed(one.source, f"base/{one.name}")) for one in base.files)]
    tensors, unplaced = _patched((p.stored for p in base.plan.tensors), adapter)
    stray = [adapter.whole[n] for n in unplaced if n in adapter.whole]
    much = 4 * sum(t.elements for t in stray) > sum(t.elements for t in tensors)
    tensors = [*(replace(t, codec=None, refused="fits no tensor of the base") for t in stray), *tensors]
    if much or (unplaced and len(unplaced) == len(adapter.updates) + len(adapter.whole)):
        message = (
            f"{'much' if much else 'none'} of the adapter, {len(unplaced)} tensors, belongs to "
            f"{'no tensor' if much else 'a tensor'} of {Path(opening.base).name}"
        )
        raise CheckpointError(
            message, "name the model it was made for with --base", code="ADAPTER_BASE_MISMATCH"
        )
    if unplaced:
        message = (
            f"{len(unplaced)} of the adapter's tensors fit none of the base's, e.g. {unplaced[0][:80]!r}"
        )
        problems.append(Problem(where="", code="ADAPTER_BASE_MISMATCH", message=message))
    text = f"{adapter.described()}; merged into {Path(opening.base).name} as it was read"
    problems.append(Problem(where="", code="ADAPTER_MERGED", message=text))
    problems += base.problems
    merged = _checkpoint(
        files, base.config, listing, problems, opening, tensors=tensors, tokenizer=base.tokenizer
    )
    merged.form = "merged"
    return merged


def _patched(base: Iterable[Stored], adapter: Adapter) -> tuple[list[Stored], list[str]]:
    """The base's tensors with the adapter's changes, files counted one further; and names that fit nothing."""
    left = set(adapter.updates) | set(adapter.whole)
    tensors = []
    for stored in base:
        moved = replace(
            stored, file=stored.file + 1, companions=tuple((f + 1, e) for f, e in stored.companions)
        )
        whole, update = adapter.whole.get(stored.name), adapter.updates.get(stored.name)
        if whole is not None and whole.shape == stored.shape:
            moved = replace(whole, name=stored.name)
            left.discard(stored.name)
        elif update is not None:
            moved = replace(moved, patch=update, precision=f"{stored.precision}+lora")
            left.discard(stored.name)
        tensors.append(moved)
    return sorted(tensors, key=in_file_order), sorted(left)


def _checkpoint(
    files: list[WeightFile],
    config: Mapping[str, Any],
    listing: Listing,
    problems: Sequence[Problem],
    opening: Opening,
    **rest: Any,
) -> Checkpoint:
    return Checkpoint(
        label=opening.label,
        files=files,
        config=config,
        listing=listing,
        problems=[Problem(where=opening.label, code=p.code, message=p.message) for p in problems],
        layouts=opening.layouts,
        **rest,
    )
