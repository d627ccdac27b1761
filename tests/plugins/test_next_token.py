"""next-token: exact distributions, agreement beyond chance, other tokenizers, several candidates, hostile sketches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from forensics import activations, prompts
from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.tokenizer import token_hash
from forensics.probe import Abstain, Sketch
from forensics.readings import Reason
from forensics.testing import check_probe
from plugins.next_token import TOP, NextToken
from tests.plugins.test_activation_overlap import fresh, saved, tokenizer  # noqa: F401 - a fixture

PROBE = NextToken(positions=96, device="cpu")


def sketch_of(folder: Path, probe: NextToken = PROBE) -> Sketch:
    """The probe's sketch of a folder."""
    checkpoint = open_checkpoint(folder)
    try:
        return probe.sketcher(checkpoint).finish()
    finally:
        checkpoint.close()


def noised(seed: int, noise: float) -> Any:
    """The model of seed 0 with that much of every matrix's spread added as noise."""
    model = fresh("llama", 0)
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(noise * tensor.std() * torch.randn_like(tensor) if tensor.ndim > 1 else 0.0)
    return model


@pytest.fixture(scope="module")
def sketches(tmp_path_factory: pytest.TempPathFactory, tokenizer: str) -> dict[str, Sketch]:  # noqa: F811
    """Of a small Llama, a slightly and a more changed copy, and a stranger."""
    made = {
        "base": fresh("llama", 0),
        "near": noised(1, 0.02),
        "far": noised(2, 0.1),
        "other": fresh("llama", 5),
    }
    return {
        name: sketch_of(saved(model, tmp_path_factory.mktemp(name), tokenizer))
        for name, model in made.items()
    }


def test_what_is_kept_is_what_the_model_predicts(
    sketches: dict[str, Sketch],
    tokenizer: str,  # noqa: F811
) -> None:
    """Hashes and log-probabilities are those of the whole model's softmax at the token over each place."""
    model, kept = fresh("llama", 0), sketches["base"].arrays
    texts, ready = prompts.DEFAULT_PROMPTS, Tokenizer.from_str(tokenizer)
    spelt = {i: token_hash(text) for text, i in _bytes_of(tokenizer).items()}
    rows = list(range(0, len(kept["places"]), 9))
    for row in rows:
        text, offset = (int(v) for v in kept["places"][row])
        encoding = ready.encode(texts[text])
        at = activations.reached(texts[text], encoding, [offset])[offset]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([encoding.ids[: at + 1]])).logits[0, -1].double()
        truth = torch.log_softmax(logits, 0).sort(descending=True)
        np.testing.assert_allclose(kept["log_probs"][row], truth.values[:TOP].numpy(), atol=2e-4)
        assert kept["hashes"][row, 0] == spelt[int(truth.indices[0])]
    assert len(rows) > 8


def _bytes_of(tokenizer: str) -> dict[bytes, int]:  # noqa: F811
    from forensics.checkpoint.tokenizer import tokenizer_facts

    return dict(tokenizer_facts(tokenizer.encode(), None, None).tokens)


def test_copies_agree_fully_and_strangers_do_not(sketches: dict[str, Sketch]) -> None:
    """1 and no divergence with itself, less with more noise, about nothing for an unrelated model."""
    same, near, far, other = (PROBE.compare(sketches[name], sketches["base"]) for name in sketches)
    assert same.value == 1.0
    assert same.facts["js_divergence_bits_at_least"] == pytest.approx(0.0, abs=1e-9)
    assert 1.0 > near.value > 0.7 > far.value > other.value
    assert abs(other.value) < 0.2
    divergences = [one.facts["js_divergence_bits_at_least"] for one in (same, near, far, other)]
    assert divergences[:3] == sorted(divergences[:3])  # type: ignore[type-var]
    assert divergences[3] > divergences[1]  # type: ignore[operator]  # noise outdoes an untrained model's even guesses
    assert other.facts["one_vocabulary"] is True
    assert same.exact is None


def test_another_tokenizer_is_compared_by_how_tokens_begin(
    sketches: dict[str, Sketch], tmp_path: Path
) -> None:
    """A GPT-2 of single bytes against a Llama of learned tokens: prefixes count, divergence is not told."""
    single = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    single.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    probe = replace(PROBE, tokens=256)
    other = sketch_of(saved(fresh("gpt2", 2), tmp_path / "gpt2", str(single.to_str())), probe)
    reading = probe.compare(other, sketches["base"])
    assert reading.facts["one_vocabulary"] is False
    assert reading.facts["js_divergence_bits_at_least"] is None
    assert "begins with the other" in reading.summary
    assert abs(reading.value) < 0.3


