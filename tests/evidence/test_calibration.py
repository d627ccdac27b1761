"""One reading's weight, above all that of the published depth-curve statistic."""

from __future__ import annotations

import copy
import json
import math
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import PluginError
from forensics.evidence.calibration import Calibration, calibration_from_json
from forensics.evidence.library import assemble
from forensics.evidence.transforms import Transform
from tests.evidence.builders import reference, reference_json


def published() -> dict[str, Any]:
    """The bundled file on published measurements of real models."""
    folder = resources.files("forensics.evidence").joinpath("reference")
    found: dict[str, Any] = json.loads(folder.joinpath("weight-std-published.json").read_text("utf-8"))
    return found


def weight_std() -> Calibration:
    """Its one calibration."""
    return assemble([published()]).calibrations["weight-std"]


def test_0927_weighs_about_nothing() -> None:
    """The value on which the accusation rested favours neither origin: LR within 1.2 of 1, interval around it."""
    weight = weight_std().weigh(0.927, "published")
    assert abs(weight.log10_lr) <= 0.08
    assert weight.lower < 0 < weight.upper


def test_only_near_copies_reach_the_cap() -> None:
    """From 0.995 on the weight is the decided log10 5, and nothing weighs more."""
    assert [weight_std().weigh(r, "").log10_lr for r in (0.995, 0.999, 1.0)] == [0.7] * 3
    assert weight_std().weigh(0.95, "").log10_lr < 0.1


def test_a_low_reading_speaks_against_within_bounds() -> None:
    """Unlike curves speak mildly against descent, no further than the published pairs allow."""
    weight = weight_std().weigh(0.3, "")
    assert -0.7 <= weight.log10_lr <= -0.5
    assert weight.upper < 0


def test_published_file_holds_no_measurements() -> None:
    """Only coefficients, quantiles and counts are passed on: 17 families, 135 cells without the doubtful one."""
    found = published()
    assert found["cells"] == {"derived": 17, "unrelated": 135}
    assert found["fusion"] is None
    assert len(json.dumps(found)) < 20_000
    assert sum(found["calibrations"][0]["histogram"]["unrelated"]) == found["unrelated_pairs"]


@given(st.lists(st.floats(-2, 2, allow_nan=False), min_size=2, max_size=20))
def test_weights_never_fall_as_readings_rise(readings: list[float]) -> None:
    """Point and both ends of the interval are monotone, finite, ordered and within the cap."""
    for calibration in (weight_std(), *reference().calibrations.values()):
        weights = [calibration.weigh(reading, "") for reading in sorted(readings)]
        for weight in weights:
            assert -weight.cap <= weight.lower <= weight.log10_lr <= weight.upper <= weight.cap
        for low, high in pairwise(weights):
            assert low.log10_lr <= high.log10_lr
            assert low.lower <= high.lower
            assert low.upper <= high.upper


@given(st.floats(-5, 5, allow_nan=False))
def test_background_marks_one_bin(reading: float) -> None:
    """Exactly one bin holds the case, the bin's edges enclose it, and all reference pairs are counted."""
    calibration = weight_std()
    table = calibration.background(reading)
    marked = [row for row in table.rows if row[4]]
    assert len(marked) == 1
    low, high = marked[0][:2]
    assert low is None or float(low) <= reading
    assert high is None or reading <= float(high)
    assert sum(int(row[2] or 0) for row in table.rows) == sum(calibration.histogram.unrelated)


def test_a_reading_beyond_the_reference_is_called_so() -> None:
    """Outside the range of all reference pairs the background says so; inside it does not."""
    calibration = weight_std()
    assert calibration.outside(-0.95)
    assert "outside the range" in calibration.background(-0.95).title
    assert not calibration.outside(0.5)
    assert "outside" not in calibration.background(0.5).title


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("slope", -0.1, "slope is negative"),
        ("intercept", float("nan"), "not finite"),
        ("spread", 0.0, "spread"),
        ("bounds", [-0.5, 9.0], "log10 of the number of families"),
        ("bounds", [0.5, 0.6], "wrong side"),
        ("replicas", [[0.0, 1.0]] * 3, "replicas"),
        ("replicas", [[0.0, -1.0]] * 60, "slope is negative"),
        ("histogram", {"edges": [0, 1], "unrelated": [1, 2], "derived": [0]}, "histogram"),
        ("transform", {"kind": "cube", "low": 0, "high": 1}, "unknown transform"),
        ("transform", {"kind": "atanh", "low": -1, "high": 1}, "limits"),
        ("families", None, "cannot be read"),
    ],
)
def test_a_calibration_that_breaks_a_promise_is_refused(key: str, value: object, complaint: str) -> None:
    """Negative slopes, infinite numbers, excessive bounds and malformed parts stop the run, naming the probe."""
    entry = copy.deepcopy(reference_json()["calibrations"][0])
    entry[key] = value
    with pytest.raises(PluginError, match=complaint):
        calibration_from_json(entry, "made-up")


def test_transforms_meet_their_definitions() -> None:
    """atanh and logit are what they say inside their limits and constant beyond them."""
    z, odds = (
        Transform(kind="atanh", low=-0.9, high=0.9),
        Transform(kind="logit", low=0.1, high=0.9),
    )
    readings = reference().table.readings[:1, 0]  # type: ignore[union-attr]
    assert z(readings * 0 + 0.5) == pytest.approx(math.atanh(0.5))
    assert z(readings * 0 + 7.0) == pytest.approx(math.atanh(0.9))
    assert odds(readings * 0 + 0.25) == pytest.approx(math.log(1 / 3))
