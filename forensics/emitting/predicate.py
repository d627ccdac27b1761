"""What our in-toto predicate holds: an extract of a dossier, lower camel case as in-toto asks.

Its JSON Schema is generated from these classes and published as `lineage-findings.schema.json`. Names stand here
exactly as in the record, so that they can be joined with it; whoever shows them must filter them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

from forensics.readings import STRICT, Direction, Relation, Verdict

PREDICATE = "urn:model-forensics:lineage-findings:1"
"""A name and no address: the project has no domain of its own, and the namespace is not registered."""


def _camel(name: str) -> str:
    """The spelling that in-toto asks of predicates: `log10_lr` is `log10Lr`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


LOWER_CAMEL: Any = {**STRICT, "alias_generator": _camel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A DigestSet of in-toto with one entry."""

    sha256: str

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A file by name and digest."""

    name: str
    digest: Digest

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One checkpoint as it was examined."""

    label: str
    """As given to the tool; it proves nothing about where the files are from."""
    form: Literal["checkpoint", "merged", "first-look", "sketch", "unreadable"]
    """Of a `sketch` the digests are its maker's word; `merged` is an adapter with a base that the examiner named."""
    files_digest: str
    """SHA-256 over the raw digests of all files in the order of their names; empty where not all were hashed."""
    commit: str
    """Commit of the hub repository to which the reading was pinned; empty for local files."""
    weights: tuple[Resource, ...]
    """Files of weights that were examined and read whole; weights beside them that were not are left out."""

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodRatio:
    """How much more probable the findings are if one has its weights from the other than if they are unrelated."""

    log10_lr: float
    """A decimal logarithm, fused over the calibrated probes; it is no probability of descent."""
    lower: float | None
    upper: float | None
    cap: float | None
    """The reference population allows no absolute value beyond this."""
    population: str
    """The reference population that it rests on; `populations` has its digest and size."""
    cllr: float | None
    """Cost of the fusion out of fold, in bits; 1 is uninformative."""
    words: str
    """Its verbal equivalent on `verbalScale`."""

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactTest:
    """A p-value by symmetry of a null hypothesis; it is never part of the likelihood ratio."""

    p: float
    p_holm: float | None
    """Corrected (Holm) over the candidates and controls of the case."""
    null_hypothesis: str
    method: str

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the case concludes of one candidate or control."""

    model: Model
    verdict: Verdict
    """`derived`: one of the two has its weights from the other, or both from a third model."""
    relation: Relation
    direction: Direction
    """Which of the two was made from the other; mostly `undetermined`."""
    likelihood_ratio: LikelihoodRatio | None
    """null where no calibrated probe could speak."""
    exact_test: ExactTest | None
    coverage: float | None
    """Share of the suspect's parameters that were recognised and read (0 to 1)."""
    because: str
    not_meaning: str
    """What this opinion does not mean."""

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePopulation:
    """Pairs of models of known descent by which the case was weighed."""

    id: str
    description: str
    digest: Digest
    families: int
    """Independent families: their number bounds every likelihood ratio."""
    derived_pairs: int
    unrelated_pairs: int

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What examined the models."""

    name: str
    version: str

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """The opinions of one case. The record named in `record` is the whole; this is an extract."""

    tool: Program
    case_id: str
    generated_at: str | None
    """UTC; null unless the user set a time."""
    record: Resource
    """The dossier."""
    suspect: Model
    candidates: tuple[Finding, ...]
    controls: tuple[Finding, ...]
    """Models known to be unrelated; one that comes out `derived` withdraws that verdict everywhere."""
    populations: tuple[ReferencePopulation, ...]
    verbal_scale: str

    __pydantic_config__: ClassVar[Any] = LOWER_CAMEL


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Predicate)


def plain(predicate: Predicate) -> dict[str, Any]:
    """The predicate as JSON-able dicts and lists."""
    made: dict[str, Any] = _adapter().dump_python(predicate, mode="json", by_alias=True)
    return made


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the predicate; published in the package as `lineage-findings.schema.json`."""
    generated: dict[str, Any] = _adapter().json_schema(mode="serialization", by_alias=True)
    generated["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    generated["$id"] = PREDICATE
    return generated
