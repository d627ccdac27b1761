"""MLP neurons: a sample that moves with them, their responses to tokens, and who is whose counterpart.

Neurons are chosen by the rank of a norm, never by index, so that permuted copies choose the same ones. The first
matrix that goes by (the leader: gate, or up without a gate) decides; rows of the second are kept as they pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.kernels import TINY

Floats32 = NDArray[np.float32]


class Picker:
    """Keeps the rows of largest norm of a matrix seen in blocks, and a second matrix's rows at the same places.

    A row that could still be among the `most` largest is kept, so memory is a few times `most` rows.
    """

    def __init__(self, rows: int, most: int, *, subtract_mean: bool) -> None:
        self.most, self.subtract_mean = most, subtract_mean
        self.norms = np.full(rows, -1.0, np.float32)
        """Norm per row; −1 where it is unseen, nothing or not finite."""
        self.known = np.zeros(rows, bool)
        self.leading: dict[int, Floats32] = {}
        self.following: dict[int, Floats32] = {}
        self.missed = False
        """Whether rows of the second matrix went by before the first matrix's rows."""

    @property
    def complete(self) -> bool:
        """Whether every row of the leader was seen."""
        return bool(self.known.all())

    def lead(self, rows: Floats32, start: int) -> None:
        """Takes a block (n, columns) of the matrix that decides; rows are copied where kept."""
        span = slice(start, start + len(rows))
        with np.errstate(all="ignore"):
            squares = np.square(rows).sum(
                axis=1
            )  # row by row alike: equal rows get equal norms, wherever they are
            if self.subtract_mean:
                squares = squares - rows.sum(axis=1) ** 2 / rows.shape[1]
            norms = np.sqrt(squares)
        self.norms[span] = np.where(np.isfinite(norms) & (squares > TINY), norms, -1.0)
        self.known[span] = True
        least = self._least()
        for i in np.flatnonzero(self.norms[span] >= least):
            self.leading[start + int(i)] = rows[i].copy()
        if len(self.leading) > 3 * self.most:
            self.leading = {i: row for i, row in self.leading.items() if self.norms[i] >= least}

    def follow(self, rows: Floats32, start: int) -> None:
        """Takes a block of the second matrix."""
        span = slice(start, start + len(rows))
        if not self.known[span].all():
            self.missed = True
        for i in np.flatnonzero(self.known[span] & (self.norms[span] >= self._least())):
            self.following[start + int(i)] = rows[i].copy()

    def _least(self) -> float:
        """The smallest norm that can still be chosen."""
        distinct = np.unique(self.norms[self.norms > 0])
        return float(distinct[-self.most]) if len(distinct) >= self.most else 0.0

    def chosen(self) -> NDArray[np.intp]:
        """Rows chosen, by falling norm; of rows of equal norm (copies) one, so that no order leaks from ties."""
        distinct, first = np.unique(self.norms, return_index=True)
        return first[distinct > 0][::-1][: self.most].astype(np.intp)


def encode(responses: Floats32) -> NDArray[np.int8]:
    """Responses (anchors, neurons) as codes (neurons, anchors): centred per neuron, largest 127.

    Scale and offset do not matter to Pearson. A neuron that answers nothing, or not finitely, gets zeros.
    """
    with np.errstate(all="ignore"):
        centred = responses.T - responses.T.mean(axis=1, keepdims=True)
        codes = np.round(centred * (127.0 / np.abs(centred).max(axis=1, keepdims=True)))
    return np.where(np.isfinite(codes), codes, 0.0).astype(np.int8)


def standardise(codes: NDArray[np.int8], keep: NDArray[np.intp]) -> Floats32:
    """Codes over the anchors `keep`, centred, of unit length per neuron; zeros for a neuron without answer."""
    rows = codes[:, keep].astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, rows / np.maximum(lengths, 1e-6), np.float32(0.0))
