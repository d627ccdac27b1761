"""Models trained to real loss: exact p-values of twins are conservative, and fall as more training is shared.

Two layers, width 64, one recipe: with RMSNorm (Qwen2) and with LayerNorm (GPT-NeoX).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from transformers import GPTNeoXConfig, Qwen2Config

from benchmarks.zoo import training
from benchmarks.zoo.build import write_checkpoint
from benchmarks.zoo.corpus import tokens, unigram_entropy
from tests.nulls.test_independent import assert_conservative, exact_ps, probes, sketched

pytestmark = pytest.mark.slow
TOKENIZER, STEPS, TWINS = "bpe-1024", 80, 4
SHARES = (0.0, 0.25, 0.5, 0.9)
SIZES: dict[str, Any] = {
    "vocab_size": 1024, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 160, "max_position_embeddings": 128,
}  # fmt: skip
CONFIGS = {"RMSNorm": Qwen2Config(**SIZES, num_key_value_heads=2), "LayerNorm": GPTNeoXConfig(**SIZES)}
LEARNED = ("attention-channels", "norm-gains")
"""Probes that remember no initialisation, or little of it, so that only shared training makes their p small."""


@pytest.fixture(scope="module", autouse=True)
def _small_batches() -> Iterator[None]:
    """A quarter of the zoo's batch."""
    training.prepare_process()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "SEQUENCES", 16)
        patch.setattr(training, "LENGTH", 32)
        yield


def trained(model: Any, text: str, steps: int, seed: int) -> Any:
    """A copy of the model, trained on a slice of real text."""
    model = deepcopy(model)
    if steps:
        schedule = training.Schedule(steps=steps, learning_rate=5e-3, seed=seed)
        training.train(model, tokens(TOKENIZER, text)[0], schedule)
    return model


def kept(model: Any, folder: Path) -> Any:
    """The sketches of a model."""
    write_checkpoint(model, folder, TOKENIZER, "float32")
    return sketched(folder)


@pytest.mark.parametrize("norm", CONFIGS)
def test_twins_trained_apart_have_no_small_p(tmp_path: Path, norm: str) -> None:
    """Seeds of one recipe on one text: disjoint pairs are conservative, and no pair is below one in a million."""
    twins = []
    for seed in range(TWINS):
        model = trained(training.fresh(CONFIGS[norm], seed), "prose-a", STEPS, seed)
        loss = training.held_out_loss(model, tokens(TOKENIZER, "prose-a")[1])
        assert loss < unigram_entropy(TOKENIZER, "prose-a"), "trained too little to be a test"
        twins.append(kept(model, tmp_path / str(seed)))
    found: dict[str, list[float]] = {}
    for i, j in combinations(range(TWINS), 2):
        for probe, p in exact_ps(twins[i], twins[j]).items():
            assert p > 1e-6, (probe, i, j, p)
            if j == i + 1 and i % 2 == 0:
                found.setdefault(probe, []).append(p)
    assert_conservative(found)


@pytest.mark.parametrize("norm", CONFIGS)
def test_p_falls_as_more_training_is_shared(tmp_path: Path, norm: str) -> None:
    """Two continuations, one on other text, of a training forked at 0, 25, 50 and 90 %.

    At 0 % they share the initialisation alone: what is learned does not agree. The later the fork, the smaller p.
    """
    found: dict[str, list[float]] = {}
    start = training.fresh(CONFIGS[norm], 100)
    for share in SHARES:
        done = round(share * STEPS)
        trunk = trained(start, "prose-a", done, 101)
        sides = [
            kept(trained(trunk, text, STEPS - done, seed), tmp_path / f"{share}-{text}")
            for text, seed in (("prose-a", 102), ("code-a", 103))
        ]
        for probe, p in exact_ps(*sides).items():
            found.setdefault(probe, []).append(p)
    for probe in LEARNED:
        assert found[probe][0] > 1e-3, (probe, found[probe])
        assert found[probe] == sorted(found[probe], reverse=True), (probe, found[probe])
    assert {probe for probe, ps in found.items() if ps[-1] <= 1e-6} == {probe.id for probe in probes()}, found
