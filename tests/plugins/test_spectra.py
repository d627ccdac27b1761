"""spectra: sees through a change of basis, follows the recipe, and is never evidence."""

from __future__ import annotations

import numpy as np
import pytest

from forensics import Measurement, Reason, alignment
from forensics.readings import Abstention
from forensics.testing import check_probe
from plugins.spectra import Spectra
from tests.standin import Key, StandIn, architecture_of, run_sketch

PROBE = Spectra()
WIDTH = 48
Tensors = dict[Key, np.ndarray]


def model(seed: int, decay: float = 1.0) -> Tensors:
    """Two layers of keys and values whose singular values fall off."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    for n in range(2):
        tensors["input_norm", n, None] = np.exp(0.3 * rng.standard_normal(WIDTH))
        for role in ("k_proj", "v_proj"):
            left, right = (np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0] for _ in range(2))
            values = np.exp(-decay * np.linspace(0, 3, WIDTH)) * np.exp(0.05 * rng.standard_normal(WIDTH))
            tensors[role, n, None] = (left * values) @ right
    return tensors


def measure(suspect: Tensors, candidate: Tensors) -> Measurement:
    """The probe's reading of two sets of tensors."""
    sides = [
        run_sketch(PROBE, StandIn(t, architecture_of(layers=2, width=WIDTH))) for t in (suspect, candidate)
    ]
    return PROBE.compare(*sides)


def test_contract() -> None:
    """The probe keeps the contract of the house."""
    check_probe(PROBE)


def test_a_rotated_copy_reads_one() -> None:
    """Gains folded, the stream rotated and rows reordered: the spectra stay; no group and no p come of it."""
    base, rng = model(1), np.random.default_rng(0)
    turn, order = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0], rng.permutation(WIDTH)
    hidden = {k: np.ones(WIDTH) for k in base if k[0] == "input_norm"}
    hidden |= {
        k: ((w * base["input_norm", k[1], None]) @ turn)[order] for k, w in base.items() if w.ndim == 2
    }
    found = measure(hidden, base)
    assert found.value == pytest.approx(1.0, abs=0.01)
    assert found.exact is None
    assert found.group is None


def test_unrelated_models_of_one_recipe_are_alike() -> None:
    """The known false alarm: strangers of one fall-off read above 0.8, those of another clearly less."""
    assert measure(model(2), model(3)).value > 0.8
    assert measure(model(2), model(3, decay=3.0)).value < 0.5


def test_hostile_matrices_abstain() -> None:
    """NaN, zeros and vectors where matrices should be give a reason, not a reading."""
    for spoilt in (np.nan, 0.0):
        tensors = {k: w * spoilt for k, w in model(4).items()}
        absent = run_sketch(PROBE, StandIn(tensors, architecture_of(layers=2, width=WIDTH))).absent
        assert isinstance(absent, Abstention)
        assert absent.reason is Reason.NOT_FINITE


def test_many_rows_are_summed_into_few_and_keep_the_shape_of_the_spectrum() -> None:
    """Four times as many rows as buckets: large singular values come out within a fifth, in blocks of any size."""
    rng = np.random.default_rng(5)
    scales = np.exp(-np.linspace(0, 3, 32))
    rows = (rng.standard_normal((4 * 512, 32)) * scales).astype(np.float32)
    found = []
    for size in (7, 2048):
        sums = alignment.SummedRows.of(len(rows), 32, 1)
        for start in range(0, len(rows), size):
            sums.see(rows[start : start + size], start)
        found.append(sums.spectrum())
    true = np.linalg.svd(rows, compute_uv=False)
    expected = np.interp(np.linspace(0, 31, 64), np.arange(32), np.log(true / np.sqrt(np.mean(true**2))))
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    np.testing.assert_allclose(found[0], expected, atol=0.2)
