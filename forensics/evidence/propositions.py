"""Seven explanations of what suspect and candidate have in common, and which of them this case can tell apart.

They are derived from verdict, relation, signs and tests that are there already; nothing here weighs, and the verdict
never depends on it. Methods §4.1 and §4.8 (alternative explanations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

from forensics.evidence.considered import Considered
from forensics.evidence.seen import Seen
from forensics.evidence.standings import RULES
from forensics.evidence.thresholds import Thresholds
from forensics.records import Finding, Opinion, Proposition, PropositionId
from forensics.subjects import Subject

WORDS: Mapping[PropositionId, str] = {
    "derived": "One was made from the other's weights: fine-tuned, trained further, merged, quantised, pruned or "
    "transformed otherwise",
    "sibling-or-common-ancestor": "Neither was made from the other; both descend from a third model",
    "shared-initialisation": "They were trained apart from one and the same initialisation",
    "partial-reuse": "Some parts of the suspect's weights were taken over, the rest were not",
    "distilled": "The suspect learnt from the candidate's outputs and took none of its weights",
    "independent-same-recipe": "They were initialised and trained apart, by one recipe (architecture, data, schedule)",
    "independent": "They were initialised and trained apart, each by a recipe of its own",
}
"""By id, in the order in which they are told."""

TELLS: Mapping[PropositionId, frozenset[PropositionId]] = {
    # Not from derived or sibling: a very early stage of a training is hardly more than its initialisation.
    "shared-initialisation": frozenset(
        {"partial-reuse", "distilled", "independent-same-recipe", "independent"}
    ),
    # Not from one recipe: what twins that saw the same texts have in common is known of the zoo's alone.
    "distilled": frozenset({"independent"}),
    # Not from sibling: both may have taken the part from a third model.
    "partial-reuse": frozenset(
        {"derived", "shared-initialisation", "distilled", "independent-same-recipe", "independent"}
    ),
}
"""What the support of a proposition tells it from although that one is not contradicted; of others, nothing."""


def propositions(
    case: Considered, opinion: Opinion, findings: Sequence[Finding], at: Thresholds
) -> tuple[Proposition, ...]:
    """The seven, for one candidate or control; `opinion` is the one that follows from `case`, relation explained."""
    ours = [
        f for f in findings if f.candidate == case.candidate and f.probe.standard and f.probe.origin.bundled
    ]
    seen = Seen(case=case, opinion=opinion, findings=tuple(sorted(ours, key=lambda f: f.probe.id)), at=at)
    stood = []
    for name, words in WORDS.items():
        # Where nothing is concluded of a pair, nothing is of any explanation either.
        standing, grounds = ("untested", (case.withheld,)) if case.withheld else RULES[name](seen)
        stood.append(Proposition(id=name, words=words, standing=standing, grounds=grounds))
    alike: dict[PropositionId, list[PropositionId]] = {name: [] for name in WORDS}
    for one, other in permutations(stood, 2):
        if not _told(one, other):
            alike[one.id].append(other.id)
    return tuple(replace(one, not_told_from=tuple(alike[one.id])) for one in stood)


def _told(one: Proposition, other: Proposition) -> bool:
    """Whether the two are told apart: one is contradicted, or one alone is supported and tells it from the other."""
    if "contradicted" in {one.standing, other.standing}:
        return True
    supported = [p for p in (one, other) if p.standing == "supported"]
    if len(supported) != 1:
        return False
    against = other if supported[0] is one else one
    return against.id in TELLS.get(supported[0].id, frozenset())


def same_build(suspect: Subject | None, examined: Subject | None) -> bool | None:
    """Whether norms, gates and positions are of one kind in both; None where an architecture is not known."""
    shapes = [s.architecture for s in (suspect, examined) if s is not None and s.architecture is not None]
    if len(shapes) < 2:
        return None
    norms = {shape.norm for shape in shapes} - {"unknown"}
    return len(norms) < 2 and len({(shape.glu, shape.rope) for shape in shapes}) == 1
