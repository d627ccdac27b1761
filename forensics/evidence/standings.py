"""How each of the seven propositions stands in one case: one rule each, from what the case already holds.

A rule looks at the verdict first, so that no standing can contradict it, and accuses of nothing that verdict and
relation do not name. `supported` is kept for what they name; whatever else is found leaves a proposition open at most.
"""

from __future__ import annotations

from collections.abc import Callable

from forensics.evidence.phrases import SPOKEN, groups_that_speak, reused_words
from forensics.evidence.seen import Seen
from forensics.readings import Abstention, Aspect, Group, Measurement, SignKind
from forensics.records import Opinion, PropositionId, Standing

Stand = tuple[Standing, tuple[str, ...]]
"""A standing with its grounds."""

LATER = {
    "suspect-from-candidate": "Direction: the suspect was made from the candidate",
    "candidate-from-suspect": "Direction: the candidate was made from the suspect",
}
NOTHING = "No calibrated probe and no exact test could speak."
OTHER_WAYS = (
    "Like training texts, or a third model's outputs, may bring two models as close, and whoever descends from the "
    "teacher reads like the teacher."
)
CLOSER = (
    "Behaviour is closer than unrelated models explain, so learning from the other's outputs is not excluded."
)
LIKE_SIBLINGS = (
    "Two descendants of one model share its weights as a descendant and its ancestor do; the reference holds no "
    "siblings, and no instrument tells them apart by two models alone."
)


def derived(seen: Seen) -> Stand:
    """The verdict itself; the direction is told only where the opinion has grounds for one."""
    opinion = seen.opinion
    if opinion.verdict == "derived":
        way = "Which of the two was made from the other is not shown."
        if opinion.direction in LATER:
            way = f"{LATER[opinion.direction]} ({'; '.join(opinion.direction_grounds)})."
        return "supported", (opinion.because, way)
    if opinion.verdict == "independent":
        return "contradicted", (opinion.because,)
    if not seen.spoke():
        return "untested", (NOTHING,)
    return "open", (f"The verdict derived still wants: {_unmet(opinion, 'derived')}.",)


def sibling(seen: Seen) -> Stand:
    """Shared ancestry leaves what descent leaves; only an exact trace of making one from the other excludes it."""
    opinion = seen.opinion
    if opinion.verdict == "independent":
        more = "two that were each trained for long share less than either does with the ancestor."
        return "contradicted", (
            f"Siblings share their ancestor's weights, and none were found shared; {more}",
        )
    if opinion.relation == "sibling-or-common-ancestor":
        found = _sentences(opinion.relation_grounds)
        return "supported", (*found, "Seen from this pair alone it would read as descent.")
    if opinion.verdict == "derived":
        # Rounded entry by entry, or on a straight line between others: a third model has no room but as a copy.
        if opinion.direction in LATER and opinion.relation in {"quantised", "merged"}:
            return "contradicted", (f"{LATER[opinion.direction]} ({'; '.join(opinion.direction_grounds)}).",)
        later = "A direction shows which is the later one, not that nothing lies between the two."
        return "open", (LIKE_SIBLINGS, *((later,) if opinion.direction in LATER else ()))
    return ("open", (LIKE_SIBLINGS,)) if seen.spoke() else ("untested", (NOTHING,))


