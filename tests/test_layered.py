"""The layer-streamed pass: equal to the whole model of every type that is run, and never more of it held than said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import real_shapes
from benchmarks.real_shapes import SHAPES
from forensics import predicted
from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.hollow import Bounds
from forensics.layered import BATCH_TOKENS, FINAL, Layered, _batches
from forensics.predicted import predictions
from forensics.probe import Abstain
from forensics.readings import Reason
from tests.checkpoint.quantised.test_models import drawn
from tests.checkpoint.quantised.test_models import saved as saved_tensors
from tests.plugins.test_activation_overlap import KINDS, SIZES, fresh
from tests.quantisers import f32, gptq, named

BOUNDS = Bounds(parameters=10**7, block_bytes=10**8, device="cpu")
MIXTURE = {
    **SIZES,
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "norm_topk_prob": True,
}
ALL: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, config) for kind, config in KINDS.items()},
    "gemma": ("gemma", SIZES),
    "granite": (
        "granite",
        {**SIZES, "logits_scaling": 3.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0},
    ),
    "smollm3": ("smollm3", {**SIZES, "num_hidden_layers": 5}),
    "ministral": ("ministral", {**SIZES, "sliding_window": 8}),
    "qwen2-window": (
        "qwen2",
        {**SIZES, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    ),
    "neox-serial": ("gpt_neox", {**KINDS["gpt_neox"], "use_parallel_residual": False, "rotary_pct": 0.5}),
    "llama-yarn": (
        "llama",
        {**SIZES, "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "olmoe": ("olmoe", {**SIZES, "num_experts": 6, "num_experts_per_tok": 2}),
    "qwen2_moe": ("qwen2_moe", {**MIXTURE, "shared_expert_intermediate_size": 24, "mlp_only_layers": [1]}),
}
TEXTS = [list(range(3, 60)), [5, 5, 7], list(range(90, 130)), [200, 9, 41, 300, 8, 77]]


def true_model(name: str, seed: int) -> Any:
    """A newly initialised model of that name whose every tensor is random."""
    kind, config = ALL[name]
    kept = KINDS.get(kind)
    KINDS[kind] = config
    try:
        return fresh(kind, seed)
    finally:
        if kept is None:
            del KINDS[kind]
        else:
            KINDS[kind] = kept


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Opens a saved model; closed afterwards."""
    found: list[Checkpoint] = []

    def one(model: Any) -> Checkpoint:
        model.save_pretrained(tmp_path / str(len(found)))
        found.append(open_checkpoint(tmp_path / str(len(found))))
        return found[-1]

    yield one
    for checkpoint in found:
        checkpoint.close()