def test_the_nearest_candidate_is_told_and_tested(sketches: dict[str, Sketch]) -> None:
    """The parent among strangers is the nearest, beyond doubt; of two copies neither is."""
    others = {"stranger": sketches["other"], "parent": sketches["base"]}
    told = PROBE.compare_all(sketches["near"], others)
    assert told.facts["nearest"] == "parent"
    assert told.value > 0.3
    assert told.facts["largest_p_holm"] < 1e-3  # type: ignore[operator]
    assert "parent" in told.summary
    twins = PROBE.compare_all(sketches["near"], {"a": sketches["base"], "b": sketches["base"]})
    assert (twins.value, twins.facts["largest_p_holm"]) == (0.0, 1.0)


def test_a_model_that_says_one_thing_is_not_informative(sketches: dict[str, Sketch]) -> None:
    """Where both always predict one token, agreement is chance, and nothing is read from it."""
    base = sketches["base"]
    arrays = {
        **base.arrays,
        "hashes": np.repeat(base.arrays["hashes"][:1], len(base.arrays["hashes"]), axis=0),
    }
    constant = replace(base, arrays=arrays)
    with pytest.raises(Abstain) as caught:
        PROBE.compare(constant, constant)
    assert caught.value.reason is Reason.NOT_INFORMATIVE


def test_the_same_checkpoint_gives_the_same_small_sketch(
    sketches: dict[str, Sketch],
    tmp_path: Path,
    tokenizer: str,  # noqa: F811
) -> None:
    """Two runs are equal in every bit and take well under 8 MB."""
    again = sketch_of(saved(fresh("llama", 0), tmp_path, tokenizer))
    assert again.facts == sketches["base"].facts
    assert again.facts["device"] == "cpu"
    for name, array in sketches["base"].arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    assert sum(array.nbytes for array in again.arrays.values()) < 1 << 20


def test_weights_that_are_not_finite_are_an_abstention(tmp_path: Path, tokenizer: str) -> None:  # noqa: F811
    """NaN in the head leaves no prediction and is said so."""
    model = fresh("llama", 0)
    with torch.no_grad():
        model.lm_head.weight[7].fill_(float("nan"))
    with pytest.raises(Abstain) as caught:
        sketch_of(saved(model, tmp_path, tokenizer))
    assert caught.value.reason is Reason.NOT_FINITE


def test_no_head_no_tokenizer_no_reading(tmp_path: Path, tokenizer: str) -> None:  # noqa: F811
    """A checkpoint without its head or its tokenizer abstains and names what is missing."""
    model = fresh("llama", 0)
    saved(model.model, tmp_path / "headless", tokenizer)
    with pytest.raises(Abstain) as caught:
        sketch_of(tmp_path / "headless")
    assert caught.value.reason is Reason.MISSING_TENSORS
    assert "lm_head" in caught.value.detail
    (saved(model, tmp_path / "mute", tokenizer) / "tokenizer.json").unlink()
    with pytest.raises(Abstain) as caught:
        sketch_of(tmp_path / "mute")
    assert caught.value.reason is Reason.MISSING_FILES


@pytest.mark.parametrize("broken", ["places", "likeliest", "hashes", "nan", "sum", "absent"])
def test_a_strangers_broken_sketch_is_an_abstention(broken: str, sketches: dict[str, Sketch]) -> None:
    """A sketch whose arrays do not fit or are no probabilities abstains as incompatible instead of raising."""
    good = sketches["base"]
    arrays = dict(good.arrays)
    if broken == "absent":
        del arrays["vocabulary"]
    elif broken == "nan":
        arrays["log_probs"] = np.full_like(arrays["log_probs"], np.nan)
    elif broken == "sum":
        arrays["log_probs"] = np.zeros_like(arrays["log_probs"])
    else:
        arrays[broken] = arrays[broken][:-1]
    with pytest.raises(Abstain) as caught:
        PROBE.compare(replace(good, arrays=arrays), good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_the_contract_is_kept() -> None:
    """What is asked of every probe, hostile checkpoints included."""
    check_probe(NextToken(positions=48, device="cpu"))
