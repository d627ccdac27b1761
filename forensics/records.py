"""Every immutable thing an investigation learns; `Dossier` is the whole.

All records are frozen, keyword-only dataclasses that hold only JSON-able values. Absence is a type with a
reason (`Abstention`, `Failure`) or an explicit None, never NaN: a number in a record is finite.
Unions carry a `kind` key, so that a record read back equals the record written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from forensics.candidate_relations import CandidateRelation, PairReading
from forensics.certificates import Certificate
from forensics.claims import Claim, ClaimStanding
from forensics.exhibits import Exhibit, Statement
from forensics.opinions import (
    Condition,
    Contribution,
    Omission,
    Opinion,
    Proposition,
    PropositionId,
    Standing,
    Toward,
)  # fmt: skip
from forensics.readings import STRICT, Aspect, Direction, Exact, Outcome, Relation, Scalar, Table, Verdict
from forensics.subjects import Architecture, FileSeen, Subject, Unexamined

__all__ = [
    "Architecture", "CandidateRelation", "Case", "Certificate", "Claim", "ClaimStanding", "Condition", "Contribution",
    "Direction", "Dossier", "Environment", "Exhibit", "FileSeen", "Finding", "JointFinding", "Margin", "Omission",
    "Opinion", "Origin", "PairReading", "Population", "ProbeUsed", "Problem", "Proposition", "PropositionId",
    "Relation", "Standing", "Statement", "Subject", "Tool", "Toward", "Unexamined", "Verdict", "Weight",
]  # fmt: skip


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
class Margin:
    """How far a behavioural reading lies above the same instrument's readings on the controls; never weighed."""

    inputs: str = ""
    """On what it was read; empty for the probe's own value, else the name in `Measurement.elsewhere`."""
    reading: float
    controls: int
    """Controls of the case."""
    speaking: int = 0
    """Those on which the instrument gave this reading."""
    highest: float | None = None
    """Their highest; None where no control speaks."""
    by: str = ""
    """The control that has it."""
    margin: float | None = None
    """`reading` less `highest`."""

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
    margins: tuple[Margin, ...] = ()
    """Of a probe of behaviour on a candidate: its readings against the controls; empty otherwise."""

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
    candidate_relations: tuple[CandidateRelation, ...] = ()
    """What the candidates are to each other, pair by pair in the order of the case; empty with fewer than two."""
    claims: tuple[ClaimStanding, ...] = ()
    """The suspect's claims of its ancestry set against the opinions; never weighed. Empty where they were not read."""
    problems: tuple[Problem, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    """Self-tests of this case; none without `--self-test`."""
    exhibits: tuple[Exhibit, ...] = ()
    """Documents that the parties put in, in the order given; never weighed."""
    statements: tuple[Statement, ...] = ()
    """The parties' own words, those for the claim first; never weighed."""
    environment: Environment

    __pydantic_config__: ClassVar[Any] = STRICT
