"""Measured pairs without checkpoints: drawn readings for so many families."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from forensics.calibrating.pairs import PairList, read_pairs
from forensics.calibrating.running import Line, Measured
from forensics.records import Origin, Subject
from forensics.registry import Offered, Registry

STRANGER = Origin(distribution="row-thing", version="1.5", sha256="ab" * 32, bundled=False)


def pair_list(folder: Path, families: int) -> PairList:
    """A base and a child per family, and every family beside the next."""
    pairs = []
    for k in range(families):
        pairs.append(
            {"parent": f"b{k}", "child": f"d{k}", "label": "derived", "kind": "fine-tuned", "source": "made"}
        )
        pairs.append({"parent": f"b{k}", "child": f"b{(k + 1) % families}", "label": "unrelated"})
    (folder / "pairs.json").write_text(json.dumps(pairs))
    return read_pairs(str(folder / "pairs.json"))


def offered() -> dict[str, Offered]:
    """The bundled norm-gains, and qkv-bias as if it were a stranger's."""
    known = Registry.load(only_bundled=True).chosen(("norm-gains", "qkv-bias"), {})
    return {
        "norm-gains": known["norm-gains"],
        "qkv-bias": Offered(probe=known["qkv-bias"].probe, origin=STRANGER),
    }


def measured(listed: PairList, scale: float = 1.0, silent: str = "") -> Measured:
    """Drawn readings: derived near 0.9, unrelated near 0, times `scale`; the probe `silent` abstains."""
    rng = np.random.Generator(np.random.PCG64(1))
    lines = []
    for pair in listed.pairs:
        centre = 0.9 if pair.label == "derived" else 0.0
        values = {name: float(scale * (centre + 0.03 * rng.standard_normal())) for name in offered()}
        readings = {
            n: {"none": "abstention: too small"} if n == silent else {"value": v} for n, v in values.items()
        }
        lines.append(Line(pair=pair, readings=readings))
    subjects = {
        m: Subject(label=m, role="suspect", form="checkpoint", digest="0" * 64) for m in listed.models
    }
    return Measured(lines=tuple(lines), subjects=subjects, left_out=[*listed.left_out], offered=offered())
