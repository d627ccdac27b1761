"""A sample of an MLP's neurons that moves with them, and what the chosen ones answer to anchor tokens.

Neurons are chosen by the rank of a norm, never by index, so that permuted copies choose the same ones. The first
matrix that goes by (the lead: gate, or up without a gate) decides; of the second only the chosen is kept. Norms
of weights instead of energies of answers, because a norm costs one pass and an energy a product with every anchor
(one thread, width 4096, 11008 neurons: 0.11 s against 0.3 s a leg).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.kernels import TINY
from forensics.alignment.moments import row_energies
from forensics.alignment.neuron_codes import angles, directions, encode

Floats32 = NDArray[np.float32]
Unit = tuple[int, int]
"""(layer, expert); what a negative expert means is the probe's affair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledUnit:
    """What is kept of one unit, an MLP or one expert; m neurons by falling norm."""

    codes: NDArray[np.int8]
    """Answers of both legs, (2, m, anchors), see `encode`."""
    rows: NDArray[np.float16]
    """Directions of the up rows under a random projection, (m, k)."""
    index: NDArray[np.int32]
    """Where the neurons stand in the file, (m,)."""
    energy: Floats32
    """Product of both legs' standard deviations over anchors (of their norms without anchors), (m,)."""
    grams: NDArray[np.float16]
    """Cosines among the first g neurons within either leg, (2, g, g); see `neuron_graph`."""
    traits: NDArray[np.float16]
    """Logarithm of the first leg's norm and cosine of the two legs, (g, 2)."""
    third: NDArray[np.int8]
    """Answers of the first t neurons' down columns, (t, anchors), where gate and up are the two legs; t may be 0."""


