"""The verdict's thresholds, each with its reason, read from one data file."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The values of `reference/thresholds.json`; the reasons stand there."""

    derived_log10_lr: float
    derived_groups: float
    derived_layer_share: float
    derived_coverage: float
    whole_layer_share: float
    independent_log10_lr: float
    independent_coverage: float
    independent_exact_p: float
    group_exact_p: float
    trained_exact_p: float
    comparable_width_ratio: float
    comparable_cells: int
    fusion_families: int
    behavioural_controls: int
    behavioural_margin: float


def load_thresholds() -> Thresholds:
    """The bundled thresholds."""
    text = resources.files("forensics.evidence").joinpath("reference/thresholds.json").read_text("utf-8")
    found = json.loads(text)
    return Thresholds(**{field.name: found[field.name]["value"] for field in fields(Thresholds)})