def shared_initialisation(seen: Seen) -> Stand:
    """Rows and weights remember the draw; gains and biases start alike everywhere, so what agrees there is learned."""
    if seen.opinion.relation == "shared-initialisation":
        early = "A descendant of a very early stage of the candidate's training would read alike."
        return "supported", (*seen.details(SignKind.SHARED_INITIALISATION), early)
    tampered = bool(seen.details(SignKind.TAMPERING))
    trained = [voice for voice in seen.case.voices if voice.group is Group.NORM_AND_BIAS]
    if trained and all(voice.speaks for voice in trained) and not tampered:
        said = ", ".join(voice.probe for voice in trained)
        return "contradicted", (f"What only training gave agrees as well ({said}).",)
    agrees, denies = _drawn(seen)
    if seen.opinion.verdict == "derived":
        untested = "No trained gains or biases showed that more is shared than what was drawn"
        pairs = seen.stratum("same-initialisation") or "no"
        known = f"{pairs} pairs of one initialisation count as unrelated in the reference"
        return "open", (f"{untested}; {known}, and how far larger models remember theirs is not known.",)
    if agrees or seen.details(SignKind.SHARED_INITIALISATION):
        return "open", (*seen.details(SignKind.SHARED_INITIALISATION), *agrees)
    rows = [f for f in seen.of(Aspect.INITIALISATION) if f.exact is not None]
    if rows and not tampered:
        said = ", ".join(f"{f.probe.id}: exact p {f.exact.p:.2g}" for f in rows if f.exact is not None)
        return "contradicted", (
            f"Rows that training hardly reached do not agree, channels as they lie ({said}).",
        )
    if denies:
        return "open", (
            f"Weights do not agree in place ({', '.join(denies)}), but long training may wear an initialisation off.",
        )
    return "untested", ("No exact test of weights that remember their initialisation could be made.",)


def partial_reuse(seen: Seen) -> Stand:
    """Parts against the whole: told by where MLP and attention speak, layer by layer, and by signs of single parts."""
    signs = seen.details(SignKind.PARTIAL_REUSE)
    if seen.opinion.relation == "partial-reuse":
        return "supported", signs or ("One of MLP and attention speaks, layer by layer, the other does not.",)
    shares = {g: _layer_share(seen, g) for g in (Group.MLP, Group.ATTENTION)}
    known = [share for share in shares.values() if share is not None]
    told = ", ".join(
        f"{SPOKEN.get(group, group.value)} in {share:.0%} of its layers"
        for group, share in shares.items()
        if share is not None
    )
    if signs:
        return "open", signs
    if seen.opinion.verdict == "derived":
        if len(known) == 2 and min(known) >= seen.at.whole_layer_share:
            return "contradicted", (f"Nearly all layers speak for descent: {told}.",)
        return "open", (
            f"That the rest is shared too is not shown; speaking: {told or 'no group by layers'}.",
        )
    if seen.opinion.verdict == "independent" and len(known) == 2 and not any(known):
        unseen = "what was not read, or is smaller than a layer, would not show"
        return "contradicted", (f"No examined layer of MLP or attention speaks for descent; {unseen}.",)
    if not seen.case.voices:
        return "untested", (
            "No probe of a tensor group could speak, so parts cannot be told from the whole.",
        )
    groups = ", ".join(groups_that_speak(seen.case)) or "none"
    return "open", (f"Tensor groups that speak: {groups}{reused_words(seen.case)}.",)


def distilled(seen: Seen) -> Stand:
    """Supported where the relation names it: a stranger's weights, and behaviour closer than strangers explain."""
    shared = seen.shared()
    if seen.opinion.verdict == "derived" or (shared and seen.opinion.verdict != "independent"):
        found = shared or "Weights were found in common."
        besides = (
            "Training on outputs alone leaves none in common; whether outputs were used besides is not asked."
        )
        return "contradicted", (found, besides)
    if seen.opinion.relation == "behavioural-only":
        return "supported", (*_sentences(seen.opinion.relation_grounds), OTHER_WAYS)
    looked = seen.of(Aspect.BEHAVIOUR)
    readings = [
        f"{f.probe.id} reads {f.outcome.value:.2f}" for f in looked if isinstance(f.outcome, Measurement)
    ]
    if readings:
        pairs = seen.stratum("distilled")
        few = f"the reference holds {pairs or 'no'} pairs of teacher and student"
        alike = "Students read high there, and so do two models of one recipe"
        wanted = (
            "It takes a stranger's weights and a reading above comparable unrelated pairs or the controls"
        )
        return "open", (f"{', '.join(readings)}. {alike}; {few}. {wanted}.",)
    why = [f"{f.probe.id}: {f.outcome.detail}" for f in looked if isinstance(f.outcome, Abstention)]
    reason = f" ({'; '.join(why)})" if why else ""
    return "untested", (f"No instrument looked at behaviour{reason}.",)