@dataclass(slots=True, kw_only=True)
class UnitSampler:
    """Sees both legs of one unit in row blocks and keeps a few times `most` rows.

    Of a leg that is through only answers are kept: hundreds of experts may wait for their second leg at a time.
    `inputs` (anchors, width) are what the lead's rows are multiplied with. With `outputs` the second leg is
    down_proj, whose columns are the neurons and whose rows meet `inputs`; otherwise it is up_proj.
    """

    inputs: Floats32
    projection: Floats32
    """(width, k), one for all of a width."""
    neurons: int
    most: int
    outputs: bool = False
    subtract_mean: bool = False
    """Layer norm: inputs have mean zero, so a row's mean does not count towards its norm."""
    missed: bool = False
    """Whether the second leg went by before the lead had decided; `again` then takes it anew."""
    norms: Floats32 = field(init=False)
    highest: Floats32 = field(default_factory=lambda: np.zeros(0, np.float32))
    """The `most` largest distinct norms so far, ascending."""
    lead_left: int = field(init=False)
    follow_left: int = field(init=False)
    lead_rows: dict[int, Floats32] = field(default_factory=dict)
    follow_rows: dict[int, Floats32] = field(default_factory=dict)
    first: Floats32 | None = None
    """Answers of the lead's chosen rows, (anchors, m), once it is through."""
    second: Floats32 | None = None
    """Answers of the second leg's columns, (anchors, m), as far as they are summed."""
    up: Floats32 | None = None
    """Projected directions of the up rows, (m, k), where up is the lead."""
    choice: NDArray[np.intp] | None = None
    graph: int = 0
    """Of so many chosen neurons, the first, the angles are kept."""
    legs: list[Floats32] = field(default_factory=list)
    """Rows of the lead's first `graph` neurons and, with `outputs`, the columns seen so far, (g, width)."""

    def __post_init__(self) -> None:
        self.norms = np.full(self.neurons, np.nan, np.float32)
        self.lead_left = self.neurons
        self.again()

    def again(self) -> None:
        """Forgets the second leg."""
        self.follow_left = self.inputs.shape[1] if self.outputs else self.neurons
        self.missed, self.second = False, None
        self.follow_rows.clear()

    @property
    def through(self) -> bool:
        """Whether both legs were seen whole."""
        return self.lead_left == 0 == self.follow_left

    def lead(self, rows: Floats32, start: int, gain: Floats32 | None = None) -> None:
        """Takes a block (n, width) of the leg that decides, and the gain of what it is given, (width,) or none."""
        span = slice(start, start + len(rows))
        squares = row_energies(rows, gain)
        if self.subtract_mean:
            sums = np.vecdot(rows, np.ones(rows.shape[1], np.float32) if gain is None else gain)
            squares = squares - sums**2 / rows.shape[1]
        usable = np.isfinite(squares) & (squares > TINY)
        norms = np.where(usable, np.sqrt(np.where(usable, squares, 0.0)), 0.0).astype(np.float32)
        self.norms[span] = norms
        self.highest = np.unique(np.concatenate([self.highest, norms[norms > 0]]))[-self.most :]
        self.lead_left -= len(rows)
        self._keep(self.lead_rows, rows, start, gain)
        if not self.lead_left:
            chosen = self._stacked(self.lead_rows)
            self.first = self.inputs @ chosen.T
            self.up = directions(chosen) @ self.projection if self.outputs else None
            self.legs = [chosen[: self.graph].copy()]
            if self.outputs:
                self.legs.append(np.zeros_like(self.legs[0]))
            self.lead_rows.clear()

    def follow(self, rows: Floats32, start: int, gain: Floats32 | None = None) -> None:
        """Takes a block of the second leg: up rows and the gain of what they are given, or down rows."""
        span = slice(start, start + len(rows))
        self.follow_left -= len(rows)
        if self.outputs:
            self.missed |= self.lead_left > 0
            if not self.missed:
                columns = rows[:, self.chosen()]
                self.legs[1][:, span] = columns[:, : self.graph].T
                part = self.inputs[:, span] @ columns
                self.second = part if self.second is None else self.second + part
            return
        self.missed |= bool(np.isnan(self.norms[span]).any())
        if self.missed:
            self.follow_rows.clear()
        else:
            self._keep(self.follow_rows, rows, start, gain)

    def _keep(self, kept: dict[int, Floats32], rows: Floats32, start: int, gain: Floats32 | None) -> None:
        """Adds the rows of a block whose neurons can still be chosen to `kept`, by neuron, the gain in them."""
        least = self._least()
        for i in np.flatnonzero(self.norms[start : start + len(rows)] >= least).tolist():
            kept[start + i] = rows[i].copy() if gain is None else rows[i] * gain
        if len(kept) > 2 * self.most:
            for i in [i for i in kept if self.norms[i] < least]:
                del kept[i]

    def _stacked(self, kept: dict[int, Floats32]) -> Floats32:
        """The chosen rows, (m, width)."""
        chosen = self.chosen().tolist()
        return np.array([kept[i] for i in chosen], np.float32).reshape(len(chosen), self.inputs.shape[1])

    def _least(self) -> float:
        """The smallest norm that can still be chosen."""
        return float(self.highest[0]) if len(self.highest) >= self.most else TINY

    def chosen(self) -> NDArray[np.intp]:
        """Rows chosen, by falling norm; of rows of equal norm (copies) one, so that no order leaks from ties."""
        if self.choice is None or self.lead_left:
            distinct, first = np.unique(self.norms, return_index=True)
            self.choice = first[distinct > 0][::-1][: self.most].astype(np.intp)
        return self.choice

    def sampled(self) -> SampledUnit:
        """The sample, without neurons that answer nothing; only once both legs are through."""
        chosen, first, second, rows = self.chosen(), self.first, self.second, self.up
        with np.errstate(all="ignore"):
            if second is None or rows is None:
                follow = self._stacked(self.follow_rows)
                second, rows = self.inputs @ follow.T, directions(follow) @ self.projection
                self.legs.append(follow[: self.graph])
            assert first is not None
            legs = first, second
            codes = np.stack([encode(leg) for leg in legs])
            energy = self.norms[chosen] * np.linalg.norm(rows, axis=1)
            there = np.isfinite(energy) & (energy > TINY)
            if len(self.inputs):
                energy = first.std(axis=0) * second.std(axis=0)
                there = codes.any(axis=2).all(axis=0) & np.isfinite(energy)
            grams, traits = angles(self.legs, self.norms[chosen], there, centred=self.subtract_mean)
        return SampledUnit(
            codes=codes[:, there],
            rows=rows[there].astype(np.float16),
            index=chosen[there].astype(np.int32),
            energy=energy[there].astype(np.float32),
            grams=grams,
            traits=traits,
            third=np.zeros((0, len(self.inputs)), np.int8),
        )
