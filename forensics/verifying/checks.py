"""One thing that was looked at, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Standing: TypeAlias = Literal["ok", "FAILED", "not checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of `forensics verify`."""

    standing: Standing
    what: str
    """The file or subject concerned."""
    detail: str
    """What was found, or why nothing was looked at."""

    def line(self) -> str:
        """The check as one line; hostile text in it is not yet filtered."""
        return f"{self.standing:<11}  {self.what}: {self.detail}"


def passed(what: str, detail: str) -> Check:
    """It holds."""
    return Check(standing="ok", what=what, detail=detail)


def failed(what: str, detail: str) -> Check:
    """It does not hold."""
    return Check(standing="FAILED", what=what, detail=detail)


def unchecked(what: str, why: str) -> Check:
    """It could not be looked at."""
    return Check(standing="not checked", what=what, detail=why)
