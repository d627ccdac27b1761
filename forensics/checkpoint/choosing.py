"""Which layout a checkpoint has: its tensors' names and shapes decide, what config.json declares breaks ties."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from forensics.checkpoint.layout import PREFIX, Layout, skeleton

NEARLY = 0.95
"""Share of the best layout's elements and names that another must recognise to be preferred because it is declared."""
COMMON = 8
"""A name counts as a feature of a family if at least one layer in so many has it; hybrids have full attention in a
quarter of their layers, and one planted tensor must not change how all the others are read."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A layout and how much of a checkpoint it recognises."""

    share: float
    """Of the elements."""
    count: int
    """Of the names."""
    features: int
    """Names that it demands or excludes: of two that recognise the same, the more specific one knows better."""
    plain: bool
    layout: Layout

    @property
    def order(self) -> tuple[float, int, int, bool]:
        """Greater is better."""
        return self.share, self.count, self.features, self.plain


def choose(
    names: Iterable[tuple[str, int]],
    declared: str,
    layouts: Iterable[Layout],
    fit: Callable[[Layout], float] | None = None,
) -> tuple[Layout | None, float]:
    """The layout that recognises most elements, and the share it recognises.

    `names` are (stored name, elements); `fit` says which share of the elements have shapes that agree with a
    layout, and is asked only where several recognise nearly as much. The declared type wins ties and near-ties (it
    must recognise at least 95 % of the elements and of the names that the best one does), so that a decoy config
    cannot hide tensors but Gemma's gains are read right.
    """
    stored: dict[str, tuple[str, int, int]] = {}  # names that differ only in numbers mean the same
    for name, elements in names:
        bare = skeleton(PREFIX.sub("", name))
        example, total, count = stored.get(bare, (name, 0, 0))
        stored[bare] = (example, total + elements, count + 1)
    ranked = _ranked(stored, layouts)
    best = max(ranked, key=lambda r: r.order, default=None)
    if best is None or not best.count:
        return None, 0.0
    near = [r for r in ranked if r.share >= NEARLY * best.share and r.count >= NEARLY * best.count]
    if fit is not None and len(near) > 1:
        fits = [fit(r.layout) for r in near]
        near = [r for r, share in zip(near, fits, strict=True) if share >= NEARLY * max(fits)]
        best = max(near, key=lambda r: r.order)
    chosen = next((r for r in near if declared in r.layout.model_types), best)
    return chosen.layout, chosen.share


def _ranked(stored: Mapping[str, tuple[str, int, int]], layouts: Iterable[Layout]) -> list[Ranked]:
    """Layouts whose features the checkpoint has; `stored` is (example, elements, names) by skeleton."""
    total = sum(elements for _, elements, _ in stored.values()) or 1
    layers = max((count for bare, (_, _, count) in stored.items() if bare.count("#") == 1), default=0)
    common = {bare for bare, (_, _, count) in stored.items() if "#" not in bare or count * COMMON >= layers}
    ranked = []
    for layout in layouts:
        if layout.requires <= common and not layout.lacks & common:
            known = (stored[bare] for bare in layout.rules.keys() & stored.keys())
            seen = [(elements, count) for name, elements, count in known if layout.match(name)]
            ranked.append(
                Ranked(
                    share=sum(elements for elements, _ in seen) / total,
                    count=sum(count for _, count in seen),
                    features=len(layout.requires) + len(layout.lacks),
                    plain="llama" in layout.model_types,
                    layout=layout,
                )
            )
    return ranked
