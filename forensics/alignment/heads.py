"""Symmetries inside attention heads: which signs are free, so that a test may flip them.

Rotary embeddings give a head dimension's index a meaning, so dimensions are not exchangeable (methods §4.2, fact 4).
Turning a rotated pair by 180° in the queries and keys of one KV group changes nothing a model computes; nor does
negating one value dimension together with the columns that read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF_SPLIT = (
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "phi3",
    "gemma",
    "gptneox",
    "olmo",
    "starcoder2",
)
"""How names of architectures begin (lower case, no underscores) that rotate dimension i with i + rotated / 2.

Others may interleave the dimensions, so their pairs count as unknown.
"""

Floats = NDArray[np.float64]


def rotary_dimensions(config: Mapping[str, Any], *, declared: str, rope: bool, head_dim: int) -> int | None:
    """Head dimensions that are rotated (0: none), or None where config and architecture do not settle it."""
    if not rope:
        return 0
    name = declared.lower().replace("_", "")
    if not name.startswith(HALF_SPLIT) or head_dim % 2:
        return None
    nested = config.get("rope_parameters")
    stated = {**(nested if isinstance(nested, Mapping) else {}), **config}
    for key in ("partial_rotary_factor", "rotary_pct"):
        if stated.get(key) is not None:
            share = stated[key]
            turned = int(share * head_dim) if isinstance(share, int | float) and 0 <= share <= 1 else -1
            return turned if turned >= 0 and turned % 2 == 0 else None
    # GPT-NeoX rotates a quarter by default, and its config need not say so
    return None if name.startswith("gptneox") else head_dim


def sign_units(head_dim: int, rotary: int | None) -> NDArray[np.intp]:
    """Which sign each Q and K dimension of a head shares, shape (head_dim,).

    Pairs (i, i + rotary / 2) within the rotated dimensions, every other dimension alone. Where the pairs are unknown,
    one sign for the whole head: a symmetry in any case, with fewer independent flips.
    """
    units = np.arange(head_dim)
    if rotary is None:
        return np.zeros_like(units)
    units[rotary // 2 : rotary] = units[: rotary - rotary // 2]
    return units


def free_flips(
    products: Iterable[tuple[int, bool, Floats]], kv_heads: int, units: NDArray[np.intp]
) -> Floats:
    """Sums of products over all coordinates that share a sign, one per independent flip, shape (flips,).

    `products` yields (layer, whether it is of values, coordinate products ordered by head and dimension). Per layer
    there is one flip for each KV group and unit of Q and K together, and one for each value dimension.
    """
    head_dim = units.size
    flips: dict[tuple[int, bool], Floats] = {}
    for layer, of_values, product in products:
        per_group = product.reshape(kv_heads, -1, head_dim).sum(axis=1)
        member = np.eye(head_dim)[np.arange(head_dim) if of_values else units]
        flips.setdefault((layer, of_values), np.zeros((kv_heads, head_dim)))
        flips[layer, of_values] += per_group @ member
    used = {False: np.unique(units), True: np.arange(head_dim)}
    return np.concatenate([summed[:, used[kind]].ravel() for (_, kind), summed in flips.items()])