def truth(model: Any, ids: list[int]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Hidden states in front of and behind every block (the last behind the final norm), and logits."""
    with torch.inference_mode():
        said = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return [state[0] for state in said.hidden_states], said.logits[0]


@pytest.mark.parametrize("name", ALL)
def test_states_and_predictions_are_the_models_own(
    name: str, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read block by block for several texts at once, every state and every log-probability is that of the whole."""
    monkeypatch.setattr(predicted, "BLOCK_BYTES", 50 * 32 * 4)  # fifty rows of the head at a time
    model = true_model(name, 1)
    layered = Layered.of(opened(model), BOUNDS)
    depth = layered.depth
    seen = layered.states(TEXTS, [range(len(ids)) for ids in TEXTS], [*range(depth + 1), FINAL])
    start = 0
    for ids in TEXTS:
        states, logits = truth(model, ids)
        here = slice(start, start := start + len(ids))
        for layer in range(depth):
            np.testing.assert_allclose(seen[layer][here], states[layer].numpy(), atol=2e-4)
        np.testing.assert_allclose(seen[depth + 1][here], states[depth].numpy(), atol=2e-4)
        assert not np.allclose(seen[depth][here], seen[depth + 1][here], atol=1e-2)
        found = predictions(layered, seen[depth + 1][here], 320)
        expected = torch.log_softmax(logits.double(), dim=1).gather(1, torch.tensor(found.tokens).long())
        np.testing.assert_allclose(found.log_probs, expected.numpy(), atol=2e-4)
        assert (np.diff(found.log_probs, axis=1) <= 0).all()
        assert (np.sort(found.tokens, axis=1) == np.arange(320)).all()


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe", "olmoe", "qwen2_moe"])
def test_only_experts_that_are_routed_to_are_read(
    name: str, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every stack just the experts that the whole model's router chose for these tokens, each once."""
    model = true_model(name, 2)
    chosen: Counter[tuple[int, int]] = Counter()
    for number, block in enumerate(model.model.layers):
        for module in block.modules():
            if hasattr(module, "is_concatenated"):
                module.register_forward_pre_hook(
                    lambda _m, args, number=number: chosen.update(
                        {(number, int(e)) for e in args[1].unique()}
                    )
                )
    truth(model, [11, 12])
    read: Counter[tuple[int, int]] = Counter()
    filled: list[str] = []
    fill, fill_expert = Checkpoint.fill, Checkpoint.fill_expert

    def one(self: Checkpoint, path: str, shape: tuple[int, int, int], expert: int) -> Any:
        read[int(path.split("layers.")[1].split(".", maxsplit=1)[0]), expert] += 1
        return fill_expert(self, path, shape, expert)

    def whole(self: Checkpoint, path: str, shape: tuple[int, ...]) -> Any:
        filled.append(path)
        return fill(self, path, shape)

    monkeypatch.setattr(Checkpoint, "fill_expert", one)
    monkeypatch.setattr(Checkpoint, "fill", whole)
    layered = Layered.of(opened(model), BOUNDS)
    layered.states([[11, 12]], [[1]], [layered.depth])
    assert read == Counter(dict.fromkeys(chosen, 2))  # in and out
    assert len(read) < model.config.num_hidden_layers * layered.experts[0].shape[0]
    assert not [path for path in filled if ".experts." in path]


def test_quantised_weights_run_as_what_they_stand_for(tmp_path: Path) -> None:
    """A GPTQ checkpoint gives bit for bit the states of a plain one that holds its dequantised values."""
    kept, matrices = drawn()
    packed, plain = dict(kept), dict(kept)
    for prefix, matrix in matrices.items():
        parts, values = gptq(matrix)
        packed |= named(prefix, parts)
        plain[f"{prefix}.weight"] = f32(values)
    said = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    seen = []
    for folder, tensors, settings in (("packed", packed, said), ("plain", plain, None)):
        checkpoint = saved_tensors(tmp_path / folder, tensors, settings)
        seen.append(Layered.of(checkpoint, BOUNDS).states([[3, 9, 27, 5]], [range(4)], [0, 1, 2, FINAL]))
        checkpoint.close()
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_same_texts_give_the_same_bits(opened: Any) -> None:
    """Two passes over one file agree in every bit, and leave nothing of a block behind."""
    layered = Layered.of(opened(true_model("llama", 3)), BOUNDS)
    first, second = (layered.states(TEXTS, [[1]] * len(TEXTS), [3, FINAL]) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(parameter.is_meta for block in layered.blocks for parameter in block.parameters())
    assert layered.model.get_input_embeddings().weight.is_meta


def test_a_forward_that_does_more_between_blocks_is_refused(opened: Any) -> None:
    """Where what a block gets is not what the one before gave, running blocks on their own would be wrong."""
    layered = Layered.of(opened(true_model("llama", 4)), BOUNDS)

    class Meddling(torch.nn.ModuleList):
        def __iter__(self) -> Iterator[Any]:
            for block in super().__iter__():
                yield lambda hidden, block=block, **kwargs: 1.5 * block(hidden, **kwargs)

        def __getitem__(self, index: Any) -> Any:
            return self if isinstance(index, slice) else super().__getitem__(index)

    layered.decoder.layers = Meddling(layered.decoder.layers)
    with pytest.raises(Abstain, match="Unstreamable") as caught:
        layered.states([[1, 2, 3]], [[2]], [3])
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        (replace(BOUNDS, parameters=1_000), "passes through"),
        (replace(BOUNDS, block_bytes=1_000), "a block takes"),
        (replace(BOUNDS, device="abacus"), "no device"),
    ],
)
def test_what_is_beyond_the_bounds_is_not_run(bounds: Bounds, told: str, opened: Any) -> None:
    """Too many parameters, too large a block, or a device that there is not: an abstention that says so."""
    checkpoint = opened(true_model("llama", 5))
    with pytest.raises(Abstain, match=told):
        Layered.of(checkpoint, bounds)


def test_only_experts_of_a_token_count_as_run(opened: Any) -> None:
    """A mixture is bounded by what a token passes through: two of its six experts."""
    checkpoint = opened(true_model("qwen2_moe", 6))
    model = true_model("qwen2_moe", 6)
    whole = sum(p.numel() for p in model.parameters())
    idle = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n) * 4 // 6
    with pytest.raises(Abstain, match=f"{whole - idle:,}"):
        Layered.of(checkpoint, replace(BOUNDS, parameters=whole - idle - 1))
    assert Layered.of(checkpoint, replace(BOUNDS, parameters=whole - idle)).depth == 3


