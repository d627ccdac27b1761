"""What the candidates of a case are to each other: a record per pair, to be read before any opinion on the suspect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from forensics.readings import STRICT, Exact, Relation, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReading:
    """One probe put to a pair of candidates: its reading and what that is worth, or why there is none."""

    probe: str
    """Id; version and parameters are those of the case's findings."""
    value: float | None = None
    log10_lr: float | None = None
    """Of this reading alone, capped; None without a reading or a calibration."""
    absence: str = ""
    """Why there is no reading: the reason of an abstention, or `failed: ` and the class of an error."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRelation:
    """What the house concludes of two candidates, weighed as if `first` were the suspect and `second` its candidate.

    Which of the two stands first is no finding: it is the one of which the smaller share was read, then the one whose
    label sorts first, whatever their order in the case.
    """

    first: str
    second: str
    log10_lr: float | None
    """None where no calibrated probe could speak, here as for an opinion."""
    lower: float | None
    upper: float | None
    cap: float | None
    verdict: Verdict
    """`derived`: one of the two descends from the other, or both from a third; no direction is judged."""
    relation: Relation
    relation_grounds: tuple[str, ...] = ()
    """What the relation rests on, without weight; "the suspect" in it is `first`, "the candidate" `second`."""
    because: str
    """One sentence: the deciding reason; the same holds for its words."""
    exact: Exact | None = None
    """The exact tests of the pair combined into one; corrected (Holm) over all pairs, apart from the suspect's."""
    coverage: float | None = None
    """Share of the parameters of `first` that was recognised and read (0 to 1); of `second` no less."""
    population: str = ""
    readings: tuple[PairReading, ...] = ()
    """Every probe that sketches, in the order of the case."""

    @property
    def related(self) -> bool:
        """Whether a reader of the opinions must bear in mind that the two are of one kind."""
        return self.verdict == "derived" or self.relation == "identical"

    __pydantic_config__: ClassVar[Any] = STRICT
