"""The twins of the self-test: what is done to the candidate, and what every probe should then say."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint
    from forensics.twins.view import Change

SMALL = 200_000_000
"""Parameters up to which a twin is worth making that an own larger disturbance covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of twin."""

    name: str
    made: str
    gauges: tuple[str, ...]
    """Function-preserving ones by their names; else what was done, by the name that probes use in `blind_to`."""
    kin: bool = True
    """Whether it holds the candidate's weights."""
    make: Callable[[Checkpoint, tuple[int, ...], tuple[str, ...]], Change]

    def change(self, checkpoint: Checkpoint, seed: int) -> Change:
        """What makes this twin of the checkpoint; ForensicsError where there can be none."""
        return self.make(checkpoint, (seed, zlib.crc32(self.name.encode())), self.gauges)


def _gauged(checkpoint: Checkpoint, seed: tuple[int, ...], gauges: tuple[str, ...]) -> Change:
    from forensics.twins.gauged import Gauged

    return Gauged(checkpoint=checkpoint, seed=seed, gauges=gauges)


def _redrawn(_: Checkpoint, seed: tuple[int, ...], __: tuple[str, ...]) -> Change:
    from forensics.twins.disturbed import Redrawn

    return Redrawn(seed=seed)


def _noisy(_: Checkpoint, seed: tuple[int, ...], __: tuple[str, ...]) -> Change:
    from forensics.twins.disturbed import Shaken

    return Shaken(seed=seed, share=0.3)


def _nudged(checkpoint: Checkpoint, seed: tuple[int, ...], _: tuple[str, ...]) -> Change:
    from forensics.twins.disturbed import Shaken

    if sum(spec.rows * spec.columns for spec in checkpoint.specs) > SMALL:
        raise ForensicsError(
            "the candidate is too large for it to be worth while; the noised twin is changed more"
        )
    return Shaken(seed=seed, share=0.02)


def _rounded(_: Checkpoint, __: tuple[int, ...], ___: tuple[str, ...]) -> Change:
    from forensics.twins.disturbed import Rounded

    return Rounded()


KINDS: tuple[Kind, ...] = (
    Kind(
        name="noise",
        made="every tensor drawn anew with its own mean and standard deviation: nothing is left of the candidate",
        gauges=("noise",),
        kin=False,
        make=_redrawn,
    ),
    Kind(
        name="permuted",
        made="neurons, heads, experts and residual channels in another order",
        gauges=("permute-neurons", "permute-heads", "permute-experts", "permute-residual"),
        make=_gauged,
    ),
    Kind(
        name="flipped",
        made="half of the residual channels negated",
        gauges=("flip-residual",),
        make=_gauged,
    ),
    Kind(
        name="rotated",
        made="gains folded into the matrices behind them, then the residual stream in another basis",
        gauges=("fold-gains", "rotate-residual"),
        make=_gauged,
    ),
    Kind(
        name="rescaled",
        made="norm gains, and where MLPs are gated their neurons, times random factors that the next matrix undoes",
        gauges=("scale-gains", "rescale-neurons"),
        make=_gauged,
    ),
    Kind(
        name="quantised",
        made="matrices rounded to 4 bits, with one scale for 32 numbers",
        gauges=("quantise",),
        make=_rounded,
    ),
    Kind(
        name="noised",
        made="noise of 0.3 times each tensor's standard deviation added",
        gauges=("noise-added",),
        make=_noisy,
    ),
    Kind(
        name="nudged",
        made="noise of 2 % of each tensor's standard deviation added, in place of light training, which was not done",
        gauges=("noise-added",),
        make=_nudged,
    ),
)
"""In the order of the table."""
