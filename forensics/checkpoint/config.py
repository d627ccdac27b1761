"""config.json as an allow-list of bounded values; nothing in it is ever handed to a library unchecked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from forensics.errors import CheckpointError

ALIASES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "width": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "multi_query_group_num"),
    "head_dim": ("head_dim", "attention_head_dim", "kv_channels"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts", "num_routed_experts"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "linear_key_heads": ("linear_num_key_heads",),
}
INNER = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where wrappers keep the config of their language model."""
LARGEST = 1_000_000_000
TEXT_LIMIT = 256
LIST_LIMIT = 512


def parse_json(raw: bytes, name: str) -> Any:
    """JSON with duplicate keys, NaN, huge integers and deep nesting refused as a CheckpointError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise CheckpointError(f"{name} names a key twice", code="JSON_DUP_KEY")
        return found

    def refuse(token: str) -> Any:
        raise CheckpointError(f"{name} holds {token}", code="JSON_NOT_FINITE")

    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not JSON ({type(error).__name__})", code="JSON") from None


def sanitised(raw: Any, depth: int = 4) -> Any:
    """`raw` reduced to short text, finite numbers of sane size, flags, and short lists and maps of these."""
    match raw:
        case bool() | None:
            return raw
        case int():
            return raw if abs(raw) <= LARGEST else None
        case float():
            return raw if math.isfinite(raw) else None
        case str():
            return raw[:TEXT_LIMIT]
        case list() if depth:
            return [sanitised(item, depth - 1) for item in raw[:LIST_LIMIT]]
        case dict() if depth:
            return {str(k)[:TEXT_LIMIT]: sanitised(v, depth - 1) for k, v in list(raw.items())[:LIST_LIMIT]}
    return None


def read_config(raw: bytes) -> dict[str, Any]:
    """The sanitised config; of a multimodal wrapper its text part, with the wrapper's type kept beside it."""
    parsed = parse_json(raw, "config.json")
    if not isinstance(parsed, dict):
        raise CheckpointError("config.json is not an object", code="CONFIG")
    config: dict[str, Any] = sanitised(parsed)
    return _unwrapped(_unwrapped(config))  # an omni model's thinker wraps a text model again


def _unwrapped(config: dict[str, Any]) -> dict[str, Any]:
    """The text part of a wrapper laid over the rest; its own type is kept as `wrapper_type`."""
    for name in INNER:
        inner = config.get(name)
        if isinstance(inner, dict) and any(key in inner for key in (*ALIASES["width"], *INNER)):
            kept = {key: value for key, value in config.items() if key != name}
            return {**kept, **inner, "wrapper_type": config.get("model_type")}
    return config


def declared(config: Mapping[str, Any], what: str) -> int:
    """A size by any of its names, or 0 where it is absent, absurd or no integer."""
    for name in ALIASES[what]:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST:
            return value
    return 0


def model_type(config: Mapping[str, Any]) -> str:
    """`model_type` as text, empty where there is none."""
    value = config.get("model_type")
    return value if isinstance(value, str) else ""
