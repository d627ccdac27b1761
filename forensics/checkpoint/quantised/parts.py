"""Entries that make one quantised matrix together, found by name over all files of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forensics.checkpoint.stored import Entry, Stored, WeightFile

WINDOW = 1 << 16
"""Bytes read at a time for the sake of a small part: writers put such parts beside each other."""
ACTIVATIONS = (
    "input_scale", "activation_scale", "output_scale", "input_global_scale", "input_zero_point", "k_scale",
    "v_scale", "weight_format",
)  # fmt: skip
"""Last parts of names of what belongs to a quantised layer and says nothing about its weights."""


class Refusal(Exception):  # noqa: N818 - a reason to leave a group out
    """A group that cannot be decoded; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An entry and the file it lies in."""

    index: int
    """Of the file among the checkpoint's."""
    file: WeightFile
    entry: Entry

    @property
    def name(self) -> str:
        """The entry's name."""
        return self.entry.name

    @property
    def dtype(self) -> str:
        """The entry's stored type."""
        return self.entry.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The entry's shape."""
        return self.entry.shape

    @property
    def size(self) -> int:
        """Bytes."""
        return self.entry.end - self.entry.begin

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset` on, to its end by default; CheckpointError where they cannot be had."""
        length = self.size - offset if length is None else length
        assert 0 <= offset <= offset + length <= self.size
        return self.file.read(self.entry.begin + offset, length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The parts of one quantised tensor, not checked yet."""

    name: str
    """Of the tensor before it was quantised."""
    main: Part
    """What the reading pass hands to the codec."""
    parts: Mapping[str, Part]
    """Companions, by what a scheme calls them."""
    packed: int = 1
    """Numbers per stored item, roughly: for counting the parameters of what is refused."""

    def need(self, *keys: str) -> Part:
        """The first of these companions that is there; Refusal where none is."""
        for key in keys:
            if key in self.parts:
                return self.parts[key]
        raise Refusal(f"quantised, without its {keys[0].strip('._')}")

    def stored(self, **known: Any) -> Stored:
        """The tensor with whatever else is known of it."""
        return Stored(
            name=self.name,
            file=self.main.index,
            entry=self.main.entry,
            companions=tuple((part.index, part.entry) for part in self.parts.values()),
            **known,
        )

    def refused(self, scheme: str, reason: str) -> Stored:
        """The tensor as one that cannot be decoded, at the shape that its bytes suggest."""
        *front, last = self.main.shape or (1,)
        return self.stored(
            shape=(*front, last * self.packed), precision=f"{scheme}-unread", codec=None, refused=reason
        )


@dataclass(slots=True)
class Inventory:
    """Every entry of every file by name, and small parts at hand. The first of two of the same name wins."""

    files: Sequence[WeightFile]
    config: Mapping[str, Any]
    named: dict[str, Part] = field(default_factory=dict)
    _windows: dict[tuple[int, str], tuple[int, bytes]] = field(default_factory=dict)
    zero_offset: int | None = None
    """What GPTQ adds to stored zeros, once it is known."""
    _scaled: bool | None = None

    def __post_init__(self) -> None:
        for index, file in enumerate(self.files):
            if file.format != "gguf":
                for entry in file.entries:
                    self.named.setdefault(entry.name, Part(index=index, file=file, entry=entry))

    @property
    def settings(self) -> Mapping[str, Any]:
        """What config.json says about the quantisation; a claim, never more."""
        for key in ("quantization_config", "compression_config"):
            said = self.config.get(key)
            if isinstance(said, Mapping):
                return said
        return {}

    def said(self, key: str) -> int:
        """A positive number from the settings, else 0."""
        value = self.settings.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

    @property
    def method(self) -> str:
        """How config.json says that the weights were quantised, else empty."""
        value = self.settings.get("quant_method")
        return value.lower() if isinstance(value, str) else ""

    @property
    def scaled(self) -> bool:
        """Whether any 8-bit float matrix of this checkpoint comes with scales."""
        if self._scaled is None:
            self._scaled = any(
                part.dtype.startswith("F8_E") and any(end in self.named for end in _scales_of(name))
                for name, part in self.named.items()
            )
        return self._scaled

    def group(
        self, main: Part, ending: str, name: str, companions: Sequence[str], packed: int = 1
    ) -> Group | None:
        """The group around `main`: what else begins like its name without `ending`; None where that does not fit."""
        if not main.name.endswith(ending) or self.named.get(main.name) is not main:
            return None
        prefix = main.name[: len(main.name) - len(ending)]
        parts = {key: self.named[prefix + key] for key in companions if prefix + key in self.named}
        layer = prefix.removesuffix(".weight") if not prefix.endswith(".") else prefix[:-1]
        for last in ACTIVATIONS:
            for key in (f"{layer}.{last}", f"{layer}_{last}"):
                if key in self.named and self.named[key] is not main:
                    parts.setdefault(f".{last}", self.named[key])
        return Group(name=prefix + name, main=main, parts=parts, packed=packed)

    def small(self, part: Part, limit: int = 4096) -> bytes:
        """All bytes of a small part; Refusal above `limit`, CheckpointError where they cannot be read."""
        if part.size > limit:
            raise Refusal(f"its {part.name.rsplit('.', 1)[-1][:40]} takes {part.size} bytes")
        key = part.index, part.dtype  # writers sort by type first
        start, held = self._windows.get(key, (0, b""))
        if not (start <= part.entry.begin and part.entry.end <= start + len(held)):
            start = part.entry.begin
            held = part.file.read(start, min(WINDOW, part.file.size - start))
            self._windows[key] = start, held
        return held[part.entry.begin - start : part.entry.end - start]


def _scales_of(name: str) -> tuple[str, ...]:
    return (f"{name}_scale", f"{name}_scale_inv", f"{name.removesuffix('.weight')}.scale")
