"""Alignment and shared statistics: what thin probes are built on. Arithmetic only; no files, no probes."""

from forensics.alignment.assignment import (
    agreement,
    evenly_spaced,
    fisher,
    match_layers,
    match_repeated,
    match_rows,
    nested_layers,
    spearman,
    stratified_z,
)
from forensics.alignment.basis import (
    Polar,
    SignedMatch,
    explained,
    haar_bound,
    polar_factor,
    signed_permutation,
    trace_test,
)
from forensics.alignment.bias_depths import cross_depth_pairs
from forensics.alignment.circuits import circuit_correlations, holds_kernels, layer_kernels
from forensics.alignment.curves import detrend, is_flat, pearson, resample, winsorise, z_score
from forensics.alignment.depth_profile import CURVES, PROJECTED, Profile
from forensics.alignment.depth_profile import signs as seeded_signs
from forensics.alignment.depths import monotone_partners
from forensics.alignment.energies import TRADES, WIDEST, Balance, Ledger, balance
from forensics.alignment.heads import free_flips, rotary_dimensions, sign_units
from forensics.alignment.kernels import (
    centre,
    flatten,
    pack,
    partial_correlations,
    project_out,
    shared_positions,
    unbiased_cka,
    unpack,
    usable_anchors,
    whitener,
)
from forensics.alignment.moments import Moments, column_energies, dispersion, row_energies
<<<<<<< HEAD
from forensics.alignment.near_init import distinct, near_initial, token_key
from forensics.alignment.neuron_arrays import units_from_arrays, units_to_arrays
=======
from forensics.alignment.neuron_arrays import GRAPH_MOST, units_from_arrays, units_to_arrays
>>>>>>> w-neurons
from forensics.alignment.neuron_pairs import (
    LayerMatch,
    UnitMatch,
    coverage_rows,
    match_depths,
    match_depths_by_angles,
    match_figures,
    match_units,
    order_tests,
)
from forensics.alignment.neuron_sample import SampledUnit, UnitSamplers
from forensics.alignment.permutation import (
    SymmetryTest,
    chernoff,
    combine,
    floored,
    joint_moments,
    joint_permutation_test,
    monte_carlo_p,
    normal_scores,
    sign_flip_test,
    signed_scores,
    swap_contrasts,
)
from forensics.alignment.spectra import QUANTILES, SummedRows
from forensics.alignment.stacks import stack, unstack
from forensics.alignment.subspaces import head_subspaces

__all__ = [
<<<<<<< HEAD
    "CURVES",
    "PROJECTED",
    "QUANTILES",
    "TRADES",
    "WIDEST",
    "Balance",
=======
    "GRAPH_MOST",
>>>>>>> w-neurons
    "LayerMatch",
    "Ledger",
    "Moments",
    "Polar",
    "Profile",
    "SampledUnit",
    "SignedMatch",
    "SummedRows",
    "SymmetryTest",
    "UnitMatch",
    "UnitSamplers",
    "agreement",
    "balance",
    "centre",
    "chernoff",
    "circuit_correlations",
    "column_energies",
    "combine",
<<<<<<< HEAD
    "cross_depth_pairs",
=======
    "coverage_rows",
>>>>>>> w-neurons
    "detrend",
    "dispersion",
    "distinct",
    "evenly_spaced",
    "explained",
    "fisher",
    "flatten",
    "floored",
    "free_flips",
    "haar_bound",
    "head_subspaces",
    "holds_kernels",
    "is_flat",
    "joint_moments",
    "joint_permutation_test",
    "layer_kernels",
    "match_depths",
    "match_depths_by_angles",
    "match_figures",
    "match_layers",
    "match_repeated",
    "match_rows",
    "match_units",
    "monotone_partners",
    "monte_carlo_p",
    "near_initial",
    "nested_layers",
    "normal_scores",
    "order_tests",
    "pack",
    "partial_correlations",
    "pearson",
    "polar_factor",
    "project_out",
    "resample",
    "rotary_dimensions",
    "row_energies",
    "seeded_signs",
    "shared_positions",
    "sign_flip_test",
    "sign_units",
    "signed_permutation",
    "signed_scores",
    "spearman",
    "stack",
    "stratified_z",
    "swap_contrasts",
    "token_key",
    "trace_test",
    "unbiased_cka",
    "units_from_arrays",
    "units_to_arrays",
    "unpack",
    "unstack",
    "usable_anchors",
    "whitener",
    "winsorise",
    "z_score",
]
