"""Every exact p-value of every bundled probe on independent models: uniform or conservative."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from forensics.checkpoint import open_checkpoint
from forensics.comparing import compared
from forensics.probe import Sketch, SketchProbe
from forensics.reading import read
from forensics.readings import Measurement
from forensics.registry import Registry
from forensics.testing import descend, read_safetensors, tiny_checkpoint, write_safetensors

ARCHITECTURES = ("llama", "gpt2", "qwen2", "gpt_neox", "gemma2", "mixtral")
LAYER_NORM = ("gpt2", "gpt_neox")
LEVELS = (0.1, 0.01, 0.001)
UNLIKELY = 1e-5
"""How seldom a true null may fail one of these tests at one level."""
Disguise = Callable[[str, np.ndarray, np.random.Generator, bool], np.ndarray]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many small products, which several threads only slow down."""
    with threadpool_limits(1):
        yield


def plain(_: str, weights: np.ndarray, __: np.random.Generator, ___: bool) -> np.ndarray:
    """As drawn."""
    return weights


def one_meaning(name: str, weights: np.ndarray, own: np.random.Generator, flips: bool) -> np.ndarray:
    """Embeddings hold one geometry of tokens, the same in all models, in channels of each model's own order and sign.

    Outlier channels and the sizes of all channels are shared with it; only their places are not.
    """
    if not any(part in name for part in ("embed_tokens", "wte", "embed_in")):
        return weights
    shared = np.random.default_rng(7)
    channels = np.geomspace(30, 1, weights.shape[1])
    meaning = shared.standard_normal((len(weights), 12)) @ shared.standard_normal((12, weights.shape[1]))
    moved = ((meaning + shared.standard_normal(weights.shape)) * channels)[:, own.permutation(len(channels))]
    return moved * (own.choice([-1, 1], len(channels)) if flips else 1) * (weights.std() / moved.std())


def heavy_tails(_: str, weights: np.ndarray, own: np.random.Generator, __: bool) -> np.ndarray:
    """Every number with a tail of its own."""
    return weights * np.abs(own.standard_t(2, weights.shape))


def pruned(_: str, weights: np.ndarray, __: np.random.Generator, ___: bool) -> np.ndarray:
    """The smaller half of every matrix set to zero."""
    return (
        np.where(np.abs(weights) >= np.median(np.abs(weights)), weights, 0) if weights.ndim == 2 else weights
    )


def four_bits(_: str, weights: np.ndarray, __: np.random.Generator, ___: bool) -> np.ndarray:
    """Fifteen levels for each row of a matrix."""
    step = np.abs(weights).max(-1, keepdims=True) / 7 + 1e-12
    return np.round(weights / step) * step if weights.ndim == 2 else weights


DISGUISES: tuple[Disguise, ...] = (plain, one_meaning, heavy_tails, pruned, four_bits)


WITHOUT_SUBJECT = {"tower-identity"}
"""Probes of parts that these models lack; the null of towers stands in tests/plugins/test_tower_identity.py."""


@cache
def probes() -> tuple[SketchProbe, ...]:
    """All bundled probes of sketches whose source speaks of `Exact`, so that a new one is tried without being named."""
    found = [one.probe for one in Registry.load(only_bundled=True).chosen((), {}).values()]
    return tuple(
        probe
        for probe in found
        if isinstance(probe, SketchProbe)
        and probe.id not in WITHOUT_SUBJECT
        and "Exact(" in inspect.getsource(inspect.getmodule(type(probe)))  # type: ignore[arg-type]
    )


def sketched(folder: Path) -> Mapping[str, Sketch]:
    """What every probe keeps of a checkpoint."""
    checkpoint = open_checkpoint(str(folder), label=folder.name)
    try:
        return read(checkpoint, probes()).sketches
    finally:
        checkpoint.close()


def exact_ps(suspect: Mapping[str, Sketch], candidate: Mapping[str, Sketch]) -> dict[str, float]:
    """The exact p of every probe that gives one for this pair."""
    outcomes = {p.id: compared(p, suspect[p.id], candidate[p.id]) for p in probes()}
    return {n: o.exact.p for n, o in outcomes.items() if isinstance(o, Measurement) and o.exact is not None}


def drawn(folder: Path, architecture: str, disguise: Disguise, width: int, seed: int) -> Path:
    """An independent model in its disguise."""
    tiny_checkpoint(folder, architecture=architecture, seed=seed, width=width, layers=2)
    own, path = np.random.default_rng([seed, 1]), folder / "model.safetensors"
    flips = architecture not in LAYER_NORM
    made = {
        name: (dtype, np.asarray(disguise(name, w, own, flips), np.float32))
        for name, (dtype, w) in read_safetensors(path).items()
    }
    write_safetensors(path, made)
    return folder


def independent(folder: Path, width: int, pairs: int) -> dict[str, list[float]]:
    """Exact p-values by probe over disjoint pairs, so that they are independent draws.

    Both sides of a pair share architecture and disguise; the pairs go through all combinations in turn.
    """
    found: dict[str, list[float]] = {}
    for k in range(pairs):
        architecture, disguise = ARCHITECTURES[k % 6], DISGUISES[k % 5]
        sides = [
            sketched(drawn(folder / f"{k}-{s}", architecture, disguise, width, 1000 * width + 2 * k + s))
            for s in (0, 1)
        ]
        for probe, p in exact_ps(*sides).items():
            found.setdefault(probe, []).append(p)
    return found


def assert_conservative(found: Mapping[str, list[float]]) -> None:
    """At no level more p-values at or below it than a uniform law allows, and every probe was put to the test."""
    assert set(found) == {probe.id for probe in probes()}, "a probe gave no exact p for any pair"
    for probe, ps in found.items():
        for level in LEVELS:
            low = sum(p <= level for p in ps)
            assert binom.sf(low - 1, len(ps), level) > UNLIKELY, (probe, level, low, len(ps), sorted(ps)[:5])


def test_independent_models_have_no_small_p(tmp_path: Path) -> None:
    """Two seeds of one recipe, sharing outliers, token geometry or rounding, have p-values no smaller than uniform."""
    assert_conservative(independent(tmp_path, 64, 24))


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 128, 256])
def test_independent_models_have_no_small_p_over_many_seeds(tmp_path: Path, width: int) -> None:
    """The same over more seeds, at three widths."""
    assert_conservative(independent(tmp_path, width, 60 if width == 64 else 30))


@pytest.mark.parametrize("architecture", ["qwen2", "gpt_neox"])
def test_every_probe_sees_a_descendant(tmp_path: Path, architecture: str) -> None:
    """With RMSNorm and with LayerNorm, every exact p of the same harness falls on a descendant, so it can fail."""
    base = tiny_checkpoint(tmp_path / "base", architecture=architecture, width=64, layers=2, seed=3)
    child = descend(base, tmp_path / "child", noise=0.05, seed=4)
    found = exact_ps(sketched(child), sketched(base))
    assert set(found) == {probe.id for probe in probes()}
    assert max(found.values()) <= 1e-3, found
    assert min(found.values()) <= 1e-9, found
