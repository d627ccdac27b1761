"""Instruments and what they say, for dossiers made in code.

The numbers are invented (they exercise the layout) and no test asserts that they are right.
"""

from __future__ import annotations

import hashlib
import math

from forensics.readings import (
    Abstention,
    Exact,
    Failure,
    Group,
    Measurement,
    Outcome,
    Reason,
    Series,
    Sign,
    SignKind,
    Table,
)
from forensics.records import Finding, JointFinding, Origin, ProbeUsed, Weight

POPULATION = "lineage zoo 1: 14 families, 5 architectures, 42 derived and 180 unrelated pairs"


def digest(text: str) -> str:
    """A digest that looks like one."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def origin(*, bundled: bool = True, name: str = "model-forensics") -> Origin:
    """Whose code a probe is."""
    return Origin(distribution=name, version="0.1.0", sha256=digest(name), bundled=bundled)


WEIGHT_STD = ProbeUsed(
    id="weight-std",
    version="1.0.0",
    title="Depth curves of attention weights",
    measures=(
        "Correlation over layers of the standard deviations of the attention matrices, against real pairs of "
        "unrelated models; defeated by training recipes that shape all models alike."
    ),
    parameters={"detrend": True, "order": 3, "seed": 20250711},
    origin=origin(),
    needs="attention matrices of at least eight layers",
    expected=(
        "If derived, the detrended curves agree layer by layer (r above 0.8). If unrelated, the raw curves still "
        "agree because depth shapes them, and the detrended ones scatter around zero."
    ),
)
NORM_GAINS = ProbeUsed(
    id="norm-gains",
    version="1.0.0",
    title="Gains of the normalisation layers",
    measures=(
        "Centred coordinate-wise correlation of norm gains against the exact permutation null; defeated by "
        "folding the gains into neighbouring matrices."
    ),
    parameters={"draws": 999_999, "seed": 7},
    origin=origin(),
    needs="norm gains",
    expected="If derived, near 1 in every layer. If unrelated, near 0 with a standard deviation of 1/√width.",
)
NEURONS = ProbeUsed(
    id="neuron-match",
    version="1.0.0",
    title="Matched neurons of the feed-forward blocks",
    measures="Share of neurons that find each other in both of their matrices; defeated by retraining from scratch.",
    parameters={"neurons": 512, "layers": 8, "seed": 11},
    origin=origin(),
    needs="gate, up and down projections",
    expected="If derived, most neurons agree on one partner. If unrelated, one in the number of neurons does.",
)
SCAN = ProbeUsed(
    id="repository-scan",
    version="1.0.0",
    title="Names and notices in the repository",
    measures="Licence texts, copyright lines and names of other model families; leads, without weight.",
    parameters={"bytes_per_file": 262144},
    origin=origin(),
    needs="text files",
)
STRANGER = ProbeUsed(
    id="third-party-probe",
    version="0.3.1",
    title="A stranger’s probe",
    measures="Something that another distribution measures.",
    parameters={"threshold": 1e-06, "mode": None},
    origin=origin(bundled=False, name="acme-forensics-extras"),
)
PROBES = (WEIGHT_STD, NORM_GAINS, NEURONS, SCAN, STRANGER)


def depth_curves(candidate: str, shift: float) -> tuple[Series, ...]:
    """Two panels, suspect against candidate, over 32 layers; one reading is missing."""
    layers = tuple(float(i) for i in range(32))
    lines = []
    for panel, bend in (("raw, z-scored over layers", 0.12), ("detrended", 0.0)):
        for name, phase in (("suspect", 0.0), (candidate, shift)):
            y: list[float | None] = [bend * (i - 16) + math.sin(0.9 * i + phase) * 0.7 for i in range(32)]
            y[17] = None if name != "suspect" else y[17]
            lines.append(
                Series(
                    panel=panel, name=name, x_label="layer", y_label="std of q_proj (z)", x=layers, y=tuple(y)
                )
            )
    return tuple(lines)


def histogram(value: float) -> Table:
    """Counts per bin of 0.1 from −1 to 1, this case marked."""
    rows = []
    for i in range(20):
        low, high = -1 + i / 10, -1 + (i + 1) / 10
        unrelated = round(40 * math.exp(-(((low + 0.05) / 0.25) ** 2)))
        derived = round(14 * math.exp(-(((low - 0.85) / 0.2) ** 2)))
        rows.append((low, high, unrelated, derived, int(low <= value < high or (i == 19 and value >= high))))
    return Table(
        title=POPULATION, columns=("from", "to", "unrelated", "derived", "this case"), rows=tuple(rows)
    )


def reading(strength: float, candidate: str) -> Measurement:
    """A measurement with everything that one can carry."""
    value = 0.98 * math.tanh(2 * strength)
    return Measurement(
        value=value,
        quantity="mean detrended correlation over Q, K, V and O, from −1 to 1",
        summary=(
            f"After the common trend of depth is removed, the curves of the suspect and of {candidate} agree with "
            f"a correlation of {value:.2f}."
        ),
        group=Group.ATTENTION,
        layers=tuple(value - 0.01 * (i % 5) for i in range(32)),
        exact=Exact(
            p=1e-12 if value > 0.9 else 0.31,
            null_hypothesis="the order of the layers of one side carries no information about the other side",
            method="Monte Carlo, 999 999 permutations of layers, combined over matrices by Fisher’s method",
            p_holm=1e-11 if value > 0.9 else 1.0,
        ),
        facts={"width": 4096, "layers compared": 32, "raw correlation": 0.9271, "same depth": True},
        tables=(
            Table(
                title="Per matrix",
                columns=("matrix", "raw r", "detrended r", "layers"),
                rows=tuple(
                    (m, 0.93, value - 0.02 * i, 32)
                    for i, m in enumerate(("q_proj", "k_proj", "v_proj", "o_proj"))
                ),
            ),
        ),
        series=depth_curves(candidate, 0.05 if value > 0.9 else 1.9),
        signs=()
        if value > 0.5
        else (Sign(sign=SignKind.PARTIAL_REUSE, detail="layers 0 to 3 agree, the others do not"),),
    )


def outcome(probe: ProbeUsed, candidate: str, value: float) -> Outcome:
    """What this probe says of this candidate."""
    if probe is STRANGER:
        return Failure(
            error="ValueError", detail="operands could not be broadcast together with shapes (32,) (28,)"
        )
    if probe is NORM_GAINS and value < 0.5:
        return Abstention(
            reason=Reason.NOT_INFORMATIVE,
            detail="every norm gain of the candidate equals 1: they were folded into the neighbouring matrices",
        )
    if probe is SCAN:
        rows = tuple(
            (f"modeling_{i}.py", 10 * i + 3, "# Copyright 2024 The Example Authors", "copyright")
            for i in range(6)
        )
        return Measurement(
            value=0.0,
            quantity="leads found (no weight)",
            summary=f"Six lines of the suspect’s files name the family of {candidate}.",
            tables=(Table(title="Leads", columns=("file", "line", "text", "kind"), rows=rows, omitted=4),),
        )
    return reading(value, candidate)


CAP = 1.146
"""log10 of 14 families."""


def weigh(probe: ProbeUsed, candidate: str, strength: float) -> Finding:
    """What this probe says of this candidate, with its weight if there is one."""
    found = outcome(probe, candidate, strength)
    if probe is SCAN or not isinstance(found, Measurement):
        return Finding(probe=probe, candidate=candidate, outcome=found)
    lower, upper = (max(-CAP, min(CAP, strength + margin)) for margin in (-0.35, 0.2))
    return Finding(
        probe=probe,
        candidate=candidate,
        outcome=found,
        weight=Weight(log10_lr=strength, lower=lower, upper=upper, cap=CAP, population=POPULATION),
        exact=found.exact,
        background=histogram(found.value),
    )


def findings(candidates: dict[str, float]) -> tuple[Finding, ...]:
    """Every probe for every candidate, in the order of the record."""
    return tuple(weigh(probe, name, value) for name, value in candidates.items() for probe in PROBES)


def joint(candidates: tuple[str, ...]) -> tuple[JointFinding, ...]:
    """What one probe says of all candidates together, and another does not."""
    if len(candidates) < 2:
        return ()
    shares = Table(
        title="Shares by layer", columns=("layer", *(f"share of {n}" for n in candidates)),
        rows=((0, *(0.5 for _ in candidates)), ("all", *(0.5 for _ in candidates))),
    )  # fmt: skip
    merged = Measurement(
        value=0.98, quantity="share of the distance that a mixture explains",
        summary=f"The suspect looks like a merge: 50% of {candidates[0]} and 50% of {candidates[1]}.",
        facts={"mixture": "merge"}, tables=(shares,),
    )  # fmt: skip
    silent = Abstention(reason=Reason.NOT_COMPARABLE, detail="too few correspond")
    return (
        JointFinding(probe=NEURONS, candidates=candidates, outcome=merged),
        JointFinding(probe=NORM_GAINS, candidates=(), outcome=silent),
    )
