"""Stored precisions as significant bits."""

from __future__ import annotations

import pytest

from forensics.calibrating.precision import coarsest, significant_bits


@pytest.mark.parametrize(
    ("name", "bits"),
    [("f32", 24), ("bf16", 8), ("f16", 11), ("bnb-nf4", 4), ("gptq-int3", 3), ("awq-int4", 4), ("fp8-block", 4),
     ("mxfp4", 2), ("ct-int8", 8), ("q4_k", 4), ("strange", 24), ("", 24)],
)  # fmt: skip
def test_names_of_plans_have_bits(name: str, bits: int) -> None:
    """Floats by their significand, integers by their width; what is not known counts as exact."""
    assert significant_bits(name) == bits


def test_the_coarsest_of_a_model_counts() -> None:
    """Norms in float32 beside weights of four bits: four bits."""
    assert coarsest(["f32", "gptq-int4"]) == 4
    assert coarsest([]) == 24
