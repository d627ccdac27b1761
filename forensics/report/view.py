"""What every rendering of a dossier needs arranged beforehand: groups, tags and sentences.

Nothing here weighs evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forensics.readings import Abstention, Failure, Measurement, Outcome, Reason, Relation, Verdict
from forensics.records import Contribution, Dossier, Finding, JointFinding, Opinion, ProbeUsed
from forensics.report import numbers
from forensics.report.display import Shown, name

ROWS = 500
"""Rows of one table that are printed; the record holds the rest."""

UNEXAMINED = 40
"""Unexamined tensors and files that are printed per subject."""

MARKS = {"derived": "●", "independent": "○", "inconclusive": "◐"}

VERDICTS = {"derived": "Derived", "independent": "Independent", "inconclusive": "Inconclusive"}

REASONS = {
    Reason.MISSING_TENSORS: "the tensors it needs are not there",
    Reason.MISSING_FILES: "the files it needs are not there",
    Reason.NO_SHARED_TOKENS: "the two vocabularies share too few tokens",
    Reason.TOO_SMALL: "the checkpoint is too small for it",
    Reason.TOO_LARGE: "the checkpoint is too large for it",
    Reason.NOT_FINITE: "the weights hold values that are not finite numbers",
    Reason.NOT_COMPARABLE: "the two checkpoints cannot be compared in this way",
    Reason.NOT_INFORMATIVE: "what it found carries no information",
    Reason.INCOMPATIBLE_SKETCHES: "the two sketches were made by different versions or parameters",
    Reason.SKETCH_ONLY: "it needs the weights and only a sketch was given",
    Reason.UNSUPPORTED: "it does not support this kind of checkpoint",
    Reason.FIRST_LOOK: "this was a first look and it needs the whole reading pass",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One opinion with the short tag that stands for its candidate in figures."""

    tag: str
    role: Literal["candidate", "control"]
    opinion: Opinion


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSection:
    """One instrument with everything it found in this case, in the order of the record."""

    used: ProbeUsed
    findings: tuple[Finding, ...]
    joint: tuple[JointFinding, ...] = ()
    """What it says of several candidates together."""


def answers(dossier: Dossier) -> tuple[Answer, ...]:
    """Every opinion, candidates `1`, `2`, … first, then controls `C1`, `C2`, …."""
    candidates = [Answer(tag=str(i), role="candidate", opinion=o) for i, o in enumerate(dossier.opinions, 1)]
    controls = [Answer(tag=f"C{i}", role="control", opinion=o) for i, o in enumerate(dossier.controls, 1)]
    return (*candidates, *controls)


def tags(dossier: Dossier) -> dict[str, str]:
    """Label of a candidate or control to its tag; labels without an opinion have none."""
    return {answer.opinion.candidate: answer.tag for answer in answers(dossier)}


def probe_sections(dossier: Dossier) -> tuple[ProbeSection, ...]:
    """Findings by instrument: same id, version, parameters and origin."""
    used: list[ProbeUsed] = []
    for finding in dossier.findings:
        if finding.probe not in used:
            used.append(finding.probe)
    return tuple(
        ProbeSection(
            used=probe,
            findings=tuple(f for f in dossier.findings if f.probe == probe),
            joint=tuple(f for f in dossier.joint if f.probe == probe),
        )
        for probe in used
    )


def kind(outcome: Outcome) -> str:
    """The outcome's kind as a heading; all three are printed alike."""
    match outcome:
        case Measurement():
            return "Measurement"
        case Abstention():
            return "Abstention"
        case Failure():
            return "Failure"


def reason(outcome: Outcome) -> str:
    """Why there is no reading, in words; empty for a measurement."""
    match outcome:
        case Measurement():
            return ""
        case Abstention():
            return REASONS[outcome.reason]
        case Failure():
            return f"the probe broke ({outcome.error})"


def verdict(opinion: Opinion) -> str:
    """The verdict with its relation, e.g. `Derived (fine-tuned)`."""
    return verdict_words(opinion.verdict, opinion.relation)


def verdict_words(concluded: Verdict, relation: Relation) -> str:
    """The same of any comparison."""
    words = VERDICTS[concluded]
    return words if relation == "undetermined" else f"{words} ({relation.replace('-', ' ')})"


def measured(dossier: Dossier) -> list[Measurement]:
    """Every measurement that is printed, of pairs and of several candidates."""
    outcomes = [f.outcome for f in dossier.findings] + [f.outcome for f in dossier.joint]
    return [outcome for outcome in outcomes if isinstance(outcome, Measurement)]