def same_recipe(seen: Seen) -> Stand:
    """Twins of one recipe count as unrelated in the reference, so the weight tests them against descent."""
    verdict, shared, twins = seen.opinion.verdict, seen.shared(), seen.stratum("same-recipe")
    if verdict != "independent" and shared:
        return "contradicted", (shared,)
    if seen.case.same_build is False:
        return "contradicted", ("Norms, gates or positions are built differently in the two.",)
    told = f"{twins} pairs of one recipe count as unrelated in the reference"
    none = "The reference holds no pairs of one recipe, so how such a pair would read is not known."
    if verdict == "derived":
        return ("contradicted", (f"{told}, and this pair does not read so.",)) if twins else ("open", (none,))
    if verdict == "independent":
        if not twins:
            return "open", (none,)
        if seen.opinion.relation == "behavioural-only":
            return "open", (f"{told}, and the weights read so.", CLOSER, *_recipe(seen))
        return "supported", (f"{told}, and this pair reads so.", *_recipe(seen))
    if not seen.spoke():
        return "untested", (NOTHING,)
    return "open", (f"{told}; the weight does not decide." if twins else none, *_recipe(seen))


def independent(seen: Seen) -> Stand:
    """The verdict itself; an exact rejection contradicts it before descent is shown."""
    opinion, shared = seen.opinion, seen.shared()
    if opinion.verdict == "independent" and opinion.relation == "behavioural-only":
        return "open", (opinion.because, CLOSER)
    if opinion.verdict == "independent":
        return "supported", (opinion.because,)
    if opinion.verdict == "derived" or shared:
        return "contradicted", (shared or opinion.because,)
    if not seen.spoke():
        return "untested", (NOTHING,)
    return "open", (f"The verdict independent still wants: {_unmet(opinion, 'independent')}.",)


RULES: dict[PropositionId, Callable[[Seen], Stand]] = {
    "derived": derived,
    "sibling-or-common-ancestor": sibling,
    "shared-initialisation": shared_initialisation,
    "partial-reuse": partial_reuse,
    "distilled": distilled,
    "independent-same-recipe": same_recipe,
    "independent": independent,
}


def _sentences(clauses: tuple[str, ...]) -> tuple[str, ...]:
    """Grounds of a relation, each as a sentence."""
    return tuple(f"{clause[:1].upper()}{clause[1:]}." for clause in clauses)


def _unmet(opinion: Opinion, toward: str) -> str:
    """Rules of a verdict that are not met, by name."""
    return (
        ", ".join(c.rule for c in opinion.conditions if c.toward == toward and not c.met) or "nothing by name"
    )


def _drawn(seen: Seen) -> tuple[tuple[str, ...], list[str]]:
    """Exact tests of what an initialisation draws: a sentence on those that agree, names of those that do not."""
    tests = seen.tests({Group.MLP, Group.ATTENTION, Group.EMBEDDING})
    agree = [f.probe.id for exact, f in tests if exact.p <= seen.at.independent_exact_p]
    said = f"What was drawn at random agrees ({', '.join(agree)}): a copy or one initialisation."
    return (said,) if agree else (), [
        f.probe.id for exact, f in tests if exact.p > seen.at.independent_exact_p
    ]


def _layer_share(seen: Seen, group: Group) -> float | None:
    """Largest share of examined layers in which this group speaks; None where it was not judged by layers."""
    shares = [v.layer_share for v in seen.case.voices if v.group is group and v.layer_share is not None]
    return max(shares, default=None)


def _recipe(seen: Seen) -> tuple[str, ...]:
    """Readings that follow the recipe, for the reader; they decide nothing."""
    read = [
        f"{f.probe.id} {f.outcome.value:.2f}"
        for f in seen.of(Aspect.RECIPE)
        if isinstance(f.outcome, Measurement)
    ]
    return (f"Readings that follow the recipe: {', '.join(read)}; they have no line here.",) if read else ()
