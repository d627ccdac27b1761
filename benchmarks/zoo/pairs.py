"""Which pairs of the zoo's checkpoints are put before the probes, and what is true of each.

Derived pairs are a descendant and its own base. Unrelated pairs cross families; the hard ones name what
makes them hard in their stratum. Siblings are neither, and are left out.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING

from benchmarks.zoo.imitators import IMITATORS
from benchmarks.zoo.recipes import BASES, RECIPES, descendants, seeds

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_ARCHITECTURES = 2
"""Bases of other architectures each descendant and imitator is also compared with."""


def family_of(name: str) -> str:
    """The independently trained base a checkpoint's weights go back to."""
    return descendants()[name].base if name in descendants() else name


def initialisation_of(name: str) -> str:
    """The draw of initial weights a checkpoint goes back to; same-initialisation imitators share one."""
    family = family_of(name)
    imitator = IMITATORS.get(family)
    shared = imitator is not None and imitator.stratum == "same-initialisation"
    return imitator.imitates if imitator is not None and shared else family


def recipe_of(name: str) -> str:
    """The recipe a checkpoint's family was trained by."""
    family = family_of(name)
    return BASES[family] if family in BASES else IMITATORS[family].recipe


def kinship(one: str, other: str) -> str:
    """How alike two unrelated families are made: same-recipe, same-architecture or other-architecture."""
    first, second = recipe_of(one), recipe_of(other)
    if first == second:
        return "same-recipe"
    same = RECIPES[first].architecture == RECIPES[second].architecture
    return "same-architecture" if same else "other-architecture"


def _unrelated(suspect: str, candidate: str, stratum: str | None = None) -> dict[str, str]:
    cell = "|".join(sorted((family_of(suspect), family_of(candidate))))
    return {
        "suspect": suspect,
        "candidate": candidate,
        "label": "unrelated",
        "stratum": stratum or kinship(suspect, candidate),
        "family_cell": cell,
    }


def _derived() -> Iterator[dict[str, str]]:
    for made in descendants().values():
        yield {
            "suspect": made.name,
            "candidate": made.base,
            "label": "derived",
            "stratum": made.kind,
            "family_cell": made.base,
        }


def _strangers(name: str, avoid: str) -> Iterator[dict[str, str]]:
    """A twin and a namesake where there are any, and a few bases of other architectures."""
    draws = random.Random(seeds()[name])
    for wanted, limit in (
        ("same-recipe", 1),
        ("same-architecture", 1),
        ("other-architecture", OTHER_ARCHITECTURES),
    ):
        found = [base for base in BASES if base != avoid and kinship(name, base) == wanted]
        for base in draws.sample(found, min(limit, len(found))):
            yield _unrelated(name, base)


def labelled_pairs() -> list[dict[str, str]]:
    """All ordered pairs: suspect, candidate, label, stratum and the cell that resampling must keep whole."""
    pairs = list(_derived())
    for index, (one, other) in enumerate(combinations(BASES, 2)):
        pairs.append(_unrelated(*((one, other) if index % 2 else (other, one))))
    for made in descendants().values():
        pairs += _strangers(made.name, made.base)
    for name, imitator in IMITATORS.items():
        pairs.append(_unrelated(name, imitator.imitates, imitator.stratum))
        pairs.append(_unrelated(imitator.imitates, name, imitator.stratum))
        child = next(d.name for d in descendants().values() if d.base == imitator.imitates)
        pairs.append(_unrelated(name, child, imitator.stratum))
        pairs += _strangers(name, imitator.imitates)
    return pairs