def glimpses(dossier: Dossier, opinion: Opinion) -> list[str]:
    """The readings of a first look, which concludes nothing: all that there is to show. Empty for a whole reading."""
    if all(subject.form != "first-look" for subject in dossier.subjects):
        return []
    lines = []
    for finding in dossier.findings:
        if finding.candidate == opinion.candidate and isinstance(finding.outcome, Measurement):
            exact = finding.exact or finding.outcome.exact
            p = f", exact p {numbers.p_value(exact.p)}" if exact else ""
            expected = f". {finding.probe.expected}" if finding.probe.expected else ""
            lines.append(f"{finding.probe.id} {numbers.cell(finding.outcome.value)}{p}{expected}")
    return lines


def ratio(opinion: Opinion) -> str:
    """The likelihood ratio with interval and bound on one line, number first."""
    if opinion.log10_lr is None:
        return "none stated"
    text = numbers.bans(opinion.log10_lr)
    if opinion.lower is not None and opinion.upper is not None:
        text += f" ({numbers.interval(opinion.lower, opinion.upper)})"
    return text if opinion.cap is None else f"{text}, bound {numbers.bound(opinion.cap)}"


def spread(opinion: Opinion) -> str:
    """The interval and the bound in words: two equal ends are no certainty but an interval cut off at the bound."""
    if opinion.log10_lr is not None and _is_cut(opinion):
        return f"the whole 95 % interval lies at or beyond the bound {numbers.bans(opinion.log10_lr)}"
    told = []
    if opinion.lower is not None and opinion.upper is not None:
        told.append(f"95 % interval {numbers.interval(opinion.lower, opinion.upper)}")
    if opinion.cap is not None:
        told.append(f"bound {numbers.bound(opinion.cap)}")
    return ", ".join(told)


def _is_cut(opinion: Opinion) -> bool:
    """Whether nothing is left of the interval within the bounds; no interval of resampled families is a point."""
    return opinion.lower is not None and opinion.lower == opinion.upper


def at_bound(opinion: Opinion) -> bool:
    """Whether the likelihood ratio was held back by the size of the reference population.

    Towards independence the bound may lie nearer to zero than the cap that the record states; a cut interval shows it.
    """
    if opinion.log10_lr is None or opinion.cap is None:
        return False
    return _is_cut(opinion) or abs(opinion.log10_lr) >= opinion.cap - 0.005


def sentence(opinion: Opinion, suspect: str) -> str:
    """What the likelihood ratio says, as the probability of the findings and never of a proposition."""
    if opinion.log10_lr is None:
        return "No calibrated probe could speak on this pair, so no likelihood ratio is stated."
    both = (
        f"if the weights of {name(suspect)} descend from those of {name(opinion.candidate)}",
        "if the two were trained independently",
    )
    if abs(opinion.log10_lr) < 0.1:
        return Shown(f"The findings are about equally probable {both[0]} and {both[1]}.")
    more, less = both if opinion.log10_lr > 0 else both[::-1]
    held = ""
    if at_bound(opinion):
        held = (
            " This is the largest figure that the reference population is able to support; a larger one could "
            "not be defended, whatever the findings."
        )
    often = numbers.times(opinion.log10_lr)
    return Shown(f"The findings are about {often} times more probable {more} than {less}.{held}")


def question(dossier: Dossier) -> str:
    """The question of the case in one sentence; up to three candidates by name."""
    names = [name(label) for label in dossier.case.candidates]
    suspect = name(dossier.case.suspect)
    listed = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)
    if len(names) > 3 or len(listed) > 100:
        return Shown(f"Do the weights of {suspect} descend from any of {len(names)} candidates?")
    return Shown(f"Do the weights of {suspect} descend from those of {listed or 'any candidate'}?")


def coverage(opinion: Opinion) -> str:
    """Share of the suspect's parameters that were recognised and read."""
    return "not stated" if opinion.coverage is None else numbers.probability(opinion.coverage)


def voter(part: Contribution) -> str:
    """Who casts a vote, and who would have, had it seen more."""
    if not part.instead_of:
        return part.probe
    return f"{part.probe}, sharing one vote with {', '.join(part.instead_of)}"


def without(opinion: Opinion, probe: str) -> str:
    """What would be stated had this probe not answered; empty for what is no probe."""
    found = next((omission for omission in opinion.omissions if omission.probe == probe), None)
    if found is None:
        return ""
    if found.log10_lr is None:
        return "nothing"
    if found.lower is None or found.upper is None:
        return numbers.bans(found.log10_lr)
    return f"{numbers.bans(found.log10_lr)} ({numbers.interval(found.lower, found.upper)})"
