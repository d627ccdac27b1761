"""near-init-rows: the draw that unused tokens still carry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import binom

from forensics import Abstain, Measurement, Reason, Sketch
from forensics.checkpoint.facts import TokenizerFacts
from forensics.readings import Abstention
from forensics.testing import check_probe
from plugins.near_init_rows import NearInitRows
from tests.standin import StandIn, architecture_of, run_sketch

PROBE = NearInitRows(draws=199)
WIDTH, UNUSED, USED = 64, 24, 100


def embedding(seed: int, drift: float = 1.0) -> np.ndarray:
    """Unused rows (a draw and a shared drift, small) and then trained rows of a geometry that all seeds share."""
    rng = np.random.default_rng(seed)
    pull = drift * np.random.default_rng(4).standard_normal(WIDTH) * rng.choice([-1.0, 1.0], WIDTH)
    unused = 0.02 * (rng.standard_normal((UNUSED, WIDTH)) + pull)
    meaning = np.random.default_rng(5).standard_normal((USED, 12))
    return np.concatenate([unused, meaning @ rng.standard_normal((12, WIDTH))])


def sketch_of(rows: np.ndarray, norm: str = "rms", tokens: Mapping[bytes, int] | None = None) -> Sketch:
    """The sketch of an embedding."""
    tokenizer = TokenizerFacts(model="BPE", tokens=tokens) if tokens else None
    shape = architecture_of(width=rows.shape[1], vocabulary=len(rows), norm=norm)
    return run_sketch(PROBE, StandIn({("embed_tokens", None, None): rows}, shape, tokenizer=tokenizer))


def measure(first: np.ndarray, second: np.ndarray, norm: str = "rms") -> Measurement:
    """The reading of two embeddings."""
    return PROBE.compare(sketch_of(first, norm), sketch_of(second, norm))


def test_contract() -> None:
    """The probe keeps the contract of the house."""
    check_probe(NearInitRows())


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_a_copy_is_found_through_decay_drift_and_retrained_tokens(norm: str) -> None:
    """Unused rows halved by decay and pushed in common still agree above 0.9 with p ≤ 1e-6, the rest retrained."""
    base = embedding(1)
    child = embedding(2)
    child[:UNUSED] = 0.5 * base[:UNUSED] + 0.01 * np.random.default_rng(3).standard_normal(WIDTH)
    found = measure(child, base, norm)
    assert found.value > 0.9
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    assert "a copy or a shared seed" in found.summary
    assert not found.signs


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_the_level_holds_with_a_shared_drift(norm: str) -> None:
    """Of 100 unrelated pairs, all pushed along drifts of one shape, p ≤ 0.05 is as rare as a binomial allows."""
    sides = [sketch_of(embedding(seed), norm) for seed in range(10, 210)]
    found = [PROBE.compare(a, b) for a, b in zip(sides[::2], sides[1::2], strict=True)]
    small = sum(m.exact is not None and m.exact.p <= 0.05 for m in found)
    assert small <= binom.ppf(0.9999, 100, 0.05)
    assert max(abs(m.value) for m in found) < 0.2
    assert all("a copy" not in m.summary for m in found if m.exact is not None and m.exact.p > 1e-3)


def test_trained_rows_are_left_out_and_a_wholly_trained_embedding_abstains() -> None:
    """Only unused rows are kept; without any the probe says that nothing looks like initialisation."""
    kept = sketch_of(embedding(1))
    assert set(kept.arrays["keys"].tolist()) <= set(range(UNUSED))
    assert len(kept.arrays["keys"]) >= UNUSED - 4
    trained = sketch_of(embedding(1)[UNUSED:])
    assert isinstance(trained.absent, Abstention)
    assert trained.absent.reason is Reason.NOT_INFORMATIVE


@pytest.mark.parametrize("value", [0.0, 0.01])
def test_padding_and_tokens_set_to_one_mean_row_carry_nothing(value: float) -> None:
    """Zero rows, constant rows and copies of one row are never kept, however short they are."""
    rows = embedding(1)
    filler = np.full((40, WIDTH), value)
    mean = np.tile(rows[UNUSED:].mean(axis=0) * 1e-3, (40, 1))
    whole = sketch_of(np.concatenate([filler, mean, rows[UNUSED:]]))
    assert isinstance(whole.absent, Abstention)


def test_named_tokens_are_paired_by_name_and_others_by_id() -> None:
    """Re-numbered tokens still meet; a name never meets an id."""
    base, order = embedding(1), np.random.default_rng(0).permutation(UNUSED + USED)
    names = {f"t{i}".encode(): i for i in range(UNUSED + USED)}
    moved = {f"t{i}".encode(): int(np.flatnonzero(order == i)[0]) for i in range(UNUSED + USED)}
    named = sketch_of(base, tokens=names)
    assert PROBE.compare(sketch_of(base[order], tokens=moved), named).value > 0.99
    with pytest.raises(Abstain) as answer:
        PROBE.compare(sketch_of(base), named)
    assert answer.value.reason is Reason.NO_SHARED_TOKENS


def test_order_and_size_of_blocks_do_not_matter() -> None:
    """Rows seen in blocks of one or of a thousand give one sketch."""
    rows = embedding(1)
    standin = StandIn(
        {("embed_tokens", None, None): rows}, architecture_of(width=WIDTH, vocabulary=len(rows))
    )
    one, many = (run_sketch(PROBE, standin, size) for size in (1, 1000))
    assert all((one.arrays[name] == many.arrays[name]).all() for name in one.arrays)


def test_hostile_values_and_sketches_abstain() -> None:
    """Infinite, vanishing and missing rows, other widths and arrays that do not fit are answers, not errors."""
    for hostile in (np.full((50, WIDTH), np.inf), np.full((50, WIDTH), np.nan), np.full((50, WIDTH), 1e-30)):
        assert isinstance(sketch_of(hostile).absent, Abstention)
    good = sketch_of(embedding(1))
    wider = sketch_of(np.random.default_rng(0).standard_normal((30, 2 * WIDTH)))
    odd = [
        wider,
        PROBE.sketch({}, good.facts),
        PROBE.sketch(good.arrays, {"width": True}),
        PROBE.sketch({**good.arrays, "keys": good.arrays["keys"][:3]}, good.facts),
        PROBE.sketch({**good.arrays, "rows": good.arrays["rows"] * np.float16(np.inf)}, good.facts),
    ]
    for side in odd:
        with pytest.raises(Abstain):
            PROBE.compare(side, good)
