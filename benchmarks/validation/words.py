"""What the report says between its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from benchmarks.validation.merits import MARGIN, Merit
from benchmarks.validation.population import IMITATIONS, Population

MERITS = (
    "Cllr is the cost of the bounded log likelihood ratios in bits (0 perfect, 1 says nothing, more "
    "misleads), Cllr_min what is left after the best monotone recalibration in hindsight (discrimination), "
    "Cllr_cal the difference (calibration). Bounds keep an LR from saying all that it could, and what that "
    "costs is part of Cllr_cal. Family cells count once; 95 % intervals resample families (pigeonhole "
    "bootstrap), with the LRs held as they are. Each probe stands on the pairs on which it gave a reading. "
    "`weight-std` stands here by its readings in the zoo, as it enters the fusion; its own weight in a "
    "dossier comes from the published measurements below."
)
PLOTS = (
    "Tippett: the further apart the two lines, the better; what derived pairs lack of 1 at log10 LR 0 and "
    "what unrelated pairs have there is misleading evidence. ECE: at prior odds 1 it is Cllr; between the "
    "reported curve and that after PAV lies the calibration loss, and above LR = 1 evidence would do harm. "
    "PAV: on the dotted line an LR means what it says; triangles mark where only one kind of pair is found, "
    "so that hindsight would make the LR infinite. Above the line for positive and below it for negative LRs, "
    "the reported LR is more cautious than these pairs alone would allow."
)
TRANSFER = (
    "Cllr of each probe by what its fit had not seen. Where it rises from left to right, the calibration does "
    "not carry over. Few pairs stand behind leave-scale-out, and there is no interval below six judged families."
)
LEFT_OUT = (
    "Leaving families out is the default everywhere on this page: each pair is judged by a fit that saw "
    "neither of its families. For leave-architecture-out the fit saw no family of the architecture of either "
    "model (`model_type`). For leave-scale-out, fit and bounds come from pairs of models both at most so wide "
    "and judge pairs of models both wider; what lies across is not used."
)
TURING = (
    "If LRs are honest, at most a share 1/x of unrelated pairs gets LR > x, and at most a share 1/x of "
    "derived pairs LR < 1/x. Shares count family cells once, counts are of pairs. Where no LR can reach x, "
    "because of the bound, the rule is kept trivially."
)
STRATA = (
    "An operation is a way in which a descendant was made; a stratum of unrelated pairs is a way in which two "
    "models can resemble each other. Cllr of a stratum is that of its pairs together with all pairs of the "
    "other kind. Few families stand behind most strata: their numbers show whether an operation is seen at "
    "all, not how often it would be missed."
)
MATRIX = "Cllr, and in brackets how many pairs mislead of how many:"
SCALE = (
    "By the width of the narrower of the two models, fitted on all widths (families left out). A dash for "
    "Cllr stands where a bin lacks one kind of pair."
)
CEILINGS = (
    "Largest reading of any unrelated pair, without those that share something on purpose "
    f"({', '.join(IMITATIONS)}). Chance agreement of directions should fall with the root of the width; "
    "readings that depend on the recipe (weight-std, depth-curves, activation-overlap) need not fall at all. "
    "Numbers grow with the number of pairs in a bin as well."
)
COVARIATES = (
    "Would it help to know the scale of a pair? Cllr out of fold of the readings alone, and with a property of the "
    "pair beside them, free to move the LR either way and to make readings count more or less: log2 of the narrower "
    "width, of the fewer layers, of the coarser precision's significant bits. Coverage has no column, for everything "
    "in these models is read. A property is left out of the weighing unless it lowers the cost of what is fused by "
    "more than these families can tell from chance: a slope on width that was fitted from 64 to 256 would be an "
    "extrapolation at 8192, and larger than anything it was fitted on. Scale enters by the ceilings instead, which "
    "compare a reading with unrelated pairs within a factor of two of the case's width."
)
ARCHITECTURES = (
    "Derived pairs of the architecture, and unrelated pairs of which at least one model has it; fitted with the "
    "architecture's other families in the fit (what happens without them stands above)."
)
COVERAGE = (
    "*Without one family*: of the bootstrap samples of families behind an interval, those in which a family "
    "does not occur are a bootstrap of the population without it (jackknife after the bootstrap). Told is how "
    "often their 95 % interval of log LR, before bounds, contains what the fit with all families says of the "
    "family's own pairs; families count alike. One family more moves a fit little, so this is a low hurdle, "
    "and less than 95 % would be an alarm. *One half by the other* is the high one: over random splits of the "
    "families, how often the interval from one half contains what the other half says of all pairs. Both "
    "halves err, so an exact 95 % interval contains 83 % of the values; more means cautious, less means too "
    "narrow. It rests on a dozen halves, so a few per cent either way mean nothing."
)
NOT_SUMMARISED = (
    "Out-of-fold figures on these measurements have not been computed for this version of the population "
    "(`--published FOLDER`)."
)


def wrapped(text: str, width: int = 120) -> str:
    """Paragraphs and items broken into lines; headings, tables and pictures as they are."""
    blocks = []
    for line in text.split("\n"):
        indent = "  " if line.startswith("* ") else ""
        whole = not line or line[0] in "|#!"
        blocks.append(line if whole else fill(line, width, subsequent_indent=indent, break_long_words=False,
                                              break_on_hyphens=False))  # fmt: skip
    return "\n".join(blocks)


def opening(population: Population, merit: Merit) -> str:
    """What the page is and of what it is made."""
    content = population.content
    cells = content["cells"]
    return (
        "# Validation\n\n"
        "Written by `python -m benchmarks.validation` from the reference table in the package; do not edit. How good "
        "the likelihood ratios are on families that took no part in fitting them, where they are not, and what that "
        "cannot show. Methods and their reasons stand in [methods](methods.md).\n\n"
        f"Population `{content['id']}`: {content['description']}. {content['derived_pairs']} derived pairs in "
        f"{cells['derived']} cells, {content['unrelated_pairs']} unrelated pairs in {cells['unrelated']} cells; "
        f"{len(population.names)} initialisations, of which {merit.families} count for the bound of the fusion "
        f"(families with derived pairs). SHA-256 of the rows `{content['sha256'][:16]}…`. "
        f"Fused are {', '.join(population.fused)}."
    )


def target(missed: Sequence[str], absent: Sequence[int], widest: int, costliest: Sequence[str]) -> str:
    """Whether the targets are reached, and what could not be judged."""
    lines = [
        f"The target is a Cllr of at most log2(1 + 10^−cap) + {MARGIN}, cap being the larger of the two bounds. "
        + (
            f"It is missed by: {'; '.join(missed)}."
            if missed
            else "It is reached by every fused figure that could be computed."
        )
    ]
    lines.append(f"Strata on which the fusion costs most, with their pairs: {', '.join(costliest)}.")
    if widest in absent:
        lines.append(
            f"**Not judged: widths above {widest} by those up to {widest}.** The table holds too few such "
            "pairs of both kinds on which all fused probes spoke; the smaller cuts above are what can be said "
            "until then."
        )
    lines.append(
        "Whether any unrelated pair comes out `derived` under the verdict's rules is told by `python -m "
        "benchmarks.verdicts --kept`; see [methods](methods.md)."
    )
    return " ".join(lines)


def published(content: Mapping[str, Any]) -> str:
    """The package's own fit."""
    low, high = content["cllr_interval"]
    return (
        f"{content['source']}. {content['derived_pairs']} derived and {content['unrelated_pairs']} unrelated "
        f"pairs in {content['families']} families ({content['cells']['derived']} and "
        f"{content['cells']['unrelated']} cells). The package's fit: Cllr {content['cllr']:.3f} [{low:.3f}, "
        f"{high:.3f}] out of fold, Cllr_min {content['cllr_min']:.3f}, ELUB {content['elub'][0]:+.2f} to "
        f"{content['elub'][1]:+.2f}, bounds {content['bounds'][0]:+.2f} to {content['bounds'][1]:+.2f}."
    )


