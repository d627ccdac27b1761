"""Alignment and shared statistics: what thin probes are built on. Arithmetic only; no files, no probes."""

from forensics.alignment.anatomy import Anatomy, Outline, anatomy
from forensics.alignment.assignment import agreement, fisher, match_rows, spearman, stratified_z
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
from forensics.alignment.bias_scores import BiasMatch, match_biases, pooled
from forensics.alignment.blocks import ATTENTION, HEAD_MOST, MLP, Blocks, BlockSampler, packed, unpacked
from forensics.alignment.circuits import circuit_correlations, holds_kernels, layer_kernels
from forensics.alignment.curves import detrend, is_flat, pearson, resample, winsorise, z_score
from forensics.alignment.deltas import Delta, Met, agree_alike, delta_of, met, plain_rows
from forensics.alignment.depth_profile import CURVES, PROJECTED, Profile
from forensics.alignment.depth_profile import signs as seeded_signs
from forensics.alignment.depths import (
    answerable,
    evenly_spaced,
    match_layers,
    match_repeated,
    nested_layers,
)
from forensics.alignment.energies import TRADES, WIDEST, Balance, Ledger, balance
from forensics.alignment.gain_places import GainPlace
from forensics.alignment.head_edges import (
    GRAPH_HEADS,
    OV,
    QK,
    HeadGraph,
    graph_of_heads,
    holds_heads,
    shared_edges,
)
from forensics.alignment.head_graph import HeadLegs, head_legs, overlaps
from forensics.alignment.head_matching import HeadMatch, match_heads
from forensics.alignment.heads import free_flips, rotary_dimensions, sign_units
from forensics.alignment.in_place import Placed, copies, place
from forensics.alignment.in_place_tests import (
    Flips,
    Heads,
    attention_flips,
    exact_in_place,
    neuron_flips,
)
from forensics.alignment.kernels import (
    centre,
    flatten,
    pack,
    project_out,
    shared_positions,
    unbiased_cka,
    unpack,
    usable_anchors,
    whitener,
)
from forensics.alignment.lattice import Lattice, cast, image, lattice_of
from forensics.alignment.mixture import Distances, Mixture, distances, mixture
from forensics.alignment.mlp_legs import SHARED, MlpLegs, unit_of
from forensics.alignment.moments import Moments, column_energies, dispersion, row_energies
from forensics.alignment.near_init import distinct, near_initial
from forensics.alignment.neuron_arrays import GRAPH_MOST, units_from_arrays, units_to_arrays
from forensics.alignment.neuron_coverage import (
    COVERAGE_COLUMNS,
    LAYER_COLUMNS,
    coverage_rows,
    layer_rows,
    match_figures,
)
from forensics.alignment.neuron_order import Orders, order_tests, orders_together
from forensics.alignment.neuron_pairs import LayerMatch, Matching, match_depths, match_depths_by_angles
from forensics.alignment.neuron_routes import GONE, SHARED_LEAST, routes
from forensics.alignment.neuron_sample import SampledUnit
from forensics.alignment.neuron_units import UnitMatch, UnitView, leg_agreements, match_units
from forensics.alignment.next_tokens import NextTokens, beyond_chance, nearer, stepped_down
from forensics.alignment.ordered import order_z, stand_sorted
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
from forensics.alignment.responses import Responses, keys_told_apart
from forensics.alignment.spectra import QUANTILES, SummedRows
from forensics.alignment.stacks import stack, unstack
from forensics.alignment.state_kernels import StateAgreement, StateKernels
from forensics.alignment.subspaces import head_subspaces
from forensics.alignment.texts import pieces_alike
from forensics.alignment.ties import covering, laid_over, tie_tables, ties, told
from forensics.alignment.unit_samplers import UnitSamplers
from forensics.alignment.vocabularies import Vocabulary, hashed, vocabulary_of
from forensics.alignment.vocabulary_kinds import VocabularyKind, vocabulary_kind
from forensics.alignment.vocabulary_likeness import Likeness, likeness, special_likeness
from forensics.alignment.vocabulary_rates import RATE_COLUMNS, VOCABULARY_RATES, VOCABULARY_RATES_OF

