"""A layout for an architecture that nobody described: roles by names that mean one thing everywhere, if shapes agree.

The last resort. Whatever is ambiguous stays out: fused matrices, norms that may stand before or behind a block,
squares whose orientation cannot be seen, a second stack of layers. A role is given only if one template of the stack
claims it and its shape fits the width that the embeddings show.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forensics.checkpoint.layout import PREFIX, Layout, layout_from
from forensics.checkpoint.stored import Stored

NAME_LIMIT = 300
"""Longer names than any model gives its tensors are not looked at."""
NUMBERED = re.compile(r"(?P<stack>[^{}]*?)(?P<layer>[0-9]{1,4})\.(?P<leaf>[^{}]*)")
EXPERT = re.compile(r"(?<=experts\.)[0-9]{1,4}(?=\.)")
ATTENTION = re.compile(r"attn|attention")
FEED_FORWARD = re.compile(r"mlp|ffn|feed_forward|experts")
OUTSIDE = {
    "embed_tokens": re.compile(
        r"(?:.*[._])?(?:embed_tokens|word_embeddings?|tok_embeddings|token_embeddings?|wte)"
    ),
    "lm_head": re.compile(r"(?:.*\.)?(?:lm_head|output_layer|embed_out)"),
    "final_norm": re.compile(r"(?:.*\.)?(?:final_layernorm|final_layer_norm|final_norm|ln_f|norm_f)"),
}
"""Modules outside the layers, whole names without `.weight`."""
INSIDE = {
    "q_proj": (ATTENTION, re.compile(r"q_proj|wq|query|q_lin|query_proj")),
    "k_proj": (ATTENTION, re.compile(r"k_proj|wk|key|k_lin|key_proj")),
    "v_proj": (ATTENTION, re.compile(r"v_proj|wv|value|v_lin|value_proj")),
    "o_proj": (ATTENTION, re.compile(r"o_proj|out_proj|wo|out_lin")),
    "gate_proj": (FEED_FORWARD, re.compile(r"gate_proj|wi_0")),
    "up_proj": (FEED_FORWARD, re.compile(r"up_proj|fc_in|dense_h_to_4h|wi_1")),
    "down_proj": (FEED_FORWARD, re.compile(r"down_proj|fc_out|dense_4h_to_h")),
}
"""Of modules inside a layer: where they must lie, and their last words."""
NORMS = {
    "input_norm": re.compile(r"input_layernorm|input_norm|attention_norm|attn_norm"),
    "mlp_norm": re.compile(r"ffn_norm|mlp_norm|pre_feedforward_layernorm|pre_mlp_layernorm"),
}
"""Norms whose name says that they stand in front of something."""
CROSS = re.compile(r"cross|encoder_attn|EncDec")
"""Attention to something else than the text so far."""


@dataclass(frozen=True, slots=True)
class Template:
    """All tensors whose names differ only in the layer's and the expert's number."""

    name: str
    leaf: str
    """Behind the layer's number; empty outside the layers."""
    shape: tuple[int, ...]
    """Of all of them; empty where they differ."""
    count: int
    elements: int


def generic_layout(tensors: Sequence[Stored]) -> Layout | None:
    """A layout named `generic` made for these tensors, or None where the names suggest nothing."""
    templates = _templates(tensors)
    outside = _outside([t for t in templates if not t.leaf])
    stack = _stack([t for t in templates if t.leaf])
    embed = next((t for t, role in outside if role == "embed_tokens"), None)
    if embed is None or not stack:
        return None
    width = embed.shape[1]
    claims = [(t, role) for t, role in outside if role == "embed_tokens" or _matches_width(t, role, width)]
    claims += _oriented(_inside(stack, width))
    named = {t.name: role for t, role in _single(claims)}
    rules: dict[str, Any] = dict(named)
    rules |= _biases(templates, named)
    if not any(role in INSIDE for role in rules.values()):
        return None
    return layout_from({"name": "generic", "model_types": [], "norm": "unknown", "tensors": rules})


def _templates(tensors: Iterable[Stored]) -> list[Template]:
    found: dict[str, Template] = {}
    for stored in tensors:
        bare = PREFIX.sub("", stored.name)
        if len(bare) > NAME_LIMIT or "{" in bare or "}" in bare:
            continue
        split = NUMBERED.fullmatch(bare)
        leaf = EXPERT.sub("{expert}", split["leaf"], count=1) if split else ""
        name = f"{split['stack']}{{layer}}.{leaf}" if split else bare
        old = found.get(name, Template(name, leaf, stored.shape, 0, 0))
        shape = stored.shape if stored.shape == old.shape else ()
        found[name] = Template(name, leaf, shape, old.count + 1, old.elements + stored.elements)
    return list(found.values())


