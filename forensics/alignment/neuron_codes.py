"""What is kept of chosen neurons: their answers to anchors as codes, their directions, the angles among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.kernels import TINY

Floats32 = NDArray[np.float32]


def angles(
    legs: list[Floats32], norms: Floats32, there: NDArray[np.bool_], *, centred: bool
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Grams and traits of the first neurons that are `there`; with `centred` a row's mean is invisible."""
    there = there[: len(legs[0])]
    first, second = (
        directions(leg[there] - leg[there].mean(axis=1, keepdims=True) * centred) for leg in legs
    )
    grams = np.stack([first @ first.T, second @ second.T])
    sizes = np.log(np.maximum(norms[: len(there)][there], TINY))
    return grams.astype(np.float16), np.column_stack([sizes, np.vecdot(first, second)]).astype(np.float16)


def encode(responses: Floats32) -> NDArray[np.int8]:
    """Responses (anchors, neurons) as codes (neurons, anchors): centred per neuron, largest 127.

    Scale and offset do not matter to Pearson. A neuron that answers nothing, or not finitely, gets zeros.
    """
    if not len(responses):
        return np.zeros(responses.T.shape, np.int8)
    with np.errstate(all="ignore"):
        centred = responses.T - responses.T.mean(axis=1, keepdims=True)
        codes = np.round(centred * (127.0 / np.abs(centred).max(axis=1, keepdims=True)))
    return np.where(np.isfinite(codes), codes, 0.0).astype(np.int8)


def standardise(codes: NDArray[np.int8], keep: NDArray[np.intp]) -> Floats32:
    """Codes over the anchors `keep`, centred, of unit length per neuron; zeros for a neuron without answer."""
    rows = codes[:, keep].astype(np.float32)
    return directions(rows - rows.mean(axis=1, keepdims=True))


def directions(rows: Floats32) -> Floats32:
    """Rows of unit length; a row without direction stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    there = np.isfinite(lengths) & (lengths > 1e-12)
    return np.where(there, rows / np.where(there, lengths, 1.0), 0.0).astype(np.float32)
