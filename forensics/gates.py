"""A policy's rules put to the record of a case: which fire, for what, and what each condition met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forensics.policy import FindingRule, Policy, Rule
from forensics.readings import Failure, Measurement, Scalar
from forensics.records import Dossier, Finding, Opinion

Held = tuple[bool | None, str]
"""Whether a condition holds, None where the record cannot say, and what was found."""


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
        listed = dossier.opinions if rule.about == "candidates" else dossier.controls
        opinions = {one.candidate: one for one in listed}
        if not opinions and not rule.labels:
            yield _concluded(rule, rule.about, [(None, f"no {rule.about} in this case")])
        for label in rule.labels or opinions:
            held = list(_of_opinion(rule, opinions[label], dossier)) if label in opinions else []
            yield _concluded(rule, label, held or [(None, f"no opinion on {label} in this case")])


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
    if rule.claim:
        says = sorted({one.says for one in dossier.claims if one.candidate == opinion.candidate})
        holds = bool(set(says) & set(rule.claim)) if says else None
        yield holds, f"claims: {', '.join(says)}" if says else "claims were not read"
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
        fact = facts.get(name)
        yield _told(probe, name, fact, holds=fact in wanted)
    for name, least in (asked.facts_from or {}).items():
        fact = facts.get(name)
        number = isinstance(fact, int | float) and not isinstance(fact, bool)
        yield _told(probe, name, fact if number else None, holds=number and float(fact or 0) >= least)
    for name, listed in (asked.facts_list or {}).items():
        fact = facts.get(name)
        named = set(fact.split(", ")) if isinstance(fact, str) else set()
        yield _told(probe, name, fact if named else None, holds=bool(named & set(listed)))


def _told(probe: str, name: str, fact: Scalar, *, holds: bool) -> Held:
    """A condition on a fact; one that the probe does not tell, or tells to be unknown, decides nothing."""
    return None if fact is None else holds, f"{probe}: {name} {'not told' if fact is None else fact}"


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
