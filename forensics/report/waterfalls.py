"""How a fused log10 likelihood ratio came about, over reference pairs that were weighed in the same way.

Above, each vote from where the one before it ended to where it ends itself, what the bound took away, and what is
stated with its interval. Below, on the same axis, the pairs of known origin: what the same combination of probes said
of families that it had not seen.
"""

from __future__ import annotations

from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

from forensics.opinions import Opinion
from forensics.report import numbers, populations, view
from forensics.report.canvas import (
    DERIVED,
    GREY,
    HATCH,
    INK,
    PALE,
    REMEMBERED,
    SMALL,
    WIDTH,
    Drawing,
    canvas,
    short,
    svg_of,
)  # fmt: skip
from forensics.report.histograms import bars, tags
from forensics.report.populations import Bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VOTES = 12
"""Votes that are drawn; the rest stand together in one bar."""
FURTHEST = 30.0
"""log10 units beyond which nothing is drawn."""
HELD = 0.005
"""log10 units below which the bound took nothing away."""
INTERCEPT = "(intercept)"

Step = tuple[str, float, float]
"""Name, and from where to where the bar reaches."""


@lru_cache(maxsize=REMEMBERED)
def waterfall(tag: str, opinion: Opinion) -> Drawing | None:
    """The picture of one opinion; None where no likelihood ratio is stated or nothing is known of its making."""
    if opinion.log10_lr is None or not opinion.contributions:
        return None
    stairs = steps(opinion)
    counts = populations.bins(opinion.background)
    high = 12.0 + 5.6 * (len(stairs) + 1)
    panes = [high] if counts is None else [high, 15.0, 13.0]
    with canvas(WIDTH, sum(panes) + 8.0) as figure:
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.02)
        places = list(figure.subplots(len(panes), 1, sharex=True, squeeze=False, height_ratios=panes).flat)
        _stairs(places[0], stairs, opinion)
        if counts is not None:
            bars(places[1], counts.edges, counts.unrelated, "unrelated", PALE)
            bars(places[2], counts.edges, counts.derived, "derived", DERIVED, HATCH)
            for axes in places[1:]:
                axes.axvline(opinion.log10_lr, color=INK, linewidth=0.9, linestyle=(0, (4, 1.5)))
                axes.tick_params(labelsize=SMALL)
            tags(places[1], [(tag, opinion.log10_lr)])
        places[-1].set_xlabel("log10 likelihood ratio")
        for loc, towards in (("left", "← if independent"), ("right", "if derived →")):
            places[0].set_title(towards, loc=loc, fontweight="normal", fontsize=6.5)
        svg = svg_of(figure)
    said = words(tag, stairs, opinion, counts)
    return Drawing(svg=svg, alt=said[0], width=WIDTH, note=said[1])


def steps(opinion: Opinion) -> tuple[Step, ...]:
    """The intercept, the votes from the largest to the smallest, and what the bound took away."""
    first = [part for part in opinion.contributions if part.probe == INTERCEPT]
    votes = sorted(
        (part for part in opinion.contributions if part.probe != INTERCEPT),
        key=lambda part: -abs(part.log10_lr),
    )
    made: list[Step] = []
    at = 0.0
    for part in (*first, *votes[:VOTES]):
        name = "start of the fit (intercept)" if part.probe == INTERCEPT else view.voter(part)
        made.append((name, at, at + part.log10_lr))
        at += part.log10_lr
    if rest := votes[VOTES:]:
        made.append((f"{len(rest)} more votes", at, at + sum(part.log10_lr for part in rest)))
        at = made[-1][2]
    if opinion.log10_lr is not None and abs(opinion.log10_lr - at) > HELD:
        made.append(("held back by the bound", at, opinion.log10_lr))
    return tuple(made)


def words(tag: str, stairs: tuple[Step, ...], opinion: Opinion, counts: Bins | None) -> tuple[str, str]:
    """The alternative text with every number, and the caption."""
    listed = "; ".join(f"{short(name, 80)} {_bans(end - start)}" for name, start, end in stairs)
    stated = view.ratio(opinion)
    if counts is None or opinion.log10_lr is None:
        unrelated = "The record holds no reference pairs weighed in the same way."
    else:
        unrelated = (
            f"Below: {populations.pairs(counts)} reference pairs, weighed by the same probes and each by a fit "
            f"without its families; {populations.reached(counts, opinion.log10_lr)}."
        )
    alt = f"Waterfall of the log10 likelihood ratio of {tag}: {listed}; stated {stated}. {unrelated}"
    caption = (
        f"How the log10 likelihood ratio of {tag} {short(opinion.candidate, 60)} came about: dark bars lead towards "
        "derived, white hatched ones towards independent; on the last line the interval, between the strokes of the "
        "bound. "
        f"{unrelated}"
    )
    return alt, caption


def _stairs(axes: Axes, stairs: tuple[Step, ...], opinion: Opinion) -> None:
    """The bars from top to bottom, each joined to the next, and the stated value last."""
    for row, (_, *ends) in enumerate(stairs):
        start, end = map(_held, ends)
        up = end >= start
        axes.barh(
            row,
            end - start,
            left=start,
            height=0.62,
            color="#5a6572" if up else "white",
            edgecolor=INK,
            linewidth=0.6,
            hatch="" if up else "\\\\\\\\",
        )
        axes.plot([end, end], [row, row + 1], color=GREY, linewidth=0.5)
        _figure(axes, max(start, end), row, _bans(ends[1] - ends[0]))
    last = len(stairs)
    reach = _stated(axes, last, opinion)
    axes.axvline(0.0, color=GREY, linewidth=0.6)
    axes.set_ylim(last + 0.6, -0.6)
    axes.set_yticks(range(last + 1), [*(_wrapped(name) for name, _, _ in stairs), "stated"])
    axes.tick_params(length=0)
    every = [0.0, *reach, *(_held(x) for _, *ends in stairs for x in ends)]
    room = 0.13 * (max(every) - min(every)) + 0.05
    axes.set_xlim(min(every) - room / 2, max(every) + room)


def _stated(axes: Axes, row: int, opinion: Opinion) -> list[float]:
    """What is stated, with its interval, between the strokes of the bound; how far it all reaches."""
    stated = _held(opinion.log10_lr or 0.0)
    lower = stated if opinion.lower is None else _held(opinion.lower)
    upper = stated if opinion.upper is None else _held(opinion.upper)
    axes.plot([lower, upper], [row, row], color=INK, linewidth=2.0, solid_capstyle="butt")
    axes.plot(
        [stated], [row], marker="D", markersize=5, color="white", markeredgecolor=INK, markeredgewidth=1.3
    )
    _figure(axes, max(upper, stated), row, _bans(stated))
    bound = [] if opinion.cap is None else [-_held(abs(opinion.cap)), _held(abs(opinion.cap))]
    for x in bound:
        axes.plot([x, x], [row - 0.42, row + 0.42], color=INK, linewidth=0.8)
    return [lower, upper, stated, *bound]


def _held(x: float) -> float:
    """A place on the axis, however absurd the number."""
    return max(-FURTHEST, min(FURTHEST, x))


def _bans(log10_lr: float) -> str:
    """A share as it is written; nobody needs hundreds of digits of an absurd one."""
    return numbers.bans(max(-1e6, min(1e6, log10_lr)))


def _wrapped(name: str) -> str:
    """A name on at most two lines."""
    return "\n".join(wrap(short(name, 88), 46)[:2])


def _figure(axes: Axes, x: float, row: int, text: str) -> None:
    """A number behind the end of a bar."""
    axes.annotate(text, (x, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=6.5)
