"""Every exact p-value of every bundled probe on independent models: uniform or conservative."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from scipy.stats import binom

from forensics.checkpoint import open_checkpoint
from forensics.probe import Abstain, Sketch, SketchProbe
from forensics.reading import read
from forensics.readings import Measurement
from forensics.registry import Registry
from forensics.testing import descend, tiny_checkpoint

pytestmark = pytest.mark.skip(reason="draft: empty sketches are not yet left out")
ARCHITECTURES = ("llama", "qwen2", "gemma2", "gpt2", "gpt_neox", "mixtral")
LEVELS = (0.1, 0.01, 0.001)
PAIRS = 10
UNLIKELY = 1e-5
"""How seldom a true null may fail one of these tests."""


@cache
def probes() -> tuple[SketchProbe, ...]:
    """All bundled probes of sketches; those without exact p-values fall out by themselves."""
    offered = Registry.load(only_bundled=True).chosen((), {})
    return tuple(one.probe for one in offered.values() if isinstance(one.probe, SketchProbe))


def sketched(folder: Path) -> Mapping[str, Sketch]:
    """What every probe keeps of a checkpoint; abstentions are left out."""
    checkpoint = open_checkpoint(str(folder), label=folder.name)
    try:
        done = read(checkpoint, probes())
    finally:
        checkpoint.close()
    return {name: kept for name, kept in done.sketches.items() if isinstance(kept, Sketch)}


def exact_ps(suspect: Mapping[str, Sketch], candidate: Mapping[str, Sketch]) -> dict[str, float]:
    """The exact p of every probe that gives one for this pair."""
    found = {}
    for probe in probes():
        if probe.id not in suspect or probe.id not in candidate:
            continue
        try:
            outcome = probe.compare(suspect[probe.id], candidate[probe.id])
        except Abstain:
            continue
        if isinstance(outcome, Measurement) and outcome.exact is not None:
            found[probe.id] = outcome.exact.p
    return found


def independent(folder: Path, architecture: str, width: int, pairs: int) -> dict[str, list[float]]:
    """Exact p-values by probe over disjoint pairs, so that they are independent draws."""
    found: dict[str, list[float]] = {}
    for k in range(pairs):
        both = [
            sketched(
                tiny_checkpoint(
                    folder / f"{k}{side}", architecture=architecture, seed=2 * k + side, width=width, layers=2
                )
            )
            for side in (0, 1)
        ]
        for probe, p in exact_ps(*both).items():
            found.setdefault(probe, []).append(p)
    return found


def assert_conservative(found: Mapping[str, list[float]]) -> None:
    """At no level more p-values at or below it than a uniform law allows."""
    assert found, "no probe gave an exact p"
    for probe, ps in found.items():
        for level in LEVELS:
            low = sum(p <= level for p in ps)
            assert binom.sf(low - 1, len(ps), level) > UNLIKELY, (probe, level, low, len(ps), sorted(ps)[:5])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_independent_models_have_no_small_p(tmp_path: Path, architecture: str) -> None:
    """Two seeds of one recipe, which share outlier structure, have exact p-values no smaller than uniform ones."""
    assert_conservative(independent(tmp_path, architecture, 64, PAIRS))


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 128, 256])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_independent_models_have_no_small_p_over_many_seeds(
    tmp_path: Path, architecture: str, width: int
) -> None:
    """The same over many seeds and widths."""
    assert_conservative(independent(tmp_path, architecture, width, 60))


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_a_descendant_has_small_p(tmp_path: Path, architecture: str) -> None:
    """With RMSNorm and with LayerNorm, the same harness finds a descendant beyond doubt, so it can fail."""
    base = tiny_checkpoint(tmp_path / "base", architecture=architecture, width=64, seed=3)
    child = descend(base, tmp_path / "child", noise=0.05, seed=4)
    assert min(exact_ps(sketched(child), sketched(base)).values()) <= 1e-9
