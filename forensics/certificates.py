"""What the self-test found: twins of a candidate, made so that the right answer is known, and every probe's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from forensics.readings import STRICT

Answer: TypeAlias = Literal["right", "wrong", "blind", "not-judged", "abstained", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One probe put to one twin and the candidate that it was made from."""

    probe: str
    answer: Answer
    """`right` or `wrong`; `blind`: it missed (or mistook) this twin, as it says of itself; `not-judged`: there is
    neither an exact test nor a comparable unrelated pair; `abstained` and `failed`: it gave no reading."""
    seen: bool | None = None
    """Whether it took the twin for kin of the candidate; None where that cannot be said."""
    value: float | None = None
    p: float | None = None
    """Exact p, uncorrected."""
    detail: str = ""
    """What decided, with the numbers."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A rewriting of the candidate, made in memory, whose relation to the candidate is known."""

    name: str
    made: str
    """How it was made, in words."""
    gauges: tuple[str, ...]
    """What was done to it, by the names that probes use in `blind_to`."""
    kin: bool
    """Whether it holds the candidate's weights, so that it must be seen; noise must not be."""
    not_made: str = ""
    """Why there is no such twin; empty where there is."""
    tests: tuple[Tested, ...] = ()

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The self-test at one candidate's own scale."""

    candidate: str
    digest: str
    """Of the candidate; every random draw follows from it."""
    twins: tuple[Twin, ...]
    untested: tuple[str, ...] = ()
    """Probes of the case that were not put to the twins: they read no weights, run models, or carry no weight."""
    alarms: tuple[str, ...] = ()
    """A sentence for each probe that took noise for the candidate; with any of them nothing is concluded."""

    __pydantic_config__: ClassVar[Any] = STRICT
