"""What a probe says of a pair: a measurement, an abstention or a failure.

The instrument's half of the record; `records` holds what the house makes of it. Only JSON-able values;
a number is finite or it is not a number but an abstention with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeAlias

from forensics.errors import ForensicsError
from forensics.matrices import Matrix
from forensics.strict import STRICT as STRICT  # noqa: PLC0414 - records take it from here

Scalar: TypeAlias = str | int | float | bool | None

Relation: TypeAlias = Literal[
    "identical",
    "fine-tuned",
    "continued",
    "merged",
    "quantised",
    "pruned",
    "expanded",
    "upcycled",
    "partial-reuse",
    "shared-initialisation",
    "sibling-or-common-ancestor",
    "behavioural-only",
    "undetermined",
]

Verdict: TypeAlias = Literal["derived", "independent", "inconclusive"]

Direction: TypeAlias = Literal["suspect-from-candidate", "candidate-from-suspect", "undetermined"]

P_FLOOR = 1e-12
"""Smallest p-value ever printed: beyond it the model behind any null is the larger error (methods §4.5)."""


class Reason(StrEnum):
    """Why a probe abstains."""

    MISSING_TENSORS = "missing-tensors"
    MISSING_FILES = "missing-files"
    NO_SHARED_TOKENS = "no-shared-tokens"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    NOT_FINITE = "not-finite"
    NOT_COMPARABLE = "not-comparable"
    NOT_INFORMATIVE = "not-informative"
    INCOMPATIBLE_SKETCHES = "incompatible-sketches"
    SKETCH_ONLY = "sketch-only"
    UNSUPPORTED = "unsupported"
    FIRST_LOOK = "first-look"


class Group(StrEnum):
    """Disjoint sets of tensors that can speak for descent (decision 2)."""

    MLP = "mlp"
    ATTENTION = "attention"
    EMBEDDING = "embedding"
    NORM_AND_BIAS = "norm-and-bias"


class Aspect(StrEnum):
    """What a probe looks at, where it is not the weights that training shaped."""

    INITIALISATION = "initialisation"
    """Weights that training hardly reached, which still are as they were drawn."""
    BEHAVIOUR = "behaviour"
    """What the models compute on given inputs."""
    RECIPE = "recipe"
    """What models of one recipe have in common without sharing a weight."""


class SignKind(StrEnum):
    """Observations that restrain a verdict whatever the likelihood ratio says."""

    TAMPERING = "tampering"
    PARTIAL_REUSE = "partial-reuse"
    SHARED_INITIALISATION = "shared-initialisation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """A p-value that holds by symmetry of the null hypothesis, without calibration."""

    p: float
    """Two decimals of meaning at most; floored at 1e-12."""
    null_hypothesis: str
    """What is assumed if nothing is shared."""
    method: str
    """Closed form or Monte Carlo, with the number of draws, and how layers were combined."""
    p_holm: float | None = None
    """Corrected (Holm) over every exact test of the case; filled in by the weighing."""

    __pydantic_config__: ClassVar[Any] = STRICT

    def __post_init__(self) -> None:
        if not P_FLOOR <= self.p <= 1.0:
            raise ForensicsError(f"exact p-value {self.p!r} outside [1e-12, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a figure; lines of equal `panel` are overlaid."""

    panel: str
    name: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    mark: Literal["line", "points"] = "line"
    """Whether neighbours are joined; points are set against the diagonal."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A small table; `omitted` counts rows that were cut for length."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]
    omitted: int = 0

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """Something seen that restrains the verdict (see `SignKind`)."""

    sign: SignKind
    detail: str

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """How two models whose weights correspond are related, as a probe explains it: without weight, for the opinion."""

    relation: Relation = "undetermined"
    grounds: tuple[str, ...] = ()
    """What was seen, one clause each."""
    direction: Direction = "undetermined"
    """Which of the two was made from the other."""
    direction_grounds: tuple[str, ...] = ()
    candidate: str = ""
    """Of several candidates examined together, the one it is about; empty where there is only one."""
    explained_by: str = ""
    """Of several candidates, the one with which the suspect shares all that it shares with this one; empty without."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A probe's reading for one pair: one finite number and what explains it."""

    kind: Literal["measurement"] = "measurement"
    value: float
    """The one number that calibration looks at; larger means more alike."""
    quantity: str
    """What `value` is, with its range, in a few words."""
    summary: str
    """One sentence for a reader who has never seen a terminal."""
    group: Group | None = None
    """The tensor group the reading speaks for, if it may count as one under decision 2."""
    layers: tuple[float | None, ...] = ()
    """The same quantity per examined layer of the suspect, in order."""
    exact: Exact | None = None
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    """Named side figures, e.g. how many tokens were shared."""
    tables: tuple[Table, ...] = ()
    series: tuple[Series, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    """A reading per pair of layers, for a heat map; not weighed."""
    elsewhere: Mapping[str, float] = field(default_factory=dict)
    """The same kind of reading on other inputs, by what they are; set against the controls, never weighed."""
    signs: tuple[Sign, ...] = ()
    kinship: tuple[Kinship, ...] = ()
    """What the reading explains of the relation; the opinion takes it over where descent is shown."""

    __pydantic_config__: ClassVar[Any] = STRICT

    def __post_init__(self) -> None:
        numbers: list[object] = [self.value, *self.layers, *self.facts.values(), *self.elsewhere.values()]
        for line in self.series:
            numbers += [*line.x, *line.y]
        numbers += [cell for table in self.tables for row in table.rows for cell in row]
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            raise ForensicsError(
                "a measurement holds a number that is not finite", "abstain instead, with a reason"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """The probe cannot say anything here, and why."""

    kind: Literal["abstention"] = "abstention"
    reason: Reason
    detail: str
    signs: tuple[Sign, ...] = ()
    """What was seen all the same, e.g. gains that somebody made constant."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The probe broke; an error never counts as evidence in either direction."""

    kind: Literal["failure"] = "failure"
    error: str
    """Class of the error, e.g. `ValueError`, `timeout`, `killed`."""
    detail: str

    __pydantic_config__: ClassVar[Any] = STRICT


Outcome: TypeAlias = Measurement | Abstention | Failure
