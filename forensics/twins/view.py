"""A checkpoint with changed weights, as far as sketchers ask for them. Never more than a tensor is held at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from forensics.alignment.gauges import Floats, Place, axes_of, known
from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint
    from forensics.checkpoint.facts import Anchors
    from forensics.probe import TensorSpec

TENSOR_LIMIT = 1 << 28
"""Elements of a tensor that is changed as a whole: 1 GB in float32. Embeddings are changed in blocks of rows."""
BLOCK_ELEMENTS = 1 << 21


class Change(Protocol):
    """What makes a twin of a checkpoint."""

    @property
    def needs_moments(self) -> bool:
        """Whether it asks for each tensor's mean and standard deviation."""
        ...

    def source(self, place: Place) -> Place:
        """Which of the checkpoint's tensors the twin has at a place."""
        ...

    def changed(self, place: Place, tensor: Floats, at: int, moments: tuple[float, float]) -> Floats:
        """The twin's tensor, or its rows from `at`, from the checkpoint's."""
        ...


class TwinView:
    """The checkpoint under a change; whatever is not weights (config, tokenizer, shapes) is the checkpoint's own."""

    def __init__(self, checkpoint: Checkpoint, change: Change) -> None:
        self._base, self._change = checkpoint, change
        self.touched: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)

    def vector(self, role: str, layer: int | None = None) -> Floats | None:
        """A 1-D canonical tensor of the twin, or None."""
        vector = self._base.vector(role, layer)
        return None if vector is None else self._of((role, layer, None), vector, 0, _moments([vector]))

    def anchors(self, count: int) -> Anchors | None:
        """Embedding rows of the same tokens. Noise is drawn anew for them, apart from that of `rows`."""
        found = self._base.anchors(count)
        if found is None:
            return None
        at = 1 << 40  # no row of an embedding: a seed of its own
        moments = _moments([found.rows]) if self._change.needs_moments else (0.0, 0.0)
        return replace(found, rows=self._of(("embed_tokens", None, None), found.rows, at, moments))

    def matrix(self, spec: TensorSpec) -> Floats:
        """A whole canonical tensor, shape (rows, columns)."""
        return np.concatenate([block for _, block in self.rows(spec)])

    def rows(self, spec: TensorSpec) -> Iterator[tuple[int, Floats]]:
        """(first row, block) of one canonical tensor of the twin; ForensicsError where it is too large."""
        place = (spec.role, spec.layer, spec.expert)
        source = self._base.find(*self._change.source(place)) or spec
        if (
            known(spec.role) and axes_of(place)[0][0] is None
        ):  # rows are tokens or positions: each can be changed on its own
            blocks = self._base.rows(source)
            moments = (
                _moments(b for _, b in self._base.rows(source)) if self._change.needs_moments else (0.0, 0.0)
            )
            for at, block in blocks:
                yield at, self._of(place, block, at, moments)
            return
        if spec.rows * spec.columns > TENSOR_LIMIT:
            raise ForensicsError(f"{spec.role} of layer {spec.layer} is too large to be changed in memory")
        whole = self._base.matrix(source)
        whole = whole[:, 0] if spec.columns == 1 else whole
        moments = _moments([whole]) if self._change.needs_moments else (0.0, 0.0)
        changed = self._of(place, whole, 0, moments).reshape(spec.rows, spec.columns)
        step = max(1, BLOCK_ELEMENTS // spec.columns)
        for at in range(0, spec.rows, step):
            yield at, changed[at : at + step]

    def _of(self, place: Place, tensor: Floats, at: int, moments: tuple[float, float]) -> Floats:
        with np.errstate(
            all="ignore"
        ):  # a hostile checkpoint's numbers; sketchers look for what is not finite
            return np.ascontiguousarray(self._change.changed(place, tensor, at, moments), np.float32)


def _moments(blocks: Any) -> tuple[float, float]:
    """Mean and standard deviation over all blocks."""
    count, total, squares = 0, 0.0, 0.0
    with np.errstate(all="ignore"):
        for block in blocks:
            flat = block.ravel()
            step = 1 << 22
            for at in range(0, len(flat), step):
                part = flat[at : at + step].astype(np.float64)
                count, total, squares = (
                    count + len(part),
                    total + float(part.sum()),
                    squares + float(part @ part),
                )
    if not count:
        return 0.0, 0.0
    mean = total / count
    return mean, math.sqrt(max(0.0, squares / count - mean * mean)) if math.isfinite(squares) else math.nan
