"""Canonical tensors put back under the names of a declared architecture, to run it with trusted classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.segments import Unsplittable, cut, oriented

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensics.checkpoint.opened import Checkpoint


def module_tensor(
    checkpoint: Checkpoint, model_type: str, name: str, shape: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """Float32 values of shape `shape` for the module parameter `name`, or None where a piece is missing.

    The declared type's layout says which canonical rows the parameter holds; they are taken from wherever the
    file keeps them. Norm gains get the declared layout's offset removed again.
    """
    known = [layout for layout in checkpoint.layouts if model_type in layout.model_types]
    layout = next(
        (one for one in known if one.match(name)), None
    )  # one type may be stored under several names
    match = layout.match(name) if layout else None
    if layout is None or match is None:
        return None
    shapes = checkpoint.architecture
    heads = replace(
        checkpoint.plan.heads, heads=shapes.heads, kv_heads=shapes.kv_heads, head_dim=shapes.head_dim
    )
    try:
        turned = match.rule.transpose and len(shape) > 1
        segments = cut(name, shape, "f32", match, heads, turned=turned)
        rows, columns = oriented(shape, match, turned=turned)
    except Unsplittable:
        return None
    whole = np.empty((rows, columns), dtype=np.float32)
    for segment in segments:
        wanted = segment.spec
        spec = checkpoint.find(wanted.role, wanted.layer, wanted.expert)
        if spec is None or (spec.rows, spec.columns) != (wanted.rows, wanted.columns):
            return None
        for start, block in checkpoint.rows(spec):
            low, high = max(start, segment.at), min(start + len(block), segment.at + segment.rows)
            if low < high:
                first = segment.start + (low - segment.at) * segment.step
                last = segment.start + (high - 1 - segment.at) * segment.step
                whole[first : last + 1 : segment.step] = block[low - start : high - start]
    offset = layout.gain_offset(model_type, match.rule.roles[0])
    if offset:
        whole -= np.float32(offset)
    if not turned:
        return whole.reshape(shape)
    stacked = whole.reshape(shape[0], -1, columns) if len(shape) == 3 else whole
    return np.ascontiguousarray(stacked.swapaxes(-1, -2)).reshape(shape)