Counted = tuple[int, int, float, float]


def readings(near: tuple[float, float], inside: Counted, above: Counted) -> str:
    """How common readings like the claimed one are among both kinds."""
    low, high = near
    return (
        f"Between {low:.2f} and {high:.2f} lie {inside[1]} derived pairs ({100 * inside[3]:.1f} % with family "
        f"cells counting once) and {inside[0]} unrelated ones ({100 * inside[2]:.1f} %); at {high:.2f} and "
        f"above {above[1]} derived ({100 * above[3]:.1f} %) and {above[0]} unrelated ({100 * above[2]:.1f} %). "
        "What a reading is worth is the ratio where it lies, not of what lies beyond it: descendants made by "
        "fine-tuning, merging or quantising read far higher, and those that were trained on for long, which "
        "could read like this, are not in this population."
    )


def large(population: Population, merit: Merit) -> str:
    """The limits, and that the cap says them too."""
    widths = population.widths
    wide = int(widths.max())
    return LARGE.format(
        narrow=int(widths.min()),
        wide=wide,
        wider=int(np.sum(widths > 128)),
        count=len(population.names),
        ratio=8192 // wide,
        families=merit.families,
        descent=10 ** merit.bounds[1],
        independence=10 ** -merit.bounds[0],
    )


LARGE = """The models behind this page are {narrow} to {wide} wide ({wider} of {count} initialisations above 128). \
A 72B model is 8192 wide, {ratio} times as wide as the widest of them.

It can say:

* that the arithmetic is right: on families, architectures and (as far as told above) widths that no fit saw, LRs have \
the costs and rates of misleading evidence given here;
* how often unrelated pairs mislead under hard conditions, twins of one recipe and imitators included. Chance \
agreement of directions is largest in narrow models, so a ceiling found here is cautious for wide ones;
* which operations leave traces at all. Permutations, rotations and rescalings that keep the function are algebra and \
work alike at any width.

It cannot say:

* how alike large models become by learning the same language. Convergent features, shared corpora and common recipes \
of large models are not in this population, and nothing here bounds them;
* how far real continued training moves a large model. Fine-tunes here drift further than published ones do (weight \
cosine 0.97 against 0.99 and more), but none was trained on for longer than its base;
* that a curve fitted at these widths holds at 8192. If readings of unrelated pairs shrink with width and those of \
descendants do not, the curve is cautious in both directions; for probes of recipes (weight-std, depth-curves, \
activation-overlap) that argument fails, so of these only weight-std has a vote, and none without an anchor;
* how often something happens that none of these families showed. That is what the cap is for.

So the cap says it too: with {families} independent families no opinion exceeds a factor of {descent:.0f} for descent \
or {independence:.0f} for independence, whatever the readings, and every dossier names the population beside the \
number. A factor of 100 would need a hundred independent families. What would change these figures most are \
measurements of real, unrelated large models of one width and recipe; `weight-std` alone has such measurements today."""
