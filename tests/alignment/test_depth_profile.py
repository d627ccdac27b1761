"""Profiles of layers: what their figures do not change with."""

from __future__ import annotations

import numpy as np

from forensics import alignment


def figures(matrices: dict[str, np.ndarray], gain: np.ndarray, block: int) -> np.ndarray:
    """The figures of one layer read in blocks of that many rows."""
    projection = alignment.seeded_signs(32, alignment.PROJECTED, 1)
    profile = alignment.Profile(4, 2, gain.astype(np.float32), projection)
    for role, whole in matrices.items():
        for start in range(0, len(whole), block):
            profile.see(role, whole[start : start + block].astype(np.float32), start, len(whole))
    return profile.figures(None)


def test_blocks_do_not_matter_and_ranks_are_near_the_truth() -> None:
    """Sampled rows are the same in blocks of any size; the effective rank is within a quarter of the exact one."""
    rng = np.random.default_rng(0)
    matrices = {role: rng.standard_normal((2048, 32)) for role in ("q_proj", "k_proj", "v_proj")}
    matrices["o_proj"] = rng.standard_normal((32, 2048))
    gain = np.linspace(0.2, 3.0, 32)
    first, second = figures(matrices, gain, 5), figures(matrices, gain, 2048)
    np.testing.assert_allclose(first[:-1], second[:-1], rtol=1e-3)
    second_moment = np.square(np.linalg.svd(matrices["k_proj"] * gain, compute_uv=False))
    true = np.log(second_moment.sum() ** 2 / np.sum(second_moment**2))
    assert abs(first[alignment.CURVES.index("rank-k")] - true) < 0.3
    assert np.isnan(first[-1])
