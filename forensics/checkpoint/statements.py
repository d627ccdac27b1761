"""What a checkpoint's metadata state of its origin, field by field, as short text. All of it is hostile; none is run.

Configuration, weight files' own metadata, tokenizer and documents; leads come from `leads_in`, as everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from forensics.checkpoint.leads import leads_in
from forensics.checkpoint.stored import WeightFile

if TYPE_CHECKING:
    from forensics.checkpoint.opened import Checkpoint

STATED, VALUES, CHARACTERS = 64, 24, 160
"""Fields of a weight file's metadata, values of a field, and characters of a value."""
TEMPLATE = 40_000
"""Characters of a chat template that are looked at."""
LEADS = {
    "declared parent": "declared base model",
    "configured name": "configured name",
    "own name": "own name",
}
"""Kinds of leads that are statements on origin, and the fields they go to."""
HABITS: Mapping[str, tuple[str, frozenset[Any]]] = {
    "rope_theta": ("chosen with the length of context", frozenset({10_000, 500_000, 1_000_000})),
    "rms_norm_eps": ("either of two by habit", frozenset({1e-5, 1e-6})),
    "layer_norm_eps": ("two by habit, one from BERT", frozenset({1e-5, 1e-6, 1e-12})),
    "initializer_range": ("GPT-2's, kept by nearly everybody", frozenset({0.02})),
    "max_position_embeddings": ("mostly a power of two", frozenset(1 << n for n in range(9, 21))),
    "rope_scaling": ("a method with its numbers, often absent", frozenset()),
    "sliding_window": ("mostly absent or 4096", frozenset({4096})),
    "partial_rotary_factor": ("a few halves and quarters", frozenset({1, 0.5, 0.25})),
    "attention_dropout": ("absent or 0", frozenset({0})),
    "attn_logit_softcapping": ("Gemma 2's", frozenset()),
    "final_logit_softcapping": ("Gemma 2's", frozenset()),
    "query_pre_attn_scalar": ("Gemma's", frozenset()),
    "embedding_multiplier": ("scaled embeddings (Granite)", frozenset({1})),
    "residual_multiplier": ("scaled residuals (Granite)", frozenset({1})),
    "logits_scaling": ("Granite's", frozenset({1})),
    "logit_scale": ("Cohere's", frozenset({1})),
    "scale_depth": ("MiniCPM's", frozenset()),
    "scale_emb": ("MiniCPM's", frozenset()),
    "router_aux_loss_coef": ("weight of the router's loss", frozenset({0, 0.001, 0.01, 0.02})),
    "routed_scaling_factor": ("scale of routed experts (DeepSeek)", frozenset({1})),
}
"""Fields that no shape decides: why they tell something, and the values that say nothing because many have them.

Sizes are left out, for models are compared in size anyway; so are ids of special tokens, which follow the tokenizer.
"""
GGUF = re.compile(
    r"general\.(?:name|basename|organization|author|finetune|version|url|source\.[\w.]{1,60}|base_model\.[\w.]{1,60})"
)
"""Keys of a GGUF header that state an origin; the count of base models is none."""
SILENT = frozenset({"format", "total_size", "total_parameters", "general.base_model.count"})
"""Metadata that every file has, or that only count."""
BETWEEN = re.compile(r"\{[%{#]|[^{]++|\{")
WITHIN = re.compile(r"""[%}#]\}|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^"'%}#]++|.""", re.DOTALL)
"""Pieces of a chat template between tags and within one; every match consumes what it looked at."""
SENTENCE = 24
"""Characters from which a text of a template is hardly chosen twice."""


def statements_of(checkpoint: Checkpoint) -> dict[str, tuple[str, ...]]:
    """Short texts by field, in order of the field's name; every value can be written as UTF-8."""
    found: dict[str, list[str]] = {}
    for lead in leads_in(checkpoint.texts)[0]:
        if lead.kind in LEADS:
            found.setdefault(LEADS[lead.kind], []).append(lead.text)
    for key, value in checkpoint.stated.items():
        found.setdefault(key, []).append(value)
    config = checkpoint.config
    for key in ("model_type", "architectures", "auto_map", "transformers_version"):
        found.setdefault(key, []).extend(_texts(config.get(key)))
    for key in HABITS:
        if config.get(key) not in (None, False, ""):
            found.setdefault(f"config: {key}", []).append(_number(config[key]))
    tokenizer = checkpoint.tokenizer
    found["chat template: sentences"] = sentences((tokenizer and tokenizer.chat_template) or "")
    cleaned = {field: tuple(dict.fromkeys(map(_clean, values)))[:VALUES] for field, values in found.items()}
    return {_clean(field): values for field, values in sorted(cleaned.items()) if any(values)}


def stated(files: Iterable[WeightFile]) -> dict[str, str]:
    """What weight files say of themselves: metadata of safetensors files and GGUF's `general.` keys on origin."""
    found: dict[str, str] = {}
    for file in files:
        prefix = "" if file.format == "gguf" else f"{file.format}: "
        for key, value in sorted(file.metadata.items()) if file.format in {"gguf", "safetensors"} else ():
            wanted = file.format == "safetensors" or GGUF.fullmatch(key)
            if wanted and key not in SILENT and isinstance(value, str) and value and len(found) < STATED:
                found.setdefault(_clean(f"{prefix}{key}"), _clean(value))
    return found


def telling_setting(field: str, value: str) -> bool:
    """Whether a value of a habit's field is none of those that many have."""
    _, common = HABITS.get(field.removeprefix("config: "), ("", frozenset()))
    return value not in {_number(known) for known in common}


def sentences(template: str) -> list[str]:
    """Longer strings and stretches of text in a chat template, by a splitter of our own: it is never rendered."""
    found: list[str] = []
    at, inside, text = 0, False, template[:TEMPLATE]
    while match := (WITHIN if inside else BETWEEN).match(text, at):
        piece, at = match[0], match.end()
        if inside and piece in {"%}", "}}", "#}"}:
            inside = False
        elif not inside and piece in {"{%", "{{", "{#"}:
            inside = True
        elif not inside or piece[0] in "\"'":
            words = " ".join(piece.strip("\"'" if inside else None).replace("\\n", " ").split())
            found += [words] if len(words) >= SENTENCE else []
    return found


def _texts(value: object) -> list[str]:
    """The texts in a value of a configuration, of lists and maps one level deep."""
    match value:
        case str():
            return [value]
        case list():
            return [item for item in value if isinstance(item, str)]
        case dict():
            return [
                text
                for item in value.values()
                for text in _texts(item if not isinstance(item, dict) else None)
            ]
    return []


def _number(value: object) -> str:
    """A value as text, the same for 1 and 1.0."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.10g}"
    return json.dumps(value, sort_keys=True)


def _clean(text: str) -> str:
    """The beginning of a text on one line, writable as UTF-8."""
    return " ".join(text[:CHARACTERS].split()).encode("utf-8", "replace").decode()
