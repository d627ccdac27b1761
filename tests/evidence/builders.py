"""Small true inputs for the weighing: a reference population of made-up probes, and cases against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from forensics.calibrating.reference_file import calibration, edges_for
from forensics.evidence.assessment import assess
from forensics.evidence.library import Reference, assemble
from forensics.evidence.population import COLUMNS, ReferenceTable, rows_digest, table_from_json
from forensics.readings import Abstention, Exact, Group, Measurement, Outcome, Reason, Sign
from forensics.records import Case, FileSeen, Finding, Origin, ProbeUsed, Subject

PROBES: Mapping[str, Group | None] = {
    "attention-like": Group.ATTENTION,
    "gains-like": Group.NORM_AND_BIAS,
    "mlp-like": Group.MLP,
    "rare": Group.NORM_AND_BIAS,
}
ATANH = {"kind": "atanh", "low": -0.99, "high": 0.99}
FAMILIES, RARE_FAMILIES = 16, 4
WIDTHS = (64, 96, 128, 192)


def row(**given: Any) -> list[Any]:
    """A table row in the order of its columns."""
    return [given[column] for column in COLUMNS]


@cache
def table_json() -> dict[str, Any]:
    """16 families, three derived pairs each and one unrelated pair per two; `rare` reads four families only."""
    rng = np.random.Generator(np.random.PCG64(3))
    rows = []
    for a in range(FAMILIES):
        for b in range(a, FAMILIES):
            for copy in range(3 if a == b else 1):
                shared = rng.normal(1.6 if a == b else 0.1, 0.25)
                readings: list[float | None] = [
                    round(float(np.tanh(shared + rng.normal(0, 0.2))), 5) for _ in PROBES
                ]
                if b >= RARE_FAMILIES:
                    readings[3] = None
                rows.append(
                    row(
                        suspect=f"f{a}.{copy}", candidate=f"f{b}", label="derived" if a == b else "unrelated",
                        stratum="tuned" if a == b else "stranger", cell=f"f{a}|f{b}",
                        families=sorted({f"f{a}", f"f{b}"}), width=min(WIDTHS[a % 4], WIDTHS[b % 4]),
                        layers=4 + min(a % 3, b % 3), precision=8 if a % 2 else 24, readings=readings,
                        layer_peaks=[None if a == b or r is None else round(min(r + 0.1, 1.0), 5) for r in readings],
                    )
                )  # fmt: skip
    return {
        "probes": dict.fromkeys(PROBES, ATANH),
        "seed": 5,
        "draws": 60,
        "columns": list(COLUMNS),
        "rows": rows,
    }


@cache
def reference_json() -> dict[str, Any]:
    """A reference file over `table_json`, with a calibration per probe."""
    found = table_json()
    digest = rows_digest(list(found["probes"]), found["rows"])
    table = table_from_json("made-up", digest, found)
    entries = []
    for k, probe in enumerate(table.probes):
        rows = table.select([probe])
        assessed = assess(rows, seed=5, draws=60)
        assert assessed is not None
        readings = table.readings[np.isfinite(table.readings[:, k]), k]
        entries.append(
            calibration(probe, table.transforms[k], assessed, readings, rows.derived, edges_for(readings))
        )
    return {
        "schema": "forensics-reference/1", "id": "made-up", "description": "made-up pairs", "sha256": digest,
        "families": FAMILIES, "derived_pairs": int(table.derived.sum()), "unrelated_pairs": int((~table.derived).sum()),
        "calibrations": entries, "fusion": found,
    }  # fmt: skip


@cache
def reference() -> Reference:
    """The same, loaded."""
    return assemble([reference_json()])


def table() -> ReferenceTable:
    """Its table for the fusion."""
    found = reference().table
    assert found is not None
    return found


def measurement(
    probe: str, value: float, *, layers: Sequence[float] | None = None, **more: Any
) -> Measurement:
    """A measurement by one of the made-up probes, at width 128 with four layers."""
    return Measurement(
        value=value, quantity="a correlation", summary="as measured", group=PROBES.get(probe),
        layers=tuple([value] * 4 if layers is None else layers), facts={"width": 128}, **more,
    )  # fmt: skip


def exact(p: float) -> Exact:
    """An exact p-value."""
    return Exact(p=p, null_hypothesis="nothing shared", method="closed form")


def finding(probe: str, outcome: Outcome | float, candidate: str = "base") -> Finding:
    """A finding of a probe; a bare number becomes a measurement."""
    origin = Origin(distribution="made-up", version="1", sha256="", bundled=True)
    used = ProbeUsed(id=probe, version="1", title=probe, measures="likeness", parameters={}, origin=origin)
    reading = measurement(probe, outcome) if isinstance(outcome, float) else outcome
    return Finding(probe=used, candidate=candidate, outcome=reading)


def abstention() -> Abstention:
    """Some abstention."""
    return Abstention(reason=Reason.MISSING_TENSORS, detail="there are none")


def findings_at(value: float, candidate: str = "base", **others: float) -> list[Finding]:
    """The three common probes all reading `value`, or what `others` says (underscores for hyphens)."""
    read = dict.fromkeys(("attention-like", "gains-like", "mlp-like"), value)
    read |= {name.replace("_", "-"): reading for name, reading in others.items()}
    return [finding(name, reading, candidate) for name, reading in read.items()]


def subject(label: str, role: Any, *, recognised: int = 98, digest: str = "") -> Subject:
    """A checkpoint of 100 parameters."""
    file = FileSeen(name="model.safetensors", size=1, sha256=digest or f"of {label}")
    return Subject(
        label=label, role=role, form="checkpoint", files=(file,), digest=digest or f"whole {label}",
        parameters=100, recognised=recognised,
    )  # fmt: skip


def case(candidates: Sequence[str] = ("base",), controls: Sequence[str] = ()) -> Case:
    """A case with the suspect `suspect`."""
    return Case(id="c", suspect="suspect", candidates=tuple(candidates), controls=tuple(controls))


def subjects(
    candidates: Sequence[str] = ("base",), controls: Sequence[str] = (), recognised: int = 98
) -> list[Subject]:
    """The suspect with the others of a case."""
    return [
        subject("suspect", "suspect", recognised=recognised),
        *(subject(label, "candidate") for label in candidates),
        *(subject(label, "control") for label in controls),
    ]


def sign(kind: Any) -> Sign:
    """A sign of this kind."""
    return Sign(sign=kind, detail="seen")
