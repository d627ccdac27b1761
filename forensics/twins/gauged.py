"""Gauges of a whole checkpoint, drawn layer by layer from shapes alone and applied to one tensor at a time.

`alignment.gauge_draws` rewrites a model that is held in memory. Here only maps of spaces are held (orders, factors, the
rotation), so that any tensor can be had on its own, in any order, and again: the maps follow from seed and layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.gauge_draws import SPREAD, head_orders, random_orders
from forensics.alignment.gauges import (
    Floats,
    Place,
    Space,
    axes_of,
    known,
    norm_before,
    reorder,
    rescale,
    sizes,
)
from forensics.errors import ForensicsError
from forensics.twins.rotation import Rotation

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint

Orders = dict[Space, NDArray[np.intp]]
RESIDUAL: Space = ("residual", None, None)
REORDERED = {"permute-neurons": ("neuron", "shared"), "permute-experts": ("expert",)}
NO_ROTATION = {"attn_post_norm", "mlp_post_norm", "embed_norm"}
"""Norms with no matrix behind them, whose gains cannot be folded away."""
LAYERS_HELD = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maps:
    """What happens to the spaces of one layer, or to the residual stream."""

    orders: Orders
    factors: Mapping[Space, Floats]


@dataclass(slots=True, kw_only=True, eq=False)
class Gauged:
    """Gauges by name, in this order: gains moved, spaces re-ordered, spaces scaled, residual stream turned.

    ForensicsError where the architecture lacks the symmetry or no gauge is known for a role.
    """

    checkpoint: Checkpoint
    gauges: tuple[str, ...]
    seed: tuple[int, ...]
    needs_moments: bool = False
    rotation: Rotation | None = None
    residual: Maps = field(default_factory=lambda: Maps(orders={}, factors={}))
    layers: dict[int, Maps] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.checkpoint.architecture
        if "flip-residual" in self.gauges and shape.norm != "rms":
            raise ForensicsError("channels change sign under RMSNorm only")
        if "rotate-residual" in self.gauges:
            there = sorted({spec.role for spec in self.checkpoint.specs} & NO_ROTATION)
            if there:
                raise ForensicsError(
                    f"a rotation of the residual stream is no symmetry beside {', '.join(there)}"
                )
        if shape.width < 2:
            raise ForensicsError("the width is not known")
        self._draw_residual(self._generator(-1))

    def source(self, place: Place) -> Place:
        """Which of the checkpoint's tensors the twin has here: experts are renumbered."""
        role, layer, expert = place
        if layer is None or expert is None:
            return place
        order = self._of(layer).orders.get(("expert", layer, None))
        return place if order is None else (role, layer, int(order[expert]))

    def changed(self, place: Place, tensor: Floats, at: int, moments: tuple[float, float]) -> Floats:
        """The twin's tensor from the checkpoint's: a matrix (out, in) or vector; rows from `at` of an embedding."""
        del at, moments
        try:
            return self._changed(place, tensor)
        except (IndexError, ValueError):
            raise ForensicsError(f"the shape of {place[0]} does not fit the rest of the model") from None

    def _changed(self, place: Place, tensor: Floats) -> Floats:
        role, layer, expert = place
        maps = [self.residual] + ([self._of(layer)] if layer is not None else [])
        orders = {s: o for m in maps for s, o in m.orders.items() if expert is None or s[0] != "expert"}
        factors = {s: f for m in maps for s, f in m.factors.items()}
        moved = next(iter(reorder({place: self._gained(place, tensor)}, orders).values()))
        scaled = rescale({place: moved}, factors)[place] if factors else moved
        if self.rotation is None:
            return scaled
        for axis, (space, part) in enumerate(axes_of((role, layer, expert))):
            if space == RESIDUAL and part != "gain":
                turned = self.rotation.turn(scaled if scaled.ndim == 2 else scaled[:, None], axis)
                scaled = turned if scaled.ndim == 2 else turned[:, 0]
        return scaled

    def _generator(self, layer: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([*self.seed, layer + 1]))

    def _draw_residual(self, rng: np.random.Generator) -> None:
        width = self.checkpoint.architecture.width
        if "rotate-residual" in self.gauges:
            layer_norm = self.checkpoint.architecture.norm != "rms"
            self.rotation = Rotation.drawn(width, rng, fix_mean=layer_norm)
        orders: Orders = {RESIDUAL: rng.permutation(width)} if "permute-residual" in self.gauges else {}
        signs = {RESIDUAL: _signs(width, rng)} if "flip-residual" in self.gauges else {}
        self.residual = Maps(orders=orders, factors=signs)

    def _of(self, layer: int) -> Maps:
        """The maps of one layer's own spaces."""
        if layer not in self.layers:
            if len(self.layers) >= LAYERS_HELD:
                self.layers.pop(next(iter(self.layers)))
            self.layers[layer] = self._drawn(layer)
        return self.layers[layer]

    def _drawn(self, layer: int) -> Maps:
        shapes: dict[Place, Floats] = {}
        for spec in self.checkpoint.specs:
            if spec.layer == layer and known(spec.role):
                shape = (spec.rows,) if spec.columns == 1 else (spec.rows, spec.columns)
                shapes[spec.role, spec.layer, spec.expert] = np.broadcast_to(np.float32(0), shape)
        rng, orders, factors = self._generator(layer), Orders(), dict[Space, Floats]()
        for gauge in self.gauges:
            if gauge in REORDERED:
                orders |= random_orders(shapes, REORDERED[gauge], rng)
            elif gauge == "permute-heads":
                orders |= self._heads(shapes, rng)
            elif gauge == "rescale-neurons" and self.checkpoint.architecture.glu:
                spaces = {s: n for s, n in sizes(shapes).items() if s[0] in {"neuron", "shared"}}
                factors |= {space: _scales(size, rng) for space, size in spaces.items()}
        return Maps(orders=orders, factors=factors)

    def _heads(self, shapes: Mapping[Place, Floats], rng: np.random.Generator) -> Orders:
        shape = self.checkpoint.architecture
        if not shape.heads or not shape.kv_heads or shape.heads % shape.kv_heads:
            raise ForensicsError("how heads are grouped is not known")
        return head_orders(shapes, shape.heads, shape.kv_heads, rng)

    def _gained(self, place: Place, tensor: Floats) -> Floats:
        """The tensor with norm gains folded into it, or rescaled against it, as the gauges ask."""
        role, layer, expert = place
        if not {"fold-gains", "scale-gains"} & set(self.gauges):
            return tensor
        if expert is None and role.removesuffix("_bias") in {"input_norm", "mlp_norm", "final_norm"}:
            by = self._gain_factor(role.removesuffix("_bias"), layer)
            ones = not role.endswith("_bias") and "fold-gains" in self.gauges and by is not None
            return np.ones_like(tensor) if ones else _times(tensor, by, inverse=False)
        norm = norm_before(role, has_mlp_norm=self.checkpoint.find("mlp_norm", layer) is not None)
        return _times(tensor, self._gain_factor(norm, layer) if norm else None, inverse=True)

    def _gain_factor(self, norm: str, layer: int | None) -> Floats | None:
        """What a norm's gain is multiplied by, and what reads it is divided by; None where it stays."""
        gain = self.checkpoint.vector(norm, layer)
        if gain is None:
            return None
        if "fold-gains" in self.gauges:
            if not gain.all():
                raise ForensicsError(f"{norm} of layer {layer} has gains of zero")
            return np.asarray(1.0 / gain, np.float32)
        if norm == "final_norm":
            return None
        number = ("input_norm", "mlp_norm").index(norm)
        rng = np.random.Generator(np.random.PCG64([*self.seed, (layer or 0) + 1, number]))
        return _scales(len(gain), rng)


def _times(tensor: Floats, by: Floats | None, *, inverse: bool) -> Floats:
    if by is None or tensor.shape[-1] != len(by):
        return tensor
    return np.asarray(tensor / by if inverse else tensor * by, np.float32)


def _signs(size: int, rng: np.random.Generator) -> Floats:
    return np.where(rng.integers(0, 2, size) == 1, 1.0, -1.0).astype(np.float32)


def _scales(size: int, rng: np.random.Generator) -> Floats:
    """Random factors of either sign."""
    return np.exp(SPREAD * rng.standard_normal(size)).astype(np.float32) * _signs(size, rng)


def unknown_roles(roles: Iterable[str]) -> list[str]:
    """Those for which no gauge is known."""
    return sorted(role for role in set(roles) if not known(role))
