"""Token responses: what attention matrices make of whitened anchor tokens, gathered as row blocks go by.

Queries, keys and values from their input side, o from its output side. Latent attention (MLA) is taken apart as the
product that it is: W_b diag(g) W_a gives every head its own matrix, and since a response is linear, the anchors go
through the small factor first (anchors, rank), then the gain g of the norm between, then head by head through the
large one; no product of weights is ever made. The norm's division, one number a token, is left out, as it is for
the anchors themselves. So a latent that was rotated, and heads that were multiplied out, respond as before. The rotary
key that all heads share is one head of its own; where a model repeats it in every head it is found and counts once.
Source: DeepSeek-V2 (2024), §2.1, for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import Matrix
from forensics.subjects import Architecture

Floats = NDArray[np.float32]
Parts = tuple[tuple[Floats, int], ...]
"""Responses (anchors, heads · dimensions) and the dimensions of a head, once for each kind of head."""

PLAIN = ("q_proj", "k_proj", "v_proj", "o_proj")
FIRST = {"q_b_proj": "q_a_proj", "kv_b_proj": "kv_a_proj"}
"""The small factor in front of each large one."""
INNER = {"q_b_proj": "q_a_norm", "kv_b_proj": "kv_a_norm"}
"""The norm between them."""
WIDEST = 1 << 16
"""A matrix beyond this, many times what any model has, is not worth the memory of its responses."""
REPEATED_KEY = 0.95
"""Cosine of a key dimension's responses with the same dimension of the first head, in all heads: one key for all."""


class Source(Protocol):
    """What is asked of a checkpoint."""

    @property
    def architecture(self) -> Architecture: ...  # noqa: D102
    def find(self, role: str, layer: int | None = None) -> Matrix | None: ...  # noqa: D102
    def vector(self, role: str, layer: int | None = None) -> Floats | None: ...  # noqa: D102
    def rows(self, spec: Any) -> Iterator[tuple[int, Floats]]: ...  # noqa: D102


