"""How long to wait is taken from whatever a server says, which may be anything."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from forensics.errors import CheckpointError
from forensics.hub.patience import Patience, Pauses, retry_after
from forensics.hub.traffic import Traffic


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0), ({"retry-after": "7"}, 7), ({"retry-after": " 7 "}, 7), ({"retry-after": "-7"}, 0),
        ({"retry-after": "7.5"}, 0), ({"retry-after": "soon"}, 0), ({"retry-after": "9" * 30}, 0),
        ({"retry-after": "٣"}, 0), ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, 0), ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api"'}, 0), ({"retry-after": "3", "ratelimit": '"api";r=0;t=55'}, 3),
    ],
)  # fmt: skip
def test_whatever_is_said_becomes_seconds(headers: dict[str, str], seconds: float) -> None:
    """A number, the hub's own header, or nothing."""
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_becomes_the_seconds_until_then(zone: str) -> None:
    """A date in any form that mail knows is turned into a distance from now."""
    said = formatdate(time.time() + 100, usegmt=True).replace("GMT", zone)
    assert 97 <= retry_after({"retry-after": said}) <= 101


def test_pauses_grow_and_end() -> None:
    """Without anything said pauses double; their sum is bounded and the bound is told before it is slept."""
    pauses = Pauses(Patience(first_pause=0.01, pauses=0.1))
    for tries in range(3):
        pauses.pause(tries, 0.0, "hub")
    assert pauses.spent == pytest.approx(0.07)
    began = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        pauses.pause(3, 0.0, "hub")
    assert caught.value.code == "HUB_BUSY"
    assert time.monotonic() - began < 0.05


def test_requests_are_counted_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker gone wrong cannot ask for ever."""
    monkeypatch.setattr("forensics.hub.traffic.REQUESTS_LIMIT", 3)
    traffic = Traffic()
    for _ in range(3):
        traffic.asked()
    with pytest.raises(CheckpointError) as caught:
        traffic.asked()
    assert caught.value.code == "REMOTE_BUDGET"