def test_batches_hold_every_text_once_within_bounds() -> None:
    """Texts of alike lengths go together and fill no more than a batch; a longer text goes alone."""
    random = np.random.default_rng(0)
    ids = [[0] * int(n) for n in [*random.integers(1, 130, 60), BATCH_TOKENS + 5]]
    found = _batches(ids, BATCH_TOKENS)
    assert sorted(text for batch in found for text in batch) == list(range(61))
    assert all(
        len(batch) * max(len(ids[text]) for text in batch) <= BATCH_TOKENS or len(batch) == 1
        for batch in found
    )
    assert len(found) < 20
    assert _batches(ids[:3], 0) == [[text] for text in sorted(range(3), key=lambda text: len(ids[text]))]


STREAM = """
import json, sys
from pathlib import Path
from forensics.checkpoint import open_checkpoint
from forensics.hollow import Bounds
from forensics.layered import FINAL, Layered
from forensics.predicted import predictions

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

bounds = Bounds(parameters=10**9, block_bytes=10**8, device="cpu")
small = Layered.of(open_checkpoint(sys.argv[1]), bounds)  # loads the libraries
predictions(small, small.states([[1, 2]], [[1]], [FINAL])[0], 8)
before = peak()
model = Layered.of(open_checkpoint(sys.argv[2]), bounds)
(states,) = model.states([[1, 2, 3, 29_999], [7] * 6], [[3], [5]], [FINAL])
found = predictions(model, states, 8)
print(json.dumps({"before": before, "peak": peak(), "shape": found.tokens.shape}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_a_block_and_not_of_the_model(tmp_path: Path) -> None:
    """A model of 522 MB in float32, with an embedding and a head of 92 MB each, runs in a quarter of that."""
    shape = replace(
        SHAPES["0.5b"], width=768, heads=12, neurons=3072, layers=10, vocabulary=30_000, tied=False
    )
    tiny = replace(shape, width=64, heads=1, kv_heads=1, neurons=64, layers=1, vocabulary=100)
    real_shapes.write(tmp_path / "model", shape)
    real_shapes.write(tmp_path / "tiny", tiny)
    command = [sys.executable, "-c", STREAM, str(tmp_path / "tiny"), str(tmp_path / "model")]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | one)
    told = json.loads(done.stdout)
    size = 2 * (tmp_path / "model" / "model-00001.safetensors").stat().st_size
    assert size > 5e8
    assert told["shape"] == [2, 8]
    assert told["peak"] - told["before"] < size / 4
