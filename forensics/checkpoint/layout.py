"""Architectures as data: which stored tensor holds which canonical tensors, and at which rows.

A layout is a JSON file: templates of tensor names, each giving one role, or several roles and how they are
fused (`split`). The tensors decide which layout applies; what config.json declares only breaks ties.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from forensics.checkpoint.facts import ROLES
from forensics.errors import PluginError

NUMBER = re.compile(r"[0-9]+")
PREFIX = re.compile(r"^(?:(?:model|language_model|transformer|gpt_neox|base_model|text_model|backbone)\.)*")
SPLITS = {
    "": 1,
    "qkv": 3,
    "qkv-per-head": 3,
    "halves": 2,
    "experts": 1,
    "experts-halves": 2,
    "experts-interleaved": 2,
}
"""Ways of fusing, and how many roles each fuses."""
BUFFER = "buffer"
"""Role of stored things that are no parameters: rotary frequencies, causal masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One name template: what it matches and what it holds."""

    skeleton: str
    """The template with every number as `#`, so that a name meets only the rules that can match it."""
    pattern: re.Pattern[str]
    roles: tuple[str, ...]
    split: str = ""
    transpose: bool = False
    """Matrices are stored (in, out)."""
    paired: bool = False
    """Rows of a rotary pair are stored beside each other, as Meta and GGUF do, not in two halves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A stored name recognised by a rule."""

    rule: Rule
    layer: int | None
    expert: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One family of architectures."""

    name: str
    model_types: tuple[str, ...]
    norm: str
    norm_offset: float
    """Added to stored norm gains to get the effective gain (1 for Gemma)."""
    offset_types: tuple[str, ...]
    """Declared types to which `norm_offset` applies; empty for all."""
    rope: bool
    glu: bool
    rules: Mapping[str, tuple[Rule, ...]]
    """By skeleton."""
    requires: frozenset[str] = frozenset()
    """Skeletons of names without which a checkpoint is not of this family, whatever its config declares."""

    def match(self, name: str) -> Match | None:
        """The rule for a stored name, wrappers' prefixes removed."""
        stripped = PREFIX.sub("", name)
        for rule in self.rules.get(_skeleton(stripped), ()):
            found = rule.pattern.fullmatch(stripped)
            if found:
                numbers = found.groupdict()
                layer, expert = numbers.get("layer"), numbers.get("expert")
                return Match(
                    rule=rule,
                    layer=None if layer is None else int(layer),
                    expert=None if expert is None else int(expert),
                )
        return None

    def gain_offset(self, model_type: str) -> float:
        """What to add to stored norm gains for a checkpoint declared as `model_type`."""
        applies = not self.offset_types or model_type in self.offset_types
        return self.norm_offset if applies else 0.0


def _skeleton(name: str) -> str:
    """A name with every number as `#`."""
    return NUMBER.sub("#", name)


def _template_skeleton(template: str) -> str:
    return _skeleton(template.replace("{layer}", "0").replace("{expert}", "0"))


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template).replace(r"\{layer\}", "(?P<layer>[0-9]{1,5})")
    return re.compile(escaped.replace(r"\{expert\}", "(?P<expert>[0-9]{1,5})"))


def _rule(template: str, meaning: object) -> Rule:
    given = {"roles": (meaning,)} if isinstance(meaning, str) else meaning
    if not isinstance(given, Mapping):
        raise PluginError(f"layout rule for {template!r} is malformed")
    roles, split = tuple(given["roles"]), given.get("split", "")
    if split not in SPLITS or len(roles) != SPLITS[split] or not set(roles) <= {*ROLES, BUFFER}:
        raise PluginError(
            f"layout rule for {template!r} names unknown roles, or not as many as it splits into"
        )
    return Rule(
        skeleton=_template_skeleton(template),
        pattern=_pattern(template),
        roles=roles,
        split=split,
        transpose=bool(given.get("transpose", False)),
        paired=bool(given.get("paired", False)),
    )


def layout_from(raw: Mapping[str, Any]) -> Layout:
    """A layout from its JSON form; PluginError where a key is missing or misspelt."""
    try:
        rules: dict[str, tuple[Rule, ...]] = {}
        for template, meaning in raw["tensors"].items():
            rule = _rule(template, meaning)
            rules[rule.skeleton] = (*rules.get(rule.skeleton, ()), rule)
        return Layout(
            name=raw["name"],
            model_types=tuple(raw["model_types"]),
            norm=raw["norm"],
            norm_offset=float(raw.get("norm_offset", 0.0)),
            offset_types=tuple(raw.get("offset_types", ())),
            rope=bool(raw.get("rope", True)),
            glu=bool(raw.get("glu", True)),
            rules=rules,
            requires=frozenset(_template_skeleton(template) for template in raw.get("requires", ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError, re.error) as error:
        raise PluginError(
            f"a layout is malformed: {error}", "compare with forensics/checkpoint/layouts"
        ) from None


@cache
def bundled_layouts() -> tuple[Layout, ...]:
    """Every layout in the package, in name order."""
    folder = resources.files("forensics.checkpoint").joinpath("layouts")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return tuple(layout_from(json.loads(f.read_text(encoding="utf-8"))) for f in files)


def choose(
    names: Iterable[tuple[str, int]], declared: str, layouts: Iterable[Layout]
) -> tuple[Layout | None, float]:
    """The layout that recognises most elements, and the share it recognises.

    `names` are (stored name, elements). The declared type wins ties and near-ties (it must recognise at least
    95 % of the elements and of the names that the best one does), so that a decoy config cannot hide tensors but
    Gemma's gains are read right.
    """
    stored = list(names)
    total = sum(elements for _, elements in stored) or 1
    there = {_skeleton(PREFIX.sub("", name)) for name, _ in stored}
    ranked = []
    for layout in layouts:
        if layout.requires <= there:
            seen = [elements for name, elements in stored if layout.match(name)]
            ranked.append((sum(seen) / total, len(seen), layout))
    best = max(ranked, key=lambda r: (r[0], r[1], "llama" in r[2].model_types), default=None)
    if best is None or not best[1]:
        return None, 0.0
    for share, count, layout in ranked:
        if declared in layout.model_types and share >= 0.95 * best[0] and count >= 0.95 * best[1]:
            return layout, share
    return best[2], best[0]