@dataclass(kw_only=True)
class Responses:
    """Gathers responses block by block, and gives each circuit's when its matrix is complete."""

    checkpoint: Source
    whitened: Floats
    """Whitened anchor inputs (anchors, width)."""
    layers: tuple[int, ...]
    """Layers that are examined."""
    growing: dict[Matrix, Floats] = field(default_factory=dict)
    seen: dict[Matrix, int] = field(default_factory=dict)
    latents: dict[tuple[str, int], Floats] = field(default_factory=dict)
    """By first factor and layer, until the second factor is through; empty from then on."""
    gained: tuple[int, Floats] | None = None

    def wants(self, spec: Matrix) -> bool:
        """Attention matrices of the examined layers, where they meet the residual stream's width or their factor."""
        if spec.layer not in self.layers or spec.expert is not None:
            return False
        if max(spec.rows, spec.columns) > WIDEST:
            return False
        if spec.role in FIRST:
            first = self.checkpoint.find(FIRST[spec.role], spec.layer)
            fits = first is not None and self.wants(first)
            return fits and first is not None and first.rows >= spec.columns and bool(self._heads(spec))
        residual = spec.rows if spec.role == "o_proj" else spec.columns
        return spec.role in {*PLAIN, *FIRST.values()} and residual == self.whitened.shape[1]

    def see(self, spec: Matrix, rows: Floats, start: int) -> Iterator[tuple[str, Parts]]:
        """Adds a block's responses: their own columns, or a part of all (o); circuits that are complete by it."""
        layer, stop = spec.layer or 0, start + len(rows)
        if spec.role in FIRST.values() and self.latents.get((spec.role, layer)) is not None:
            return
        if spec not in self.growing:
            outputs = spec.columns if spec.role == "o_proj" else spec.rows
            self.growing[spec] = np.zeros((len(self.whitened), outputs), np.float32)
        with np.errstate(all="ignore"):
            if spec.role == "o_proj":
                self.growing[spec] += self.whitened[:, start:stop] @ rows
            else:
                self.growing[spec][:, start:stop] = self._inputs(spec) @ rows.T
        self.seen[spec] = self.seen.get(spec, 0) + len(rows)
        if self.seen[spec] < spec.rows:
            return
        whole = self.growing.pop(spec)
        if spec.role in FIRST.values():
            self.latents[spec.role, layer] = whole
        else:
            yield from self._circuits(spec, whole)

    def _inputs(self, spec: Matrix) -> Floats:
        """What a matrix is applied to: anchors behind the gain in front of attention, or the latent behind its own."""
        layer = spec.layer or 0
        if spec.role not in FIRST:
            if self.gained is None or self.gained[0] != layer:
                self.gained = layer, self.whitened * self._gain("input_norm", layer, self.whitened.shape[1])
            return self.gained[1]
        latent = self._latent(FIRST[spec.role], layer)[:, : spec.columns]
        return np.asarray(latent * self._gain(INNER[spec.role], layer, spec.columns), np.float32)

    def _gain(self, role: str, layer: int, size: int) -> Floats:
        """The norm's gain; one where there is no norm that fits."""
        gain = self.checkpoint.vector(role, layer)
        return gain if gain is not None and len(gain) == size else np.ones(1, np.float32)

    def _latent(self, role: str, layer: int) -> Floats:
        """Responses of a first factor, read here and now where the file has it behind the second."""
        if (role, layer) not in self.latents:
            spec = self.checkpoint.find(role, layer)
            assert spec is not None  # or the second factor would not have been wanted
            found = np.zeros((len(self.whitened), spec.rows), np.float32)
            for start, rows in self.checkpoint.rows(spec):
                found[:, start : start + len(rows)] = self._inputs(spec) @ rows.T
            self.latents[role, layer] = found
        return self.latents[role, layer]

    def _heads(self, spec: Matrix) -> tuple[int, int, int] | None:
        """Dimensions of a latent-attention head: of its own key, of its value, of the rotary key; None if unknown."""
        shape = self.checkpoint.architecture
        first, second = (self.checkpoint.find(role, spec.layer) for role in ("kv_a_proj", "kv_b_proj"))
        if first is None or second is None or shape.heads < 1 or second.rows % shape.heads:
            return None
        rotary = first.rows - second.columns
        own = shape.head_dim - rotary
        value = second.rows // shape.heads - own
        return (own, value, rotary) if min(own, value) > 0 <= rotary else None

    def _circuits(self, spec: Matrix, whole: Floats) -> Iterator[tuple[str, Parts]]:
        """The circuits that a complete matrix holds, with heads told apart."""
        shape, latent = self.checkpoint.architecture, self._heads(spec)
        if spec.role == "kv_b_proj" and latent is not None:
            own, value, rotary = latent
            by_head = whole.reshape(len(whole), shape.heads, own + value)
            shared = self._latent("kv_a_proj", spec.layer or 0)[:, spec.columns :]
            keys = (_flat(by_head[:, :, :own]), own)
            yield "k_proj", (keys, (shared, rotary)) if rotary else (keys,)
            yield "v_proj", ((_flat(by_head[:, :, own:]), value),)
        elif spec.role == "o_proj" and latent is not None:
            yield "o_proj", ((whole, latent[1]),)
        elif spec.role == "k_proj":
            yield "k_proj", keys_told_apart(whole, shape.head_dim)
        else:
            yield "q_proj" if spec.role == "q_b_proj" else spec.role, ((whole, shape.head_dim),)
        if spec.role in FIRST:
            self.latents[FIRST[spec.role], spec.layer or 0] = np.zeros((0, 0), np.float32)


def keys_told_apart(keys: Floats, head_dim: int) -> Parts:
    """Keys head by head; dimensions that all heads have alike become one head of their own.

    So keys of latent attention that were multiplied out read as before. Keys all alike, or all of their own, stay.
    """
    if head_dim < 1 or keys.shape[1] % head_dim or keys.shape[1] == head_dim:
        return ((keys, head_dim),)
    heads = keys.reshape(len(keys), -1, head_dim)
    with np.errstate(all="ignore"):
        unit = heads / np.sqrt(np.einsum("thd,thd->hd", heads, heads, dtype=np.float64)).astype(np.float32)
        alike = (np.einsum("thd,td->hd", unit, unit[:, 0]) > REPEATED_KEY).all(axis=0)
        count = int(alike.sum())
        if not 0 < count < head_dim:
            return ((keys, head_dim),)
        mean = heads[:, :, alike].mean(axis=1, dtype=np.float64).astype(np.float32)
    return ((_flat(heads[:, :, ~alike]), head_dim - count), (mean, count))


def _flat(heads: Floats) -> Floats:
    """(anchors, heads, dimensions) as (anchors, heads · dimensions)."""
    return np.ascontiguousarray(heads).reshape(len(heads), -1)
