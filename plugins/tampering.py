"""Tells of rewritings that change nothing a model computes and that no training would choose.

Whoever hides a copy may rescale neurons, heads and norm gains, flip signs of gains, fold gains away (before a rotation)
or sort neurons. Each leaves a trace in the energies of rows and columns: both sides of a free trade get the same
gradients up to scale, so training moves their sizes alike, and a random rescaling turns their log-log correlation
towards −1 with a spread that no training leaves (statistic: `alignment.balance`; symmetry: methods §5.3 item 1).

Thresholds lie far from what training leaves, because a false tell costs an honest model its exoneration; margins on
every untampered zoo model and on each gauge stand in docs/methods.md. Not measured on large real models. Not told:
rescalings of log-spread below 0.25 (0.4 for queries and gains), gains that were as widely spread before, orders, plain
sign flips. A rotated stream has no tell of its own: rotated zoo models spread their channels' energies more than
others, so that only the constant gains that a rotation needs are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Checkpoint,
    Measurement,
    Reason,
    Scalar,
    Sign,
    SignKind,
    Sketch,
    Sketcher,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

GAINS = ("input_norm", "mlp_norm", "final_norm")
"""Norms with a matrix behind them, whose gains can be folded or traded."""
ROLES = ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
CONSTANT = 1e-4
TRAINED_DISPERSION = 3.0
LIMITS = {
    "value-output": (-0.5, 0.5),
    "query-key": (-0.6, 0.8),
    "up-down": (-0.5, 0.5),
    "attention-gain": (-0.8, 0.4),
    "mlp-gain": (-0.8, 0.4),
}
"""Correlation at most, and spread at least, of a layer whose trade somebody rescaled."""
NEGATIVE, NEGATIVE_ELSEWHERE = 0.05, 0.005
SORTED_Z = 8.0
WORDS = {
    "value-output": "value rows and the output columns that read them",
    "query-key": "keys and the queries that meet them",
    "up-down": "neurons' input rows and output columns",
    "attention-gain": "norm gains and the attention columns behind them (smoothing before quantisation does so too)",
    "mlp-gain": "norm gains and the MLP columns behind them (smoothing before quantisation does so too)",
}


class Energies:
    """Takes gains before the pass, and energies of the matrices of a few layers during it."""

    def __init__(self, probe: Tampering, checkpoint: Checkpoint) -> None:
        self._probe, shape = probe, checkpoint.architecture
        self.examined = alignment.evenly_spaced(shape.layers, probe.layers)
        places = [(kind, n) for kind in GAINS[:2] for n in range(shape.layers)] + [(GAINS[2], None)]
        read = {place: checkpoint.vector(*place) for place in places}
        self._gains = {p: g for p, g in read.items() if g is not None and g.size > 1 and np.isfinite(g).all()}
        self._ledgers = {n: alignment.Ledger(shape.kv_heads) for n in self.examined}
        self._columns = 0
        found = [
            (r, n, e) for r in ROLES for n in self.examined for e in (None, 0) if checkpoint.find(r, n, e)
        ]
        self._wanted = {
            (r, n): e for r, n, e in reversed(found)
        }  # of a dense matrix and an expert, the dense one
        self._facts: dict[str, Scalar] = {"width": shape.width, "layers": shape.layers}

    def wants(self, spec: TensorSpec) -> bool:
        """Attention and MLP of the examined layers; of experts, the first."""
        sane = 0 < spec.rows <= alignment.WIDEST and 0 < spec.columns <= alignment.WIDEST
        return (
            sane
            and self._wanted.get((spec.role, spec.layer or 0), -1) == spec.expert
            and spec.layer is not None
        )

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Adds a block to its layer's ledger."""
        if spec.role == "q_proj":
            self._columns = spec.columns
        with np.errstate(all="ignore"):
            self._ledgers[-1 if spec.layer is None else spec.layer].see(spec.role, rows, start, spec.rows)

    def finish(self) -> Sketch:
        """What the tells are read from: (layers, 4) per trade, and a few shares."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for n, ledger in self._ledgers.items():
            gains = {kind: self._gains[kind, n] for kind in GAINS if (kind, n) in self._gains}
            for trade, sides in ledger.trades(gains).items():
                found = alignment.balance(sides)
                if found is not None:
                    spread = float(sides[0].std()) if trade.endswith("gain") else found.spread
                    row = [n, found.correlation, spread, found.smoother, found.mean]
                    arrays[trade] = np.vstack([arrays.get(trade, np.zeros((0, 5))), [row]])
        if not arrays and not self._gains:
            raise Abstain(
                Reason.MISSING_TENSORS, "no norm gains, attention or MLP whose balance could be read"
            )
        middle = [led.rows["q_proj"] for led in self._ledgers.values() if "q_proj" in led.rows]
        trained = [alignment.dispersion([q.astype(np.float32)], self._columns) for q in middle]
        self._facts["dispersion"] = max((t for t in trained if t is not None), default=None)
        self._facts |= {"sorted_z": self._sorted(), "norms": len(self._gains), **self._shares()}
        return self._probe.sketch(arrays, self._facts)

    def _shares(self) -> dict[str, Scalar]:
        """Share of norms with constant gains, and of negative gains among the larger half of each norm's."""
        gains = [g.astype(np.float64) for g in self._gains.values() if np.isfinite(g).all()]
        flat = [bool(g.std() <= CONSTANT * max(float(np.abs(g).mean()), 1e-12)) for g in gains]
        large = [g[np.abs(g) >= np.median(np.abs(g))] for g in gains]
        negative = [min(share, 1.0 - share) for share in (float(np.mean(g < 0.0)) for g in large)]
        return {
            "constant": float(np.mean(flat)) if flat else 0.0,
            "negative": float(np.mean(negative)) if negative else 0.0,
        }

    def _sorted(self) -> float:
        """Median over layers of |z| of the rank correlation of neurons' norms with their index; 0 without MLPs."""
        found = []
        for ledger in self._ledgers.values():
            energies = ledger.rows.get("up_proj")
            if energies is not None and energies.size >= 64 and np.isfinite(energies).all():
                found.append(alignment.order_z(energies))
        return float(np.median(found)) if found else 0.0


