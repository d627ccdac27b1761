"""The rule by which a probe's answer on a twin counts as right."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.certificates import Twin
from forensics.evidence import twin_rules
from forensics.readings import Failure
from tests.evidence.builders import abstention, exact, measurement, reference, table

KIN = Twin(name="permuted", made="re-ordered", gauges=("permute-neurons",), kin=True)
NOISE = Twin(name="noise", made="noise", gauges=("noise",), kin=False)
PROBE = "mlp-like"
HIGH, LOW = 0.999, 0.01

CASES: dict[str, tuple[Twin, Any, tuple[str, ...], bool, str, bool | None]] = {
    "kin seen by value": (KIN, measurement(PROBE, HIGH), (), True, "right", True),
    "kin seen exactly": (KIN, measurement(PROBE, LOW, exact=exact(1e-7)), (), True, "right", True),
    "kin missed": (KIN, measurement(PROBE, LOW), (), True, "wrong", False),
    "kin missed as stated": (KIN, measurement(PROBE, LOW), ("permute-neurons",), True, "blind", False),
    "kin seen although it says it cannot": (
        KIN,
        measurement(PROBE, HIGH),
        ("permute-neurons",),
        True,
        "right",
        True,
    ),
    "blind to something else": (KIN, measurement(PROBE, LOW), ("flip-residual",), True, "wrong", False),
    "noise not seen": (NOISE, measurement(PROBE, LOW, exact=exact(0.3)), (), True, "right", False),
    "noise seen by value": (NOISE, measurement(PROBE, HIGH), (), True, "wrong", True),
    "noise seen exactly": (NOISE, measurement(PROBE, LOW, exact=exact(1e-9)), (), True, "wrong", True),
    "noise at a doubtful p": (NOISE, measurement(PROBE, LOW, exact=exact(1e-4)), (), True, "wrong", False),
    "noise taken for kin as stated": (NOISE, measurement(PROBE, HIGH), ("noise",), True, "blind", True),
    "no yardstick": (KIN, measurement(PROBE, HIGH), (), False, "not-judged", None),
    "no yardstick but an exact test": (
        KIN,
        measurement(PROBE, HIGH, exact=exact(0.5)),
        (),
        False,
        "not-judged",
        None,
    ),
    "an exact test on noise, alone": (
        NOISE,
        measurement(PROBE, LOW, exact=exact(0.5)),
        (),
        False,
        "right",
        False,
    ),
    "an abstention": (KIN, abstention(), (), True, "abstained", None),
    "a failure": (NOISE, Failure(error="ValueError", detail="no"), (), True, "failed", None),
}


@pytest.mark.parametrize(
    ("twin", "outcome", "blind", "calibrated", "answer", "seen"), CASES.values(), ids=CASES
)
def test_answers(
    twin: Twin, outcome: Any, blind: tuple[str, ...], answer: str, seen: bool | None, *, calibrated: bool
) -> None:
    """Kin must be seen and noise must not, unless the probe says that it cannot tell; the rest is no answer."""
    assert PROBE in table().probes
    found = twin_rules.tested(
        PROBE, outcome, twin, blind_to=blind, reference=reference(), calibrated=calibrated
    )
    assert (found.answer, found.seen) == (answer, seen)


def test_only_noise_that_is_seen_raises_an_alarm() -> None:
    """A missed copy, a doubtful p and a stated blindness are no alarms; noise taken for kin is, with its numbers."""
    rows = [
        twin_rules.tested(PROBE, outcome, twin, blind_to=blind, reference=reference(), calibrated=calibrated)
        for twin, outcome, blind, calibrated, *_ in CASES.values()
        if twin is NOISE
    ]
    found = twin_rules.alarms(
        "base", [Twin(name="noise", made="", gauges=("noise",), kin=False, tests=tuple(rows))]
    )
    assert len(found) == 2
    assert all(one.startswith(f"The self-test failed: {PROBE} took the noise twin of base") for one in found)
