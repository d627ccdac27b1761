"""Which models are of one initialisation, where a list of pairs does not say so for all of them.

A family is an independent draw of initial weights; bounds and intervals count families, never pairs. A model whose
family is not stated belongs to whatever it is linked to by a label other than that of unrelated models: `derived`,
but also `sibling` or `disputed`, for a family too few only makes a calibration more cautious.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

APART = frozenset({"unrelated", "same-series", "same-org next generation"})
"""Labels that link nothing: models of one maker and recipe in several sizes start from weights of their own."""


def families_of(
    stated: Mapping[str, str], links: Iterable[tuple[str, str, str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """The family of every model in `links` (two models and a label), and for the rest why it cannot be told."""
    root: dict[str, str] = {}
    for one, other, label in links:
        first, second = _root(root, one), _root(root, other)
        if label not in APART:
            root[max(first, second)] = min(first, second)
    known: dict[str, set[str]] = {}
    for name in root:
        known.setdefault(_root(root, name), set()).update([stated[name]] if name in stated else [])
    families, unknown = {}, {}
    for name in root:
        group = _root(root, name)
        if name in stated:
            families[name] = stated[name]
        elif len(known[group]) <= 1:
            families[name] = next(iter(known[group]), group)
        else:
            unknown[name] = f"its family is not stated, and it is linked to {', '.join(sorted(known[group]))}"
    return families, unknown


def _root(root: dict[str, str], name: str) -> str:
    """The least name that a model is linked to; paths are shortened on the way."""
    root.setdefault(name, name)
    while root[name] != name:
        root[name] = root[root[name]]
        name = root[name]
    return name
