"""Canonical tensors put back under the names of a declared architecture, to run it with trusted classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.segments import Segment, Unsplittable, cut, oriented

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forensics.checkpoint.layout import Layout, Match
    from forensics.checkpoint.opened import Checkpoint
    from forensics.probe import TensorSpec


def module_tensor(
    checkpoint: Checkpoint, model_type: str, name: str, shape: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """Float32 values of shape `shape` for the module parameter `name`, or None where a piece is missing.

    The declared type's layout says which canonical rows the parameter holds; they are taken from wherever the
    file keeps them. Norm gains get the declared layout's offset removed again.
    """
    found = _segments(checkpoint, model_type, name, shape)
    if found is None:
        return None
    match, layout, segments = found
    turned = match.rule.transpose and len(shape) > 1
    rows, columns = oriented(shape, match, turned=turned)
    if any(_stored(checkpoint, segment) is None for segment in segments):
        return None  # before any memory is asked for
    whole = np.empty((rows, columns), dtype=np.float32)
    for segment in segments:
        _copy(checkpoint, segment, whole, 0)
    offset = layout.gain_offset(model_type, match.rule.roles[0])
    if offset:
        whole -= np.float32(offset)
    if not turned:
        return whole.reshape(shape)
    stacked = whole.reshape(shape[0], -1, columns) if len(shape) == 3 else whole
    return np.ascontiguousarray(stacked.swapaxes(-1, -2)).reshape(shape)


def module_expert(
    checkpoint: Checkpoint, model_type: str, name: str, shape: tuple[int, int, int], expert: int
) -> NDArray[np.float32] | None:
    """What `module_tensor` gives for a stack of experts, of one alone, shape `shape[1:]`; no other is read."""
    found = _segments(checkpoint, model_type, name, shape)
    if found is None or not 0 <= expert < shape[0]:
        return None
    match, _, segments = found
    turned = match.rule.transpose
    rows, columns = oriented(shape, match, turned=turned)
    each = rows // shape[0]
    own = [segment for segment in segments if expert * each <= segment.start < (expert + 1) * each]
    if not own or any(_stored(checkpoint, segment) is None for segment in own):
        return None
    whole = np.empty((each, columns), dtype=np.float32)
    for segment in own:
        _copy(checkpoint, segment, whole, expert * each)
    return np.ascontiguousarray(whole.T) if turned else whole


def module_matrix(
    checkpoint: Checkpoint, model_type: str, name: str, shape: tuple[int, ...]
) -> TensorSpec | None:
    """The canonical tensor whose rows are those of the module's matrix `name`, or None where no single one is."""
    found = _segments(checkpoint, model_type, name, shape)
    if found is None or found[0].rule.transpose or len(found[2]) != 1:
        return None
    return _stored(checkpoint, found[2][0])


def _segments(
    checkpoint: Checkpoint, model_type: str, name: str, shape: tuple[int, ...]
) -> tuple[Match, Layout, list[Segment]] | None:
    """How the declared type's layout cuts the module parameter `name`; None where it does not know it or cannot."""
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
        return match, layout, cut(name, shape, "f32", match, heads, turned=turned)
    except Unsplittable:
        return None


def _stored(checkpoint: Checkpoint, segment: Segment) -> TensorSpec | None:
    """The file's canonical tensor that a segment wants, if it has the size."""
    wanted = segment.spec
    spec = checkpoint.find(wanted.role, wanted.layer, wanted.expert)
    return spec if spec and (spec.rows, spec.columns) == (wanted.rows, wanted.columns) else None


def _copy(checkpoint: Checkpoint, segment: Segment, whole: NDArray[np.float32], begin: int) -> None:
    """Copies a segment's rows, which the file has, to their place in `whole`, whose first row is `begin`."""
    spec = _stored(checkpoint, segment)
    assert spec is not None
    for start, block in checkpoint.rows(spec):
        low, high = max(start, segment.at), min(start + len(block), segment.at + segment.rows)
        if low < high:
            first = segment.start - begin + (low - segment.at) * segment.step
            last = segment.start - begin + (high - 1 - segment.at) * segment.step
            whole[first : last + 1 : segment.step] = block[low - start : high - start]
