"""How long a hub is waited for: per connection, per answer, and over all pauses that it asks for."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from forensics.errors import CheckpointError

NUMBER = re.compile(r"[0-9]{1,9}")
RESET = re.compile(r";\s*t=([0-9]{1,9})")
"""Seconds until the limit is lifted (draft-ietf-httpapi-ratelimit-headers-09)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits in seconds, but for `rate` (bytes per second) and `attempts`."""

    connect: float = 10.0
    read: float = 20.0
    """For one reception; below `window`, or a silent server is called slow."""
    window: float = 30.0
    """Time spent waiting after which the rate is judged."""
    rate: float = 10_000.0
    """What a server must deliver while it is being waited for."""
    pauses: float = 320.0
    """Sum of all pauses of one reader; the public hub counts requests over five minutes."""
    first_pause: float = 0.5
    """Doubled at each further pause in a row."""
    attempts: int = 3
    """How often one piece is tried again after a broken connection."""


@dataclass(slots=True)
class Pauses:
    """Pauses between tries; their sum is bounded, and `stopped` ends one at once."""

    patience: Patience
    stopped: threading.Event = field(default_factory=threading.Event)
    spent: float = 0.0

    def pause(self, tries: int, asked: float, host: str) -> None:
        """Sleeps `asked` seconds, at least `first_pause` · 2^tries; CheckpointError (HUB_BUSY) beyond the sum."""
        seconds = max(asked, self.patience.first_pause * 2.0 ** min(tries, 30))
        if self.spent + seconds > self.patience.pauses:
            raise CheckpointError(
                f"{host} is busy or failing: it would have to be waited for longer than {self.patience.pauses:.0f} s",
                "try again later",
                code="HUB_BUSY",
            )
        self.spent += seconds
        self.stopped.wait(seconds)
        self.go_on()

    def go_on(self) -> None:
        """CheckpointError (HUB_CLOSED) once nobody waits for the bytes any longer."""
        if self.stopped.is_set():
            raise CheckpointError("the reading was ended", code="HUB_CLOSED")


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait: `Retry-After` as a number or a date (RFC 9110, 10.2.3), or the `t` of the hub's `RateLimit`.

    0 where neither says anything.
    """
    said = headers.get("retry-after", "").strip()
    if NUMBER.fullmatch(said):
        return float(said)
    if found := RESET.search(headers.get("ratelimit", "")):
        return float(found[1])
    try:
        then = parsedate_to_datetime(said)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    zoned = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, zoned.timestamp() - time.time())
