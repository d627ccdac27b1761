"""Gauges: rewritings of a model's weights that change nothing it computes, as operations on canonical roles.

A transformer leaves much of its basis open: the order of neurons, heads, experts and residual channels, the sign (or,
with gains folded away, the whole basis) of the residual stream, the basis inside heads, the scale of a neuron's input
against its output. `gauges.json` says in which space each axis of each role lives and whether the role writes into
that space (`out`), reads from it (`in`), or scales it (`gain`, `shift`, `gate`); everything here follows from it.

Whoever hides a copy uses these, and so do the tests and the zoo; a probe is immune to a gauge if its reading stays.
Sources: methods §1.27 (signed permutations under RMSNorm), §2 (adversary's view), §4.2 fact 4 (rotary pairs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import ForensicsError

Floats = NDArray[np.float32]
Place = tuple[str, int | None, int | None]
"""Role, layer, expert."""
Weights = Mapping[Place, Floats]
"""Canonical tensors: matrices (out, in), vectors (n,)."""
Space = tuple[str, int | None, int | None]
"""Name of a space, layer, expert; the residual stream is one for the whole model."""


@cache
def _table() -> dict[str, Any]:
    """The contents of `gauges.json`."""
    text = resources.files("forensics.alignment").joinpath("gauges.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def axes_of(place: Place) -> list[tuple[Space | None, str]]:
    """Space and part (`out`, `in`, `gain`, `shift`, `gate`) of each axis; None where an index has a meaning.

    ForensicsError for a role without a row in the table: nothing is known of its gauges.
    """
    role, layer, expert = place
    if role not in _table()["axes"]:
        raise ForensicsError(f"no gauge is known for the role {role!r}")
    found: list[tuple[Space | None, str]] = []
    for named in _table()["axes"][role]:
        name, _, part = named.partition(":")
        whole = name == "residual"
        of_expert = expert if name == "neuron" else None
        found.append(((name, None if whole else layer, of_expert) if name else None, part))
    return found


def known(role: str) -> bool:
    """Whether the table says in which spaces a role lives."""
    return role in _table()["axes"]


def sizes(weights: Weights) -> dict[Space, int]:
    """Size of every space that occurs; ForensicsError where two tensors disagree."""
    found: dict[Space, int] = {}
    for place, tensor in weights.items():
        for (space, _), size in zip(axes_of(place), tensor.shape, strict=True):
            if space is not None and found.setdefault(space, size) != size:
                raise ForensicsError(f"{place} does not fit: {space} has {found[space]} and {size} indices")
    return found


def reorder(weights: Weights, orders: Mapping[Space, NDArray[np.intp]]) -> dict[Place, Floats]:
    """Every space's indices in a new order: place k holds what was at orders[space][k]. A gauge for any order.

    Heads must move together in `query`, `key`, `value` and `context` (see `head_orders`). The order of `expert`
    renumbers the experts themselves.
    """
    moved: dict[Place, Floats] = {}
    for (role, layer, expert), tensor in weights.items():
        changed = tensor
        for axis, (space, _) in enumerate(axes_of((role, layer, expert))):
            if space is not None and space in orders:
                changed = np.take(changed, orders[space], axis=axis)
        renumbered = orders.get(("expert", layer, None))
        if expert is not None and renumbered is not None:
            expert = int(np.flatnonzero(renumbered == expert)[0])  # noqa: PLW2901 - its new number
        moved[role, layer, expert] = changed
    return moved


def rescale(weights: Weights, factors: Mapping[Space, Floats]) -> dict[Place, Floats]:
    """What is written into a space times its factors, what is read from it divided by them, index by index.

    A gauge for `neuron` and `shared` of gated MLPs (the gate itself is left alone: its nonlinearity has a scale), for
    `value` with `context`, for `query` against `key`, and for ±1 on the residual stream under RMSNorm.
    """
    changed: dict[Place, Floats] = {}
    for place, tensor in weights.items():
        scaled = tensor
        for axis, (space, part) in enumerate(axes_of(place)):
            if space is not None and space in factors and part in {"out", "in", "shift"}:
                by = factors[space] if part != "in" else 1.0 / factors[space]
                scaled = scaled * (by[:, None] if axis == 0 and scaled.ndim == 2 else by)
        changed[place] = np.asarray(scaled, np.float32)
    return changed


def mix(weights: Weights, maps: Mapping[Space, NDArray[np.float64]]) -> dict[Place, Floats]:
    """A linear change of basis x → A x of a space: A W for what writes into it, W A⁻¹ for what reads from it.

    A gauge for an orthogonal map of the residual stream once all gains are folded away (`fold_gains`), and for maps
    inside heads. ForensicsError where a gain other than one stands in the way.
    """
    inverses = {space: np.linalg.inv(map_) for space, map_ in maps.items()}
    changed: dict[Place, Floats] = {}
    for place, tensor in weights.items():
        turned = tensor.astype(np.float64)
        for axis, (space, part) in enumerate(axes_of(place)):
            if space is None or space not in maps:
                continue
            if part == "gain" and not (turned == turned.flat[0]).all():
                raise ForensicsError(f"the gains {place} are not folded away")
            if part == "in":
                turned = turned @ inverses[space]
            elif part in {"out", "shift"}:
                turned = turned @ maps[space].T if axis == 1 or turned.ndim == 1 else maps[space] @ turned
        changed[place] = turned.astype(np.float32)
    return changed


def fold_gains(weights: Weights) -> dict[Place, Floats]:
    """Gains of norms moved into the matrices behind them: W diag(γ) for W, 1 for γ, β / γ for a shift β.

    The final norm is folded only where output embeddings are stored (untie them first); norms behind attention or MLP
    have no matrix behind them and stay. ForensicsError where a norm with a shift has a gain of zero.
    """
    folded = {place: np.array(tensor) for place, tensor in weights.items()}
    for (role, layer, _), gain in weights.items():
        behind = _behind(role, weights, layer)
        if not behind:
            continue
        for place in behind:
            folded[place] = folded[place] * gain
        folded[role, layer, None] = np.ones_like(gain)
        shift = weights.get((f"{role}_bias", layer, None))
        if shift is not None:
            if not gain.all():
                raise ForensicsError(f"{role} of layer {layer} has gains of zero and a shift")
            folded[f"{role}_bias", layer, None] = shift / gain
    return folded


def _behind(norm: str, weights: Weights, layer: int | None) -> list[Place]:
    """Matrices that read a norm's output; where attention and MLP share one norm, it serves both."""
    read_by = _table()["read_by"]
    roles = set(read_by.get(norm, ()))
    if norm == "input_norm" and ("mlp_norm", layer, None) not in weights:
        roles |= set(read_by["mlp_norm"])
    return [place for place in weights if place[0] in roles and place[1] == layer]


def norm_before(role: str, *, has_mlp_norm: bool) -> str | None:
    """The norm whose output a matrix reads, or None; without a norm of its own the MLP reads that of attention."""
    norm = next((name for name, roles in _table()["read_by"].items() if role in roles), None)
    return "input_norm" if norm == "mlp_norm" and not has_mlp_norm else norm


def scale_gains(weights: Weights, factors: Mapping[tuple[str, int | None], Floats]) -> dict[Place, Floats]:
    """Norm gains times factors (of either sign), by (role, layer), and the columns behind them divided by them."""
    changed = {place: np.array(tensor) for place, tensor in weights.items()}
    for (role, layer), by in factors.items():
        for place in _behind(role, weights, layer):
            changed[place] = (weights[place] / by).astype(np.float32)
        for place in [p for p in ((role, layer, None), (f"{role}_bias", layer, None)) if p in weights]:
            changed[place] = (weights[place] * by).astype(np.float32)
    return changed
