"""Biases paired across depths by one kind and tested on the other."""

from __future__ import annotations

import numpy as np

from forensics import alignment


def test_one_kind_chooses_what_the_other_is_tested_on() -> None:
    """V's layers are those where Q and K agree, whatever V says, and the other way round."""
    rng = np.random.default_rng(0)
    q, v = rng.standard_normal((3, 40)), rng.standard_normal((3, 40))
    suspect = {"q_bias": dict(enumerate(q)), "v_bias": dict(enumerate(v))}
    candidate = {"q_bias": dict(enumerate(q[[0, 2]])), "v_bias": dict(enumerate(v[[1, 2]]))}
    values, queries = alignment.cross_depth_pairs(suspect, candidate)
    assert {("v_bias", 0, 0), ("v_bias", 2, 1)} <= set(values)
    assert {("q_bias", 1, 0), ("q_bias", 2, 1)} <= set(queries)
    assert alignment.cross_depth_pairs({"q_bias": dict(enumerate(q))}, candidate)[1] == []
