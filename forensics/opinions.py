"""What the house concludes of one candidate: the opinion, what it is made of, and the propositions beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from forensics.readings import STRICT, Direction, Exact, Relation, Table, Verdict

Toward: TypeAlias = Literal["derived", "independent"]
"""The verdicts that have conditions."""

PropositionId: TypeAlias = Literal[
    "derived",
    "sibling-or-common-ancestor",
    "shared-initialisation",
    "partial-reuse",
    "distilled",
    "independent-same-recipe",
    "independent",
]

Standing: TypeAlias = Literal["supported", "contradicted", "open", "untested"]
"""Open: tested, and the evidence does not decide. Untested: nothing in this case speaks about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One probe's share of a fused log10 LR before the cap; the shares and the intercept add up."""

    probe: str
    log10_lr: float
    instead_of: tuple[str, ...] = ()
    """Probes that read the same thing and saw less of it: together they have one vote, so these have no share."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Omission:
    """What the fused weight would be had one probe not answered: fitted again without it, bounds and all."""

    probe: str
    log10_lr: float | None
    """None where nothing is fused without it."""
    lower: float | None = None
    upper: float | None = None

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One rule of the verdict as it was applied: what it looked at, and the line it was held against."""

    toward: Toward
    """The verdict that needs it."""
    rule: str
    met: bool
    found: str
    """What was found against what was asked, in words."""
    value: float | None = None
    """The number looked at; None where the rule looks at none or it could not be had."""
    least: float | None = None
    """Asked: at least this (an exact p: above it)."""
    most: float | None = None
    """Asked: at most this."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposition:
    """One explanation of what suspect and candidate have in common, and how it stands after this case's findings."""

    id: PropositionId
    words: str
    standing: Standing
    grounds: tuple[str, ...]
    """Why it stands so, one sentence each."""
    not_told_from: tuple[PropositionId, ...] = ()
    """Other propositions that this case's evidence cannot tell it from; a contradicted one is told from all."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What the house concludes about one candidate (or control)."""

    candidate: str
    log10_lr: float | None
    """None where no calibrated probe could speak."""
    lower: float | None
    upper: float | None
    cap: float | None
    verdict: Verdict
    relation: Relation
    grounds: tuple[str, ...]
    """Each rule of the verdict with what was found, in the order it was applied."""
    band: str
    """Verbal equivalent of the likelihood ratio."""
    because: str
    """One sentence: the deciding reason."""
    not_meaning: str
    """One sentence: what this opinion does not mean."""
    coverage: float | None = None
    """Share of the suspect's parameters that were recognised and read (0 to 1)."""
    contributions: tuple[Contribution, ...] = ()
    omissions: tuple[Omission, ...] = ()
    """Per fused probe, what the weight would be without it."""
    population: str = ""
    cllr: float | None = None
    """Out-of-fold cost of the fusion used, in bits; 1 is uninformative."""
    background: Table | None = None
    """Counts of unrelated and derived reference pairs per bin of the fused log10 LR, out of fold, this case marked."""
    exact: Exact | None = None
    """The exact tests against this candidate combined into one; `p_holm` is corrected over candidates and controls."""
    relation_grounds: tuple[str, ...] = ()
    """What the relation rests on, and what else is known of how the one came from the other; it never has weight."""
    direction: Direction = "undetermined"
    """Which of the two was made from the other, told apart from the verdict."""
    direction_grounds: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """Every rule of the verdict as it was applied, those of `derived` first."""
    propositions: tuple[Proposition, ...] = ()
    """How each of seven explanations stands; empty in dossiers of earlier versions."""

    __pydantic_config__: ClassVar[Any] = STRICT
