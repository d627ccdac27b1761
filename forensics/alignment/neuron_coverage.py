"""Which neurons live where: layer by layer, expert by expert, and the side figures of matched layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from forensics.alignment.blocks import DENSE
from forensics.alignment.neuron_order import Orders
from forensics.alignment.neuron_pairs import LayerMatch, Matching
from forensics.alignment.permutation import floored

MOST = 192
"""Rows of a map at most: 12 layers with 8 sampled experts on either side."""
LAYER_COLUMNS = (
    "suspect layer",
    "candidate layer",
    "agreement",
    "above chance",
    "larger half",
    "smaller half",
    "z within strata",
    "ρ of legs",
    "ρ in place",
    "p in place",
)
COVERAGE_COLUMNS = (
    "suspect layer",
    "expert",
    "candidate layer",
    "its expert",
    "agreement",
    "share of the candidate's neurons",
    "share of the suspect's",
)
FIGURES = ("rate", "excess", "upper", "lower", "z", "rho")

Row = tuple[int | float | None, ...]


def layer_rows(matching: Matching, orders: Orders) -> tuple[Row, ...]:
    """`LAYER_COLUMNS` of every layer that could be found; the last two compare a layer with its namesake."""
    matched, rows = {match.layers[0]: match for match in matching.matches}, []
    for layer in sorted(matching.by_layer):
        _, rho, p = orders.get((layer, DENSE), (0, None, None))
        in_place = (rho, p if p is None else floored(p))
        if layer in matched:
            match = matched[layer]
            rows.append((*match.layers, *(round(match.mean(figure), 4) for figure in FIGURES), *in_place))
        else:
            rows.append((layer, None, *(None for _ in FIGURES), *in_place))
    return tuple(rows)


def coverage_rows(matches: Sequence[LayerMatch], most: int = MOST) -> tuple[tuple[Row, ...], int]:
    """`COVERAGE_COLUMNS` of the units of mixtures (-1: the MLP, -2: the shared expert), at most `most` rows.

    Each unit of either side with its best partner, so that a dense MLP shows all the experts that hold it, and an
    expert the MLP it came from. Shares are of a layer's sampled neurons, over all its units. Only layers in which
    either side has experts; the second value counts rows beyond `most`.
    """
    rows: list[Row] = []
    for match in matches:
        pairs = {(mine, theirs): found for mine, (theirs, found) in match.partners.items()}
        pairs |= {(mine, theirs): found for theirs, (mine, found) in match.takers.items()}
        if not any(mine >= 0 or theirs >= 0 for mine, theirs in pairs):
            continue
        for (mine, theirs), found in sorted(pairs.items(), key=lambda pair: pair[0]):
            shares = (
                round(len(ends) / max(1, of), 4)
                for ends, of in ((found.found, match.neurons[1]), (found.placed, match.neurons[0]))
            )
            rows.append((match.layers[0], mine, match.layers[1], theirs, round(found.rate, 4), *shares))
    return tuple(rows[:most]), max(0, len(rows) - most)


def match_figures(matching: Matching) -> dict[str, float]:
    """Side figures of matched layers; those of experts only where one side has several units in a layer."""
    matches = matching.matches
    figures: dict[str, float] = {
        "layers_matched": len(matches),
        "layers_repeated": len(matches) - len({match.layers[1] for match in matches}),
        "layers_without_counterpart_examined": matching.excused,
        "matched_in_order": all(a.layers[1] <= b.layers[1] for a, b in pairwise(matches)),
    }
    if not matches:
        return figures
    shares, finders = zip(*(match.found() for match in matches), strict=True)
    figures |= {
        "median_z_within_strata": float(np.median([match.mean("z") for match in matches])),
        "median_rho": float(np.median([match.mean("rho") for match in matches])),
        "agreement_of_larger_neurons": float(np.mean([match.mean("upper") for match in matches])),
        "agreement_of_smaller_neurons": float(np.mean([match.mean("lower") for match in matches])),
        "candidate_neurons_found": float(np.mean(shares)),
        **leg_figures(matches),
    }
    experts = [found for match in matches for found in match.partners.items()]
    if any(mine >= 0 or theirs >= 0 for mine, (theirs, _) in experts):
        figures["units_compared"] = len(experts)
        figures["units_recognised"] = sum(found.excess > 0.5 for _, (_, found) in experts)
        figures["finders_per_neuron"] = float(np.mean(finders))
    return figures


def leg_figures(matches: Sequence[LayerMatch]) -> Mapping[str, float]:
    """Mean agreement of each pair of legs over the layers that have all three."""
    told = [match.legs for match in matches if match.legs]
    if not told:
        return {}
    means = {name: float(np.mean([legs[name] for legs in told])) for name in told[0]}
    return {"layers_with_third_leg": len(told)} | {
        f"agreement_{name.replace(' ', '_')}": mean for name, mean in means.items()
    }