def _stack(templates: Sequence[Template]) -> list[Template]:
    """The templates of the stack of layers that holds most; another one (an encoder, a tower) stays out."""
    sizes: dict[str, int] = {}
    for template in templates:
        stack = template.name.split("{layer}")[0]
        sizes[stack] = sizes.get(stack, 0) + template.elements
    largest = max(sizes, key=lambda stack: sizes[stack], default="")
    return [t for t in templates if t.name.split("{layer}")[0] == largest]


def _outside(templates: Iterable[Template]) -> list[tuple[Template, str]]:
    claims = []
    for template in templates:
        module, _, kind = template.name.rpartition(".")
        for role, pattern in OUTSIDE.items():
            dimensions = 1 if role.endswith("norm") else 2
            if kind == "weight" and len(template.shape) == dimensions and pattern.fullmatch(module):
                claims.append((template, role))
    return _single(claims)


def _inside(templates: Sequence[Template], width: int) -> list[tuple[Template, str]]:
    """Claims on roles within a layer whose shapes fit the width."""
    claims = []
    for template in templates:
        module, _, kind = template.leaf.rpartition(".")
        where, _, last = module.rpartition(".")
        if kind != "weight" or CROSS.search(template.leaf):
            continue
        claims += [(template, role) for role, pattern in NORMS.items() if pattern.fullmatch(last)]
        claims += [
            (template, role)
            for role, (place, pattern) in INSIDE.items()
            if pattern.fullmatch(last) and place.search(where)
        ]
    return _whole_feed_forward([(t, role) for t, role in claims if _matches_width(t, role, width)])


def _whole_feed_forward(claims: list[tuple[Template, str]]) -> list[tuple[Template, str]]:
    """Without the MLP's matrices unless input, gate and output have the same neurons, and more or fewer than width."""
    by_place: dict[str, dict[str, tuple[int, ...]]] = {}
    for template, role in claims:
        if role in ("gate_proj", "up_proj", "down_proj"):
            place = template.name.rsplit(".", 2)[0]
            by_place.setdefault(place, {})[role] = template.shape
    sound = {
        place
        for place, shapes in by_place.items()
        if shapes.get("up_proj", ())[::-1] == shapes.get("down_proj", (0,))
        and shapes["up_proj"][0] != shapes["up_proj"][1]
        and shapes.get("gate_proj", shapes["up_proj"]) == shapes["up_proj"]
    }
    return [
        (t, role)
        for t, role in claims
        if role not in ("gate_proj", "up_proj", "down_proj") or t.name.rsplit(".", 2)[0] in sound
    ]


def _oriented(claims: list[tuple[Template, str]]) -> list[tuple[Template, str]]:
    """The claims if any matrix among them shows by its shape that rows are outputs; without that, the norms alone."""
    shown = any(len(t.shape) == 2 and t.shape[0] != t.shape[1] for t, _ in claims)
    return claims if shown else [(t, role) for t, role in claims if role in NORMS]


def _matches_width(template: Template, role: str, width: int) -> bool:
    """Whether the side of the residual stream is as wide as the embeddings are."""
    shape = template.shape
    if role.endswith("norm"):
        return shape == (width,)
    if len(shape) != 2:
        return False
    return shape[0] == width if role in ("o_proj", "down_proj") else shape[1] == width


def _single(claims: Iterable[tuple[Template, str]]) -> list[tuple[Template, str]]:
    """Claims on a role that nobody else makes, by templates that make one claim only."""
    listed = list(claims)
    keys = Counter((role, "{expert}" in t.name) for t, role in listed)
    names = Counter(t.name for t, _ in listed)
    return [(t, role) for t, role in listed if keys[role, "{expert}" in t.name] == 1 and names[t.name] == 1]


def _biases(templates: Iterable[Template], named: Mapping[str, str]) -> dict[str, str]:
    """Biases beside recognised matrices, as long as the matrix has rows."""
    shapes = {t.name: t.shape for t in templates}
    found = {}
    for name, role in named.items():
        bias = f"{name.removesuffix('weight')}bias"
        if role in INSIDE and bias in shapes and shapes[bias] == shapes[name][:1]:
            found[bias] = role.replace("_proj", "_bias")
    return found