__all__ = [
    "ATTENTION",
    "COVERAGE_COLUMNS",
    "CURVES",
    "GONE",
    "GRAPH_HEADS",
    "GRAPH_MOST",
    "HEAD_MOST",
    "LAYER_COLUMNS",
    "MLP",
    "OV",
    "PROJECTED",
    "QK",
    "QUANTILES",
    "RATE_COLUMNS",
    "SHARED",
    "SHARED_LEAST",
    "TRADES",
    "VOCABULARY_RATES",
    "VOCABULARY_RATES_OF",
    "WIDEST",
    "Anatomy",
    "Balance",
    "BiasMatch",
    "BlockSampler",
    "Blocks",
    "Delta",
    "Distances",
    "Flips",
    "GainPlace",
    "HeadGraph",
    "HeadLegs",
    "HeadMatch",
    "Heads",
    "Lattice",
    "LayerMatch",
    "Ledger",
    "Likeness",
    "Matching",
    "Met",
    "Mixture",
    "MlpLegs",
    "Moments",
    "NextTokens",
    "Orders",
    "Outline",
    "Placed",
    "Polar",
    "Profile",
    "Responses",
    "SampledUnit",
    "SignedMatch",
    "StateAgreement",
    "StateKernels",
    "SummedRows",
    "SymmetryTest",
    "UnitMatch",
    "UnitSamplers",
    "UnitView",
    "Vocabulary",
    "VocabularyKind",
    "agree_alike",
    "agreement",
    "anatomy",
    "answerable",
    "attention_flips",
    "balance",
    "beyond_chance",
    "cast",
    "centre",
    "chernoff",
    "circuit_correlations",
    "column_energies",
    "combine",
    "copies",
    "coverage_rows",
    "covering",
    "cross_depth_pairs",
    "delta_of",
    "detrend",
    "dispersion",
    "distances",
    "distinct",
    "evenly_spaced",
    "exact_in_place",
    "explained",
    "fisher",
    "flatten",
    "floored",
    "free_flips",
    "graph_of_heads",
    "haar_bound",
    "hashed",
    "head_legs",
    "head_subspaces",
    "holds_heads",
    "holds_kernels",
    "image",
    "is_flat",
    "joint_moments",
    "joint_permutation_test",
    "keys_told_apart",
    "laid_over",
    "lattice_of",
    "layer_kernels",
    "layer_rows",
    "leg_agreements",
    "likeness",
    "match_biases",
    "match_depths",
    "match_depths_by_angles",
    "match_figures",
    "match_heads",
    "match_layers",
    "match_repeated",
    "match_rows",
    "match_units",
    "met",
    "mixture",
    "monte_carlo_p",
    "near_initial",
    "nearer",
    "nested_layers",
    "neuron_flips",
    "normal_scores",
    "order_tests",
    "order_z",
    "orders_together",
    "overlaps",
    "pack",
    "packed",
    "pearson",
    "pieces_alike",
    "place",
    "plain_rows",
    "polar_factor",
    "pooled",
    "project_out",
    "resample",
    "rotary_dimensions",
    "routes",
    "row_energies",
    "seeded_signs",
    "shared_edges",
    "shared_positions",
    "sign_flip_test",
    "sign_units",
    "signed_permutation",
    "signed_scores",
    "spearman",
    "special_likeness",
    "stack",
    "stand_sorted",
    "stepped_down",
    "stratified_z",
    "swap_contrasts",
    "tie_tables",
    "ties",
    "told",
    "trace_test",
    "unbiased_cka",
    "unit_of",
    "units_from_arrays",
    "units_to_arrays",
    "unpack",
    "unpacked",
    "unstack",
    "usable_anchors",
    "vocabulary_kind",
    "vocabulary_of",
    "whitener",
    "winsorise",
    "z_score",
]
