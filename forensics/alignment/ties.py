"""What several candidates together show of a suspect's relation to each: merges, and who stands between whom.

Seen from Y, two models that left Y independently, or of which one passed Y on its way from the other, differ from Y at
a right angle: cosines of .13 to .37 in the zoo for siblings tuned on different text and for the second of two
trainings, .5 and more where two were tuned on the same text or one is a parent of the other. Which of these it was the
angle does not tell: both share with each other only what they share with Y, and no more is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from forensics.alignment.blocks import Blocks
from forensics.alignment.in_place import Placed
from forensics.alignment.mixture import PART, STRAIGHT, Distances, Mixture
from forensics.readings import Direction, Kinship, Table

ASIDE = (-0.1, 0.4)
"""Cosines, seen from a third model, at which two share little besides that model, and it does not lie between them."""
COVERED = 0.5
"""Of the suspect's blocks that a candidate must have in equal shape to take part."""
STRAIGHT_LINE = (
    "it lies on a straight line between the others, where merging puts a model and training does not"
)
CANDIDATES_MOST = 16
"""That are looked at together: the nearest ones."""


def laid_over(child: Blocks, other: Blocks, placed: Placed, *, in_place: bool) -> Blocks:
    """The other model's blocks under the numbers of the child's layers that they stand for."""
    stands_for = [(placed.mine[i], placed.theirs[j]) for i, j in placed.pairs(in_place=in_place)]
    found = {
        (role, layer, expert): block
        for (role, theirs, expert), block in other.items()
        for layer, of_other in stands_for
        if of_other == theirs
    }
    return {p: b for p, b in found.items() if p in child and child[p].shape == b.shape}


def covering(child: Blocks, others: Mapping[str, Blocks]) -> list[str]:
    """Names of those that have enough of the child's blocks, the nearest ones, in their order."""
    wide = [name for name, blocks in others.items() if len(blocks) >= COVERED * len(child)]

    def far(name: str) -> float:
        blocks = others[name]
        return float(np.mean([np.mean((child[p].astype(np.float64) - b) ** 2) for p, b in blocks.items()]))

    nearest = sorted(wide, key=lambda name: (far(name), name))[:CANDIDATES_MOST]
    return [name for name in wide if name in nearest]


def middles(found: Distances) -> dict[int, tuple[int, float]]:
    """By position of a candidate: the nearest other one that stands between it and the suspect, and the cosine."""
    alone, apart = np.diag(found.total), found.apart()
    between: dict[int, tuple[int, float]] = {}
    for other in range(len(alone)):
        for middle in np.argsort(alone, kind="stable"):
            y = int(middle)
            if y == other or alone[y] <= 0.0 or apart[y, other] <= 0.0:
                continue
            cosine = found.cosine_at(y, other)
            if ASIDE[0] <= cosine <= ASIDE[1] and alone[y] < alone[other]:
                between[other] = y, cosine
                break
    return between


