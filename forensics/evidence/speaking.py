"""Which tensor groups speak for descent, and in how many layers (decision 2).

A group speaks through a probe if the probe's exact p-value, corrected over the case, is small enough, or if its
reading is above that of every unrelated reference pair of comparable width. A layer speaks if its reading is
above every layer's of those pairs. Only probes of the reference table are heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forensics.evidence.population import ReferenceTable
from forensics.evidence.statistics import Array, Truth
from forensics.evidence.thresholds import Thresholds
from forensics.readings import Group, Measurement, Scalar
from forensics.records import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What one probe says for its tensor group."""

    probe: str
    group: Group
    speaks: bool
    layer_share: float | None
    """Share of the examined layers that speak; None where none could be judged."""
    how: str
    """One clause with the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The largest unrelated readings of comparable width; None where there are too few."""

    reading: float | None
    layer: float | None
    pairs: int
    words: str


def listen(
    findings: Sequence[Finding], table: ReferenceTable | None, thresholds: Thresholds
) -> tuple[Voice, ...]:
    """A voice for every measurement of one candidate that names a tensor group, in order of probe id."""
    voices = [
        _voice(finding, finding.outcome, table, thresholds)
        for finding in findings
        if isinstance(finding.outcome, Measurement)
        and finding.outcome.group is not None
        and table is not None
        and finding.probe.id in table.probes
    ]
    return tuple(sorted((voice for voice in voices if voice is not None), key=lambda voice: voice.probe))


def _voice(
    finding: Finding, reading: Measurement, table: ReferenceTable | None, thresholds: Thresholds
) -> Voice | None:
    """What this measurement says for its group."""
    if reading.group is None or table is None:
        return None
    ceiling = ceiling_for(table, finding.probe.id, width_of(reading.facts), thresholds)
    p = None if finding.exact is None else finding.exact.p_holm
    by_exact = p is not None and p <= thresholds.group_exact_p
    by_value = ceiling.reading is not None and reading.value > ceiling.reading
    heard = [] if p is None else [f"exact p {p:.1g} after correction"]
    if ceiling.reading is not None:
        heard.append(f"reading {reading.value:.3g}, unrelated pairs at most {ceiling.reading:.3g}")
    return Voice(
        probe=finding.probe.id,
        group=reading.group,
        speaks=by_exact or by_value,
        layer_share=_layer_share(reading.layers, ceiling.layer),
        how=", ".join([*heard, ceiling.words]),
    )


def _layer_share(layers: Sequence[float | None], peak: float | None) -> float | None:
    """Share of layers above the peak; a layer without a reading does not speak."""
    if not layers or peak is None:
        return None
    return sum(layer is not None and layer > peak for layer in layers) / len(layers)


def width_of(facts: Mapping[str, Scalar]) -> float | None:
    """The narrower model's width, as the probe gives it."""
    width = facts.get("width")
    if isinstance(width, bool) or not isinstance(width, int | float) or width <= 0:
        return None
    return float(width)


def ceiling_for(table: ReferenceTable, probe: str, width: float | None, thresholds: Thresholds) -> Ceiling:
    """The largest unrelated readings of this probe among pairs comparable with a case of this width.

    Comparable are pairs within a factor of the width. A case wider than these is held against every
    narrower pair: chance agreement shrinks with width, so narrower pairs make the stricter ceiling. A case
    narrower than the reference has no ceiling and cannot speak by its reading.
    """
    if width is None:
        return Ceiling(reading=None, layer=None, pairs=0, words="width unknown")
    column = table.readings[:, table.probes.index(probe)]
    usable = ~table.derived & np.isfinite(column)
    ratio = thresholds.comparable_width_ratio
    near = usable & (table.widths <= width * ratio) & (table.widths * ratio >= width)
    narrower = usable & (table.widths <= width)
    for members, words in ((near, f"within a factor {ratio:g} of width {width:g}"), (narrower, "narrower")):
        if _enough(table, members, thresholds.comparable_cells):
            peaks = table.layer_peaks[members, table.probes.index(probe)]
            return Ceiling(
                reading=_largest(column[members]),
                layer=_largest(peaks),
                pairs=int(members.sum()),
                words=f"{int(members.sum())} unrelated pairs {words}",
            )
    return Ceiling(
        reading=None, layer=None, pairs=0, words=f"no comparable unrelated pairs at width {width:g}"
    )


def _enough(table: ReferenceTable, members: Truth, cells: int) -> bool:
    """Whether these rows come from enough family cells."""
    return int(np.unique(table.cells[members]).size) >= cells


def _largest(numbers: Array) -> float | None:
    """The largest finite number, if any."""
    finite = numbers[np.isfinite(numbers)]
    return float(finite.max()) if finite.size else None
