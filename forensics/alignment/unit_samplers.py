"""The samplers of all units of a model at once: which are open, which are kept, whose down columns confirm.

The third leg is asked for only once a unit's sample is known, and of kept units only: hundreds of experts may be
sampled, a few are kept. Where down_proj stands before its gate in the file, as the usual writers leave it, it is read
once more for the kept ones; columns cannot be chosen before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.neuron_codes import encode
from forensics.alignment.neuron_sample import Floats32, SampledUnit, Unit, UnitSampler


@dataclass(slots=True, kw_only=True)
class ColumnLeg:
    """Answers of chosen neurons' down columns, summed over blocks of rows."""

    inputs: Floats32
    chosen: NDArray[np.int32]
    answers: Floats32 = field(init=False)
    """(anchors, t)."""
    seen: int = 0
    """Rows so far, without a gap."""

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        """Forgets what went by."""
        self.answers, self.seen = np.zeros((len(self.inputs), len(self.chosen)), np.float32), 0

    @property
    def whole(self) -> bool:
        """Whether every row was seen."""
        return self.seen == self.inputs.shape[1]

    def see(self, rows: Floats32, start: int) -> None:
        """Takes a block (n, neurons); one that does not go on where the last ended is left out."""
        if start == self.seen:
            with np.errstate(all="ignore"):
                self.answers += self.inputs[:, start : start + len(rows)] @ rows[:, self.chosen]
            self.seen += len(rows)


@dataclass(slots=True, kw_only=True)
class UnitSamplers:
    """The samplers of all units of a model, and the samples of those that are through."""

    inputs: Floats32
    projection: Floats32
    most: int
    experts: int
    """Of the experts (numbers from 0) of a layer, those that answer most are kept."""
    least: int
    """A sample of fewer neurons is dropped."""
    outputs: bool
    subtract_mean: bool
    graph: int = 0
    third: int = 0
    """Of so many kept neurons a unit, the first, the down columns confirm."""
    third_layers: Collection[int] = ()
    """In these layers only, for a down matrix costs as much as gate and up together."""
    open: dict[Unit, UnitSampler] = field(default_factory=dict)
    kept: dict[Unit, SampledUnit] = field(default_factory=dict)
    columns: dict[Unit, ColumnLeg] = field(default_factory=dict)
    """Third legs of kept units."""

    def of(self, unit: Unit, neurons: int) -> UnitSampler:
        """The unit's sampler, made when first asked for."""
        if unit not in self.open:
            self.open[unit] = UnitSampler(
                inputs=self.inputs,
                projection=self.projection,
                neurons=neurons,
                most=self.most,
                outputs=self.outputs,
                subtract_mean=self.subtract_mean,
                graph=self.graph,
            )
        return self.open[unit]

    def close(self, unit: Unit) -> None:
        """Samples the unit if both its legs are through and nothing was missed."""
        sampler = self.open[unit]
        if not sampler.through or sampler.missed:
            return
        del self.open[unit]
        sample = sampler.sampled()
        if len(sample.index) < self.least:
            return
        self.kept[unit] = sample
        if unit[0] in self.third_layers:
            self.columns[unit] = ColumnLeg(inputs=self.inputs, chosen=sample.index[: self.third])
        experts = [other for other in self.kept if other[0] == unit[0] and other[1] >= 0]
        if len(experts) > self.experts:
            least = min(experts, key=lambda other: (float(self.kept[other].energy.mean()), other))
            del self.kept[least]
            self.columns.pop(least, None)

    def missed(self) -> list[Unit]:
        """Units whose second leg must be read again; their samplers are ready for it."""
        units = [unit for unit, one in self.open.items() if one.missed and not one.lead_left]
        for unit in units:
            self.open[unit].again()
        return units

    def confirm(self, unit: Unit, rows: Floats32, start: int) -> None:
        """Takes a block of down_proj as a third leg; before the unit's sample is there it goes by unused."""
        if unit in self.columns:
            self.columns[unit].see(rows, start)

    def unconfirmed(self) -> list[Unit]:
        """Kept units whose third leg must be read again; they are ready for it."""
        units = [unit for unit, leg in self.columns.items() if not leg.whole]
        for unit in units:
            self.columns[unit].again()
        return units

    def samples(self) -> dict[Unit, SampledUnit]:
        """What was kept, with the third legs that were seen whole."""
        thirds = {unit: encode(leg.answers) for unit, leg in self.columns.items() if leg.whole}
        return {
            unit: replace(sample, third=thirds[unit]) if unit in thirds else sample
            for unit, sample in self.kept.items()
        }