def sum_of(made: Mixture, names: Sequence[str]) -> str:
    """Shares in words: `50% of X and 50% of Y`."""
    parts = [
        f"{_minus(f'{share:.0%}')} of {names[k]}"
        for k, share in zip(made.parents, made.shares, strict=True)
        if abs(share) >= PART
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _minus(number: str) -> str:
    """With the sign that stands in print."""
    return number.replace("-", "−")


def told(made: Mixture | None, names: Sequence[str]) -> str:
    """What the mixture says of the suspect, as a sentence."""
    if made is None:
        return "The candidates that correspond to the suspect are one and the same, so that no merge can be told."
    what = sum_of(made, names)
    gain = f"{max(0.0, made.gain):.2f} of the distance to the nearest ({names[made.nearest]})"
    match made.kind:
        case "merge":
            return f"The suspect looks like a merge: {what}; this explains {gain}."
        case "stack":
            return f"The suspect looks put together from whole layers: {what}; this explains {gain}."
        case "arithmetic":
            return f"The suspect looks like a merge with differences added or taken away: {what}; this explains {gain}."
        case "reverse":
            child = names[reversed_child(made)]
            return f"Not the suspect but {child} looks like a merge, of the suspect and others: the suspect is {what}."
        case "between":
            return (
                f"The suspect lies between candidates ({what}; this explains {gain}): too little to tell a merge "
                "from a stage of one training or from relatives of the parents."
            )
    return f"The suspect does not look like a merge of the candidates: the best mixture explains {gain}."


def reversed_child(made: Mixture) -> int:
    """Position of the candidate that is the merge, where the suspect is one of its parents."""
    return made.parents[int(np.argmax(made.shares))]


def ties(
    found: Distances, made: Mixture | None, names: Sequence[str], child_of: Callable[[int | None, int], bool]
) -> tuple[Kinship, ...]:
    """Of candidates of which there is something to say. `child_of(k, y)`: k (None: the suspect) is surely y's child."""
    merged = () if made is None else _of_merge(made, names)
    aside = [
        _aside(names[k], names[y], cosine, both=child_of(k, y) and child_of(None, y))
        for k, (y, cosine) in sorted(middles(found).items())
    ]
    known = {kinship.candidate for kinship in merged}
    return (*merged, *(kinship for kinship in aside if kinship.candidate not in known))


def _of_merge(made: Mixture, names: Sequence[str]) -> tuple[Kinship, ...]:
    """For the parents of a merge, and for a candidate that is one."""
    if made.kind == "reverse":
        child = names[reversed_child(made)]
        others = " and ".join(names[k] for k in made.parents if names[k] != child)
        said = f"{child} lies between the suspect and {others}, as a merge with the suspect as a parent does"
        tie = Kinship(candidate=child, relation="merged", grounds=(said,))
        return (_directed(tie, "candidate-from-suspect") if made.gain >= STRAIGHT else tie,)
    if not made.is_merge:
        return ()
    said = (
        f"the suspect is {sum_of(made, names)}, which explains {made.gain:.2f} of the distance to the nearest"
    )
    parents = [names[k] for k, share in zip(made.parents, made.shares, strict=True) if abs(share) >= PART]
    found = [Kinship(candidate=name, relation="merged", grounds=(said,)) for name in parents]
    if made.kind == "merge" and made.is_straight:
        found = [_directed(tie, "suspect-from-candidate") for tie in found]
    return tuple(found)


def _directed(tie: Kinship, direction: Direction) -> Kinship:
    """With the direction that a place in the middle shows."""
    return replace(tie, direction=direction, direction_grounds=(STRAIGHT_LINE,))


def _aside(name: str, middle: str, cosine: float, *, both: bool) -> Kinship:
    """For a candidate that shares with the suspect only what both share with another one."""
    shared = (
        f"what the suspect shares with {name} it shares with {middle} as well (cosine of their differences from "
        f"{middle}: {_minus(f'{cosine:.2f}')})"
    )
    if both:
        return Kinship(
            candidate=name,
            explained_by=middle,
            relation="sibling-or-common-ancestor",
            grounds=(f"{shared}, and information was lost on the way from {middle} to either: siblings",),
        )
    return Kinship(
        candidate=name,
        explained_by=middle,
        grounds=(
            f"{shared}: by way of it, or of a model near it, one may come from the other, or both from it",
        ),
    )


def tie_tables(found: Distances, made: Mixture | None, names: Sequence[str]) -> list[Table]:
    """Shares by layer, where the suspect lies between candidates; how far each is, and who stands before it."""
    tables = []
    if made is not None and made.kind != "none":
        rows = [(n, *(round(share, 4) for share in shares)) for n, shares in made.by_layer.items()]
        tables.append(
            Table(
                title="Shares by layer",
                columns=("layer", *(f"share of {names[k]}" for k in made.parents)),
                rows=(*rows, ("all", *(round(share, 4) for share in made.shares))),
            )
        )
    alone = np.sqrt(np.diag(found.total) / max(found.size, 1e-300))
    between = {k: (names[y], round(cosine, 4)) for k, (y, cosine) in middles(found).items()}
    cells = [(name, round(float(alone[k]), 4), *between.get(k, (None, None))) for k, name in enumerate(names)]
    columns = ("candidate", "distance to the suspect", "explained by its likeness to", "cosine there")
    return [*tables, Table(title="Candidates that correspond in place", columns=columns, rows=tuple(cells))]
