"""Architectures as data: which stored tensor holds which canonical tensors, and at which rows.

A layout is a JSON file: templates of tensor names, each giving one role, or several roles and how they are
fused (`split`). The tensors decide which layout applies; what config.json declares only breaks ties.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from forensics.checkpoint.facts import ROLES
from forensics.errors import PluginError

NUMBER = re.compile(r"[0-9]+")
WRAPPERS = (
    "model", "language_model", "transformer", "gpt_neox", "base_model", "text_model", "backbone", "llm", "thinker",
    "module", "_orig_mod",
)  # fmt: skip
"""Modules that only wrap a language model; any number of them may stand before a tensor's own name."""
PREFIX = re.compile(rf"^(?:(?:{'|'.join(WRAPPERS)})\.)*")
SPLITS = {
    "": 1,
    "qkv": 3,
    "qkv-per-head": 3,
    "qkv-grouped": 3,
    "heads-halves": 2,
    "linear-qkv": 3,
    "linear-qkvz": 4,
    "linear-ba": 2,
    "halves": 2,
    "experts": 1,
    "experts-halves": 2,
    "experts-interleaved": 2,
}
"""Ways of fusing, and how many roles each fuses."""
BUFFER = "buffer"
"""Role of stored things that are no parameters: rotary frequencies, causal masks."""
UNSHIFTED = frozenset({"linear_norm", "ssm_norm"})
"""Norms inside a mixer, whose stored gain is the effective one even where the other norms' are not."""


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
    lacks: frozenset[str] = frozenset()
    """Skeletons of names that no checkpoint of this family has, because there its other names mean something else."""

    def match(self, name: str) -> Match | None:
        """The rule for a stored name, wrappers' prefixes removed."""
        stripped = PREFIX.sub("", name)
        for rule in self.rules.get(skeleton(stripped), ()):
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

    def gain_offset(self, model_type: str, role: str = "input_norm") -> float:
        """What to add to the stored gains of a norm for a checkpoint declared as `model_type`; 0 for other roles."""
        applies = not self.offset_types or model_type in self.offset_types
        return self.norm_offset if applies and role.endswith("norm") and role not in UNSHIFTED else 0.0


def skeleton(name: str) -> str:
    """A name with every number as `#`."""
    return NUMBER.sub("#", name)


def _template_skeleton(template: str) -> str:
    return skeleton(template.replace("{layer}", "0").replace("{expert}", "0"))


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


def _inherited(raw: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Name templates of a layout and of the one that it is `like`, without those it sets to null.

    No chain is longer than the number of known layouts, so that two that are like each other are an error.
    """
    chain = [raw]
    while "like" in chain[-1]:
        chain.append(known[chain[-1]["like"]])
        if len(chain) > len(known) + 1:
            raise ValueError("layouts are like each other in a circle")
    tensors: dict[str, Any] = {}
    for one in reversed(chain):
        tensors |= one["tensors"]
    return {template: meaning for template, meaning in tensors.items() if meaning is not None}


def layout_from(raw: Mapping[str, Any]) -> Layout:
    """A layout from its JSON form; PluginError where a key is missing or misspelt.

    `like` names a bundled layout whose templates it shares but for those that it gives itself (null: has none).
    """
    try:
        rules: dict[str, tuple[Rule, ...]] = {}
        for template, meaning in _inherited(raw, bundled_raw() if "like" in raw else {}).items():
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
            lacks=frozenset(_template_skeleton(template) for template in raw.get("lacks", ())),
        )
    except (AttributeError, KeyError, TypeError, ValueError, re.error) as error:
        raise PluginError(
            f"a layout is malformed: {error}", "compare with forensics/checkpoint/layouts"
        ) from None


@cache
def bundled_raw() -> dict[str, dict[str, Any]]:
    """Every layout in the package as JSON, by name, in the order of file names."""
    folder = resources.files("forensics.checkpoint").joinpath("layouts")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    every = [json.loads(f.read_text(encoding="utf-8")) for f in files]
    return {raw["name"]: raw for raw in every}


@cache
def bundled_layouts() -> tuple[Layout, ...]:
    """Every layout in the package, in name order."""
    return tuple(layout_from(raw) for raw in bundled_raw().values())


def supported() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(layout, model types that it was written for) of every bundled layout, for documents and `inspect`."""
    return tuple((layout.name, layout.model_types) for layout in bundled_layouts())
