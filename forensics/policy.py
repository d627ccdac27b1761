"""Rules that a user puts to the record of a case, and which of them fire: `--policy FILE` and `forensics check`.

A policy is data (TOML), never code. Every condition of a rule has to hold for it to fire. Where the record does not
hold what is asked for, such as the coverage of a sketch, the rule counts as fired, since a gate that passes what it
could not judge is none; unless the rule says `if_unknown = "pass"`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from forensics.archive import restored
from forensics.errors import CaseError, ReportError
from forensics.readings import STRICT, Failure, Measurement, Scalar
from forensics.records import Dossier, Finding, Opinion, Relation, Verdict

SCHEMA = "forensics-policy/1"
LARGEST = 1 << 20
"""Bytes of a policy file, at most."""
About = Literal["candidates", "controls", "suspect", "case"]
Held = tuple[bool | None, str]
"""Whether a condition holds, None where the record cannot say, and what was found."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One rule put to one thing of the record."""

    rule: Rule
    about: str
    """Label of the candidate, control or suspect, or `the case`."""
    fired: bool
    known: bool
    """False where the record does not hold what the rule asks for."""
    found: tuple[str, ...]
    """What each condition met, one clause each."""


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
    "candidates": OF_AN_OPINION,
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


def judged(policy: Policy, dossier: Dossier) -> tuple[Judged, ...]:
    """Every rule put to everything it is about, in the order of the policy and of the case."""
    return tuple(one for rule in policy.rule for one in _put(rule, dossier))


def _put(rule: Rule, dossier: Dossier) -> Iterator[Judged]:
    """One rule to each thing that it is about; a label the case does not have cannot be judged."""
    if rule.about == "case":
        yield _concluded(rule, "the case", list(_of_case(rule, dossier)))
    elif rule.about == "suspect":
        shares = [one.coverage for one in (*dossier.opinions, *dossier.controls)]
        known = [share for share in shares if share is not None]
        yield _concluded(rule, dossier.case.suspect, [_coverage(rule, min(known, default=None))])
    else:
        opinions = {one.candidate: one for one in getattr(dossier, _LISTS[rule.about])}
        for label in rule.labels or opinions:
            held = list(_of_opinion(rule, opinions[label], dossier)) if label in opinions else []
            yield _concluded(rule, label, held or [(None, f"no opinion on {label} in this case")])


_LISTS: Mapping[str, str] = {"candidates": "opinions", "controls": "controls"}


def _concluded(rule: Rule, about: str, held: list[Held]) -> Judged:
    """A rule fires where all its conditions hold, and does not where one is broken, whatever the others say."""
    broken = any(holds is False for holds, _ in held)
    known = broken or all(holds is not None for holds, _ in held)
    fired = not broken and (known or rule.if_unknown == "fire")
    return Judged(rule=rule, about=about, fired=fired, known=known, found=tuple(text for _, text in held))


def _of_case(rule: Rule, dossier: Dossier) -> Iterator[Held]:
    if rule.problem:
        codes = sorted({p.code for p in dossier.problems if p.code.startswith(rule.problem)})
        yield bool(codes), f"problems {', '.join(codes)}" if codes else "no such problem"
    if rule.failed is not None:
        failed = sorted(
            {f"{f.probe.id} on {f.candidate}" for f in dossier.findings if isinstance(f.outcome, Failure)}
        )
        yield bool(failed) == rule.failed, f"failed: {', '.join(failed)}" if failed else "no probe failed"


def _of_opinion(rule: Rule, opinion: Opinion, dossier: Dossier) -> Iterator[Held]:
    if rule.verdict:
        yield opinion.verdict in rule.verdict, f"verdict {opinion.verdict}"
    if rule.relation:
        yield opinion.relation in rule.relation, f"relation {opinion.relation}"
    weight = "log10 LR"
    if rule.log10_lr_from is not None:
        yield _at_least(weight, opinion.log10_lr, rule.log10_lr_from)
    if rule.log10_lr_to is not None:
        yield _at_most(weight, opinion.log10_lr, rule.log10_lr_to)
    if rule.lower_from is not None:
        yield _at_least("lower bound", opinion.lower, rule.lower_from)
    if rule.exact_p_to is not None:
        p = None if opinion.exact is None else opinion.exact.p_holm
        yield _at_most("exact p", p, rule.exact_p_to)
    if rule.coverage_below is not None:
        yield _coverage(rule, opinion.coverage)
    if rule.finding is not None:
        by = [
            f
            for f in dossier.findings
            if (f.candidate, f.probe.id) == (opinion.candidate, rule.finding.probe)
        ]
        yield from (
            _of_finding(rule.finding, by[0]) if by else [(None, f"{rule.finding.probe} did not take part")]
        )


def _of_finding(asked: FindingRule, finding: Finding) -> Iterator[Held]:
    outcome, probe = finding.outcome, asked.probe
    if asked.outcome:
        yield outcome.kind in asked.outcome, f"{probe}: {outcome.kind}"
    value = outcome.value if isinstance(outcome, Measurement) else None
    if asked.value_from is not None:
        yield _at_least(f"{probe}: value", value, asked.value_from)
    if asked.value_to is not None:
        yield _at_most(f"{probe}: value", value, asked.value_to)
    if asked.log10_lr_from is not None:
        weight = None if finding.weight is None else finding.weight.log10_lr
        yield _at_least(f"{probe}: log10 LR", weight, asked.log10_lr_from)
    facts = outcome.facts if isinstance(outcome, Measurement) else {}
    for name, wanted in (asked.facts or {}).items():
        there = name in facts
        yield (
            (facts[name] in wanted if there else None),
            f"{probe}: {name} {facts[name] if there else 'not told'}",
        )


def _at_least(what: str, value: float | None, bound: float) -> Held:
    return (
        (None, f"{what} not known")
        if value is None
        else (value >= bound, f"{what} {value:.4g}, from {bound:g}")
    )


def _at_most(what: str, value: float | None, bound: float) -> Held:
    return (
        (None, f"{what} not known")
        if value is None
        else (value <= bound, f"{what} {value:.4g}, up to {bound:g}")
    )


def _coverage(rule: Rule, share: float | None) -> Held:
    bound = rule.coverage_below
    assert bound is not None
    return (
        (None, "coverage not known")
        if share is None
        else (share < bound, f"coverage {share:.3f}, below {bound:g}")
    )
