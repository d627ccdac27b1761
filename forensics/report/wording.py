"""Sentences that a report draws together, so that what is common to several candidates is said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from forensics.readings import Abstention, Exact, Failure, Measurement, Outcome
from forensics.records import Dossier, Finding, Opinion, Subject
from forensics.report import numbers, view
from forensics.report.display import Shown, display, isolate
from forensics.report.view import Answer, ProbeSection

COLUMNS = 5
"""Candidates and controls beside each other in one table."""
STATEMENT = 3000
"""Characters of a statement on a method, or of a rule with what it found."""
KINDS = 5
"""Kinds of files that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """How each proposition stands for each candidate and control."""

    answers: tuple[Answer, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """A proposition in words, and its standing for each."""
    more: int
    """Candidates and controls beyond the columns."""


def standings(answers: Sequence[Answer]) -> Standings | None:
    """Propositions by candidates; None where no opinion holds any."""
    holding = [answer for answer in answers if answer.opinion.propositions]
    shown = holding[:COLUMNS]
    words = {one.id: one.words for answer in shown for one in answer.opinion.propositions}
    by_tag = {a.tag: {one.id: one.standing for one in a.opinion.propositions} for a in shown}
    rows = tuple((said, tuple(by_tag[a.tag].get(key, "—") for a in shown)) for key, said in words.items())
    return Standings(answers=tuple(shown), rows=rows, more=len(holding) - len(shown)) if rows else None


def files(subject: Subject) -> str:
    """How many files of which kinds, and their size together."""
    kinds = Counter(PurePosixPath(file.name).suffix.lstrip(".").lower() or "other" for file in subject.files)
    named = [f"{numbers.count(n)} {kind}" for kind, n in kinds.most_common(KINDS)]
    more = sum(kinds.values()) - sum(n for _, n in kinds.most_common(KINDS))
    listed = ", ".join([*named, *([f"{numbers.count(more)} of other kinds"] if more else [])])
    size = numbers.size(max(0, sum(file.size for file in subject.files)))
    return f"{numbers.count(len(subject.files))} ({listed}), {size}"


def whole(text: str) -> Shown:
    """Words of an instrument or of a rule, which are longer than a stranger's strings may be: shown to the end."""
    return Shown(isolate(display(text, STATEMENT)))


def quantities(section: ProbeSection) -> list[str]:
    """What the instrument's readings are readings of, each once."""
    found = [f.outcome.quantity for f in section.findings if isinstance(f.outcome, Measurement)]
    return list(dict.fromkeys(quantity.rstrip(".") for quantity in found))


def population(description: str, dossier: Dossier) -> str:
    """A population by its id and where it is described; as it stands in the record where it is not listed there."""
    known = next((p for p in dossier.environment.populations if description.endswith(p.description)), None)
    return description if known is None else f"{known.id}, described under Validation"


def bases(section: ProbeSection, dossier: Dossier) -> list[str]:
    """What the weights and the exact tests of an instrument rest on, each said once with those it holds for."""
    tags = view.tags(dossier)
    read = [finding for finding in section.findings if isinstance(finding.outcome, Measurement)]
    said: dict[str, list[str]] = {}
    for finding in read:
        for words in (_weight(finding, dossier), _exact(finding)):
            if words:
                said.setdefault(words, []).append(tags.get(finding.candidate, "–"))
    everyone = len(read)
    return [
        words if len(who) == everyone else f"{words[:-1]} ({_listed(who)})." for words, who in said.items()
    ]


def _listed(tags: Sequence[str]) -> str:
    shown = ", ".join(f"[{tag}]" for tag in tags[:12])
    return shown + (f" and {len(tags) - 12} more" if len(tags) > 12 else "")


def _weight(finding: Finding, dossier: Dossier) -> str:
    weight = finding.weight
    if weight is not None:
        return f"Weight by comparison with {population(weight.population, dossier)}; bound {numbers.bound(weight.cap)}."
    if not finding.probe.standard:
        return (
            "No weight: the probe was run with other parameters than it was calibrated with, so its reading cannot "
            "sway the opinion."
        )
    return "No weight: no reference population calibrates this reading, so it cannot sway the opinion."


def _exact(finding: Finding) -> str:
    exact: Exact | None = finding.exact
    if exact is None and isinstance(finding.outcome, Measurement):
        exact = finding.outcome.exact
    return f"Exact test: if {exact.null_hypothesis}; {exact.method}." if exact else ""


def silences(section: ProbeSection) -> list[tuple[Abstention | Failure, list[str]]]:
    """Abstentions and failures of an instrument, equal ones together with the labels they hold for."""
    told: dict[Outcome, list[str]] = {}
    for finding in section.findings:
        told.setdefault(finding.outcome, []).append(finding.candidate)
    for joint in section.joint:
        told.setdefault(joint.outcome, []).extend(joint.candidates)
    return [(found, who) for found, who in told.items() if isinstance(found, Abstention | Failure)]


def turning(opinion: Opinion) -> list[str]:
    """What would have to be otherwise for another verdict: the rules it stands on, or those it still wants."""
    said = []
    if opinion.verdict == "inconclusive":
        for toward in ("derived", "independent"):
            unmet = [c.rule for c in opinion.conditions if c.toward == toward and not c.met]
            wants = f"wants {', '.join(unmet)}" if unmet else "is held back, see the reason"
            said.append(f"“{toward}” {wants}.")
    else:
        held = [c.rule for c in opinion.conditions if c.toward == opinion.verdict]
        said.append(
            f"{opinion.verdict} stands on {', '.join(held)}; any one of them unmet makes it inconclusive."
        )
    stated = [o for o in opinion.omissions if o.log10_lr is not None]
    if stated and opinion.log10_lr is not None:
        sign = 1 if opinion.log10_lr >= 0 else -1
        least = min(stated, key=lambda o: sign * (o.log10_lr or 0.0))
        said.append(
            f"Without any one instrument the log10 LR would at the weakest be {numbers.bans(least.log10_lr or 0.0)} "
            f"(without {least.probe})."
        )
    return said