def _table(sketch: Sketch, trade: str) -> NDArray[np.float64]:
    """Layer, correlation, spread, smoothness and mean of a trade in every examined layer, shape (layers, 5)."""
    table = np.asarray(sketch.arrays.get(trade, np.zeros((0, 5))), np.float64)
    if table.ndim != 2 or table.shape[1] != 5 or not np.isfinite(table).all():
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, f"a sketch holds no balance of {trade}")
    return table


def rescaled(sketch: Sketch, trade: str) -> tuple[int, int]:
    """How many of the examined layers hold a trade that somebody rescaled, and how many were examined."""
    table = _table(sketch, trade)
    correlation, spread = LIMITS[trade]
    told = (table[:, 1] <= correlation) & (table[:, 2] >= spread)
    if trade.endswith("gain"):
        told &= table[:, 3] <= 0.5
    return int(told.sum()), len(table)


def tells(suspect: Sketch, candidate: Sketch) -> dict[str, str]:
    """What was found in the suspect, in words, by tell; `candidate` says what is normal for signs of gains."""
    facts, found = suspect.facts, {}
    for trade, words in WORDS.items():
        told, of = rescaled(suspect, trade)
        if told and told >= min(2, of):
            found[trade] = f"{words} were scaled against each other in {told} of {of} examined layers"
    constant, dispersion = _number(facts, "constant"), _number(facts, "dispersion")
    if constant > 0.5 and dispersion > TRAINED_DISPERSION:
        found["constant"] = (
            f"{constant:.0%} of the norms have constant gains although the weights look trained: gains were folded "
            "into the weights, as is done before a rotation"
        )
    negative, elsewhere = _number(facts, "negative"), _number(candidate.facts, "negative")
    if negative >= NEGATIVE and elsewhere <= NEGATIVE_ELSEWHERE:
        found["negative"] = f"{negative:.0%} of the larger norm gains stand with the other sign"
    if _number(facts, "sorted_z") >= SORTED_Z:
        found["sorted"] = "neurons stand sorted by their norm, as some pruning tools leave them too"
    return found


def _number(facts: Mapping[str, Scalar], name: str) -> float:
    """A figure of a sketch; 0 where there is none."""
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


@dataclass(frozen=True, kw_only=True)
class Tampering(SketchProbe):
    """Tells of function-preserving rewriting in the suspect that the candidate does not show."""

    id: ClassVar[str] = "tampering"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Traces of rewriting"
    measures: ClassVar[str] = (
        "Whether the suspect was rewritten in ways that change no output and no training chooses: rescaled neurons, "
        "heads or gains, flipped or constant gains, sorted neurons; defeated by small rescalings and by permutations."
    )
    needs: ClassVar[str] = "norm gains, attention or MLP weights"
    expected: ClassVar[str] = "0 for anything trained, derived or not; each tell keeps `independent` away"

    layers: int = 6

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """Keeps energies of a few layers, as a few numbers each."""
        return Energies(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Number of tells the suspect has and the candidate lacks; a sign for each."""
        mine, theirs = tells(suspect, candidate), tells(candidate, suspect)
        new = {name: words for name, words in mine.items() if name not in theirs}
        rows = tuple(_row(trade, suspect, candidate) for trade in WORDS)
        said = "; ".join(new.values()) or "nothing was found that training would not leave"
        return Measurement(
            value=float(len(new)),
            quantity="tells of rewriting in the suspect beyond the candidate's, 0 and up; no measure of descent",
            summary=f"{len(new)} of {len(WORDS) + 3} tells: {said}.",
            facts={
                "also_in_candidate": ", ".join(name for name in mine if name in theirs) or None,
                **{name: suspect.facts.get(name) for name in ("constant", "negative", "sorted_z")},
            },
            tables=(
                Table(
                    title="Balance of what can be traded freely",
                    columns=("trade", "suspect: correlation", "spread", "candidate: correlation", "spread"),
                    rows=rows,
                ),
            ),
            signs=tuple(Sign(sign=SignKind.TAMPERING, detail=words) for words in new.values()),
        )


def _row(trade: str, *sides: Sketch) -> tuple[Scalar, ...]:
    """Medians over the examined layers of both sides, as a row of the table."""
    cells: list[Scalar] = [trade]
    for side in sides:
        table = _table(side, trade)
        cells += [float(np.median(table[:, k])) if len(table) else None for k in (1, 2)]
    return tuple(cells)


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [Tampering()]
