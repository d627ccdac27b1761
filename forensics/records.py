"""Every immutable thing an investigation learns; `Dossier` is the whole.

All records are frozen, keyword-only dataclasses that hold only JSON-able values. Absence is a type with a
reason (`Abstention`, `Failure`) or an explicit None, never NaN: a number in a record is finite.
Unions carry a `kind` key, so that a record read back equals the record written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from forensics.certificates import Certificate
from forensics.readings import STRICT, Aspect, Direction, Exact, Outcome, Relation, Scalar, Table
from forensics.subjects import Architecture, FileSeen, Subject, Unexamined

__all__ = [
    "Architecture", "Case", "Certificate", "Contribution", "Direction", "Dossier", "Environment", "FileSeen", "Finding",
    "JointFinding", "Opinion", "Origin", "Population", "ProbeUsed", "Problem", "Proposition", "PropositionId",
    "Relation", "Standing", "Subject", "Tool", "Unexamined", "Verdict", "Weight",
]  # fmt: skip

Verdict: TypeAlias = Literal["derived", "independent", "inconclusive"]
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
class Origin:
    """Whose code a probe is."""

    distribution: str
    version: str
    sha256: str
    """Digest of the plugin's source file; empty where it cannot be read."""
    bundled: bool

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeUsed:
    """The instrument, with everything that can change its reading."""

    id: str
    version: str
    title: str
    measures: str
    parameters: Mapping[str, Scalar]
    origin: Origin
    needs: str = ""
    expected: str = ""
    """Expected reading under both propositions, written before looking."""
    standard: bool = True
    """Whether `parameters` are those the probe comes with; with others its readings carry no weight."""
    aspect: Aspect | None = None
    """What it looks at, where that is not the trained weights."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a reading is worth: log10 likelihood ratio of derived against unrelated, capped."""

    log10_lr: float
    lower: float
    upper: float
    cap: float
    """|log10_lr| never exceeds this, nor does the interval."""
    population: str
    """Which reference population said so (description; its digest is in `Dossier.environment`)."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A probe's outcome for one candidate, entered in the record."""

    probe: ProbeUsed
    candidate: str
    outcome: Outcome
    suspect_precision: str = ""
    """Stored precisions that the probe's reading of the suspect rests on, e.g. `bf16`; empty without weights."""
    candidate_precision: str = ""
    weight: Weight | None = None
    exact: Exact | None = None
    background: Table | None = None
    """Counts of unrelated and derived reference pairs per bin of `value`, with this case's bin marked."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class JointFinding:
    """A probe's outcome for several candidates at once, e.g. whether the suspect is a merge of some; never weighed."""

    probe: ProbeUsed
    candidates: tuple[str, ...]
    """Those that took part, in the order of the case."""
    outcome: Outcome

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One probe's share of a fused log10 LR before the cap; the shares and the intercept add up."""

    probe: str
    log10_lr: float

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that went wrong around the case and did not stop it."""

    where: str
    """Subject label, plugin or room concerned."""
    code: str
    message: str

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Which program wrote the record."""

    name: str
    version: str

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The question put."""

    id: str
    suspect: str
    candidates: tuple[str, ...]
    controls: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    generated_at: str | None = None
    """UTC; only from SOURCE_DATE_EPOCH, so that the same inputs give the same bytes."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """A reference population that weighed something in this case."""

    id: str
    description: str
    sha256: str
    families: int
    derived_pairs: int
    unrelated_pairs: int
    cllr: float | None = None
    cllr_lower: float | None = None
    cllr_upper: float | None = None

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What can change a reading: versions, seeds, reference data. No host, user, path or time."""

    python: str
    packages: Mapping[str, str]
    plugins: tuple[Origin, ...] = ()
    populations: tuple[Population, ...] = ()
    verbal_scale: str = ""
    device: str = "cpu"

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """The whole record of one case; every report is a pure function of it."""

    schema: Literal["forensics-dossier/1"] = "forensics-dossier/1"
    tool: Tool
    case: Case
    subjects: tuple[Subject, ...]
    findings: tuple[Finding, ...]
    opinions: tuple[Opinion, ...]
    controls: tuple[Opinion, ...] = ()
    joint: tuple[JointFinding, ...] = ()
    """What probes say of several candidates together; empty with fewer than two."""
    problems: tuple[Problem, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    """Self-tests of this case; none without `--self-test`."""
    environment: Environment

    __pydantic_config__: ClassVar[Any] = STRICT
