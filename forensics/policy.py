"""Rules that a user puts to the record of a case, and which of them fire: `--policy FILE` and `forensics check`.

A policy is data (TOML), never code. Every condition of a rule has to hold for it to fire. Where the record does not
hold what is asked for, such as the coverage of a sketch, the rule counts as fired, since a gate that passes what it
could not judge is none; unless the rule says `if_unknown = "pass"`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from forensics.archive import restored
from forensics.claims import ClaimSays
from forensics.errors import CaseError, ReportError
from forensics.readings import STRICT, Scalar
from forensics.records import Relation, Verdict

LARGEST = 1 << 20
"""Bytes of a policy file, at most."""
About = Literal["candidates", "controls", "suspect", "case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRule:
    """Conditions on what one probe found about a candidate."""

    probe: str
    """Id of the probe."""
    outcome: tuple[Literal["measurement", "abstention", "failure"], ...] = ()
    value_from: float | None = None
    value_to: float | None = None
    log10_lr_from: float | None = None
    facts: Mapping[str, tuple[Scalar, ...]] | None = None
    """By the name of a fact of the measurement, the values that fulfil the condition."""
    facts_from: Mapping[str, float] | None = None
    """By the name of a fact that is a number, the least value that fulfils it."""
    facts_list: Mapping[str, tuple[str, ...]] | None = None
    """By the name of a fact that lists names with commas between them, the names one of which fulfils it."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; conditions that are not given are not asked."""

    name: str
    why: str = ""
    """Shown when it fires: what to do, whom to ask."""
    about: About = "candidates"
    labels: tuple[str, ...] = ()
    """Only these candidates or controls; all where empty."""
    if_unknown: Literal["fire", "pass"] = "fire"
    verdict: tuple[Verdict, ...] = ()
    relation: tuple[Relation, ...] = ()
    log10_lr_from: float | None = None
    log10_lr_to: float | None = None
    lower_from: float | None = None
    """Least lower bound of the interval."""
    exact_p_to: float | None = None
    """Largest combined exact p, corrected over candidates."""
    coverage_below: float | None = None
    """Share of the suspect's parameters that were recognised and read."""
    claim: tuple[ClaimSays, ...] = ()
    """How one of the suspect's claims of ancestry stands to the opinion on this candidate."""
    finding: FindingRule | None = None
    problem: tuple[str, ...] = ()
    """Codes of the record's problems, or how they begin (`PLUGIN`)."""
    failed: bool | None = None
    """Whether any probe failed."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one file, in its order."""

    schema: Literal["forensics-policy/1"]
    rule: tuple[Rule, ...]

    __pydantic_config__: ClassVar[Any] = STRICT


OF_AN_OPINION = frozenset(
    {
        "verdict",
        "relation",
        "log10_lr_from",
        "log10_lr_to",
        "lower_from",
        "exact_p_to",
        "coverage_below",
        "finding",
    }
)
CONDITIONS: Mapping[About, frozenset[str]] = {
    "candidates": OF_AN_OPINION | {"claim"},
    "controls": OF_AN_OPINION,
    "suspect": frozenset({"coverage_below"}),
    "case": frozenset({"problem", "failed"}),
}
"""Which conditions a rule may state, by what it is about."""


def read_policy(path: Path) -> Policy:
    """The policy in a file; CaseError, naming the place, where it is none."""
    hint = "docs/policy.md shows one"
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise CaseError(f"the policy {path} is larger than {LARGEST >> 20} MB", hint)
        policy: Policy = restored(Policy, tomllib.loads(text.decode()))
    except OSError as error:
        raise CaseError(f"cannot read the policy {path}: {error.strerror}", "name a TOML file") from None
    except (ValueError, RecursionError, TypeError) as error:
        raise CaseError(f"the policy {path} is not TOML: {str(error)[:200]}", hint) from None
    except ReportError as error:
        raise CaseError(f"the policy {path}: {error.message}", hint) from None
    if not policy.rule:
        raise CaseError(f"the policy {path} holds no [[rule]]", hint)
    for rule in policy.rule:
        _check(path, rule)
    return policy


def _check(path: Path, rule: Rule) -> None:
    """Refuses a rule that can never mean what it says."""
    asked = {one.name for one in fields(Rule) if one.name in frozenset().union(*CONDITIONS.values())}
    given = {name for name in asked if getattr(rule, name) not in (None, ())}
    stray = sorted(given - CONDITIONS[rule.about])
    if stray:
        allowed = ", ".join(sorted(CONDITIONS[rule.about]))
        raise CaseError(f"the policy {path}: rule {rule.name!r} is about {rule.about} and asks for {stray[0]}",
                        f"conditions for {rule.about}: {allowed}")  # fmt: skip
    if not given:
        raise CaseError(f"the policy {path}: rule {rule.name!r} has no condition", "it would always fire")
    if rule.finding and not any(
        getattr(rule.finding, one.name) not in (None, ())
        for one in fields(FindingRule)
        if one.name != "probe"
    ):
        raise CaseError(
            f"the policy {path}: rule {rule.name!r} asks nothing of {rule.finding.probe}", "add a condition"
        )
