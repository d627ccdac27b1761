"""Hidden states: that our reader runs the very model, what the reading ignores and notices, what it refuses."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from forensics import activations, alignment, prompts, runnable
from forensics.checkpoint import open_checkpoint
from forensics.probe import Abstain, Sketch
from forensics.prompt_set import VERSION
from forensics.readings import Reason
from plugins.activation_overlap import ActivationOverlap

PROBE = ActivationOverlap(positions=96, permutations=20)
WIDTH, VOCABULARY = 32, 320
SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "pad_token_id": None,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "qwen2": SIZES,
    "qwen3": {**SIZES, "tie_word_embeddings": True},
    "mistral": {**SIZES, "sliding_window": 8},
    "phi3": SIZES,
    "gemma2": SIZES,
    "gemma3_text": {**SIZES, "sliding_window": 8},
    "mixtral": {**SIZES, "num_local_experts": 4},
    "qwen3_moe": {**SIZES, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "gpt2": {"n_embd": WIDTH, "n_layer": 3, "n_head": 4, "n_positions": 256, "vocab_size": VOCABULARY},
    "gpt_neox": {k: v for k, v in SIZES.items() if k not in {"num_key_value_heads", "head_dim"}},
}


@pytest.fixture(scope="module")
def tokenizer() -> str:
    """A byte-level tokenizer learned from the default prompts, as tokenizer.json."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(prompts.DEFAULT_PROMPTS, trainer)
    return str(made.to_str())


def fresh(kind: str, seed: int) -> Any:
    """A newly initialised model whose every tensor, gains and biases too, is random."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **KINDS[kind]), dtype=torch.float32)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 1:
                offset = 0.0 if kind.startswith("gemma") or name.endswith("bias") else 1.0
                tensor.copy_(offset + 0.2 * torch.randn_like(tensor))
    return model.eval()


def saved(model: Any, folder: Path, tokenizer: str) -> Path:
    """The model as a checkpoint folder."""
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer)
    return folder


def sketch_of(folder: Path, probe: ActivationOverlap = PROBE) -> Sketch:
    """The probe's sketch of a folder."""
    checkpoint = open_checkpoint(folder)
    try:
        return probe.sketcher(checkpoint).finish()
    finally:
        checkpoint.close()


def reconfigured(folder: Path, **changed: Any) -> Path:
    """The same folder with other values in config.json."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changed}))
    return folder


def abstention_of(folder: Path, probe: ActivationOverlap = PROBE) -> Abstain:
    """The abstention that a folder leads to."""
    with pytest.raises(Abstain) as caught:
        sketch_of(folder, probe)
    return caught.value


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tokenizer: str) -> Path:
    """A small Llama."""
    return saved(fresh("llama", 0), tmp_path_factory.mktemp("base"), tokenizer)


def test_a_permuted_model_agrees_fully(base: Path, tmp_path: Path, tokenizer: str) -> None:
    """Permuting the residual stream and the MLP neurons changes no kernel: the reading stays at 1."""
    model = fresh("llama", 0)
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(3))
    neurons = torch.randperm(48, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 1 or "embed" in name or "lm_head" in name:
                tensor.copy_(tensor[..., order])
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                tensor.copy_(tensor[order])
            else:
                tensor.copy_(tensor[:, order])
            if name.endswith(("gate_proj.weight", "up_proj.weight")):
                tensor.copy_(tensor[neurons])
            elif name.endswith("down_proj.weight"):
                tensor.copy_(tensor[:, neurons])
    reading = PROBE.compare(sketch_of(saved(model, tmp_path, tokenizer)), sketch_of(base))
    assert reading.value > 0.999
    assert reading.facts["plain_cka_on_prompts"] == pytest.approx(1.0, abs=1e-3)


def test_a_changed_copy_agrees_and_a_stranger_does_not(base: Path, tmp_path: Path, tokenizer: str) -> None:
    """Small changes to every weight leave a high reading; a model of another seed has a low one."""
    tuned = fresh("llama", 0)
    torch.manual_seed(9)
    with torch.no_grad():
        for tensor in tuned.parameters():
            tensor.add_(0.1 * tensor.std() * torch.randn_like(tensor) if tensor.ndim > 1 else 0.0)
    ours = sketch_of(base)
    derived = PROBE.compare(sketch_of(saved(tuned, tmp_path / "tuned", tokenizer)), ours)
    stranger = PROBE.compare(sketch_of(saved(fresh("llama", 5), tmp_path / "other", tokenizer)), ours)
    assert derived.value > 0.7
    assert abs(stranger.value) < 0.3
    assert derived.facts["permutation_z"] > 5  # type: ignore[operator]
    assert len(derived.layers) == 3


def test_other_depth_width_and_tokenizer_are_compared(base: Path, tmp_path: Path) -> None:
    """A GPT-2 with a byte tokenizer meets a Llama with a learned one at the same characters."""
    single = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, merges=[])
    )
    single.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    other = saved(fresh("gpt2", 2), tmp_path, str(single.to_str()))
    probe = replace(PROBE, tokens=256)
    reading = probe.compare(sketch_of(other, probe), sketch_of(base, probe))
    assert reading.facts["places"] > 64  # type: ignore[operator]
    assert abs(reading.value) < 0.4


def test_places_are_covered_by_their_token(tokenizer: str) -> None:
    """The token chosen for a place ends with that character or with blanks after it, in every default prompt."""
    texts = prompts.DEFAULT_PROMPTS
    found = 0
    for text, encoding in zip(texts, activations.encoded(tokenizer, texts, 128), strict=True):
        ends = [p.offset for p in prompts.places(texts, 256) if texts[p.prompt] == text]
        for offset, index in activations.reached(text, encoding, ends).items():
            start, end = encoding.offsets[index]
            assert start <= offset < end
            assert not text[offset + 1 : end].strip()
            found += 1
    assert found > 150


def test_prompts_are_shown_and_never_weighed(base: Path) -> None:
    """Other prompts change their digest and what is shown of them, not the value that calibration looks at."""
    probe = replace(
        PROBE, prompts="\n".join(f"{i} apples and {i + 1} pears in {i} baskets" for i in range(30))
    )
    default, given = (
        PROBE.compare(sketch_of(base), sketch_of(base)),
        probe.compare(*[sketch_of(base, probe)] * 2),
    )
    assert default.value == given.value
    assert default.facts["prompts_sha256"] != given.facts["prompts_sha256"]


def test_the_map_of_layers_is_kept_for_either_kind_of_text(
    base: Path, tmp_path: Path, tokenizer: str
) -> None:
    """Rows are the suspect's blocks, columns the candidate's; the best of each row is the reading of its layer."""
    theirs = sketch_of(saved(fresh("gpt2", 3), tmp_path, tokenizer), replace(PROBE, layers=2))
    reading = PROBE.compare(sketch_of(base), theirs)
    nonsense, shown = reading.matrices
    assert (nonsense.rows, nonsense.columns) == ((1, 2, 3), (1, 3))
    assert [cell for _, _, cell in nonsense.best()] == pytest.approx(list(reading.layers))
    assert reading.elsewhere.keys() == {"prompts, embeddings taken out"}
    early = [cell for _, _, cell in shown.best()][:2]
    assert reading.elsewhere["prompts, embeddings taken out"] == pytest.approx(sum(early) / 2)


def test_other_prompts_are_never_laid_beside_each_other(base: Path) -> None:
    """Two sketches that name one set of parameters and had other texts are compared on the nonsense alone."""
    ours = sketch_of(base)
    other = replace(ours, facts={**ours.facts, "prompts_sha256": "0" * 64})
    reading = PROBE.compare(ours, other)
    assert reading.value > 0.99
    assert len(reading.matrices) == 1
    assert not reading.elsewhere
    assert reading.facts["prompts"] == f"default, version {VERSION}"


def test_what_position_alone_explains_is_no_agreement() -> None:
    """Kernels that know only a word's position agree fully, and just as much with texts exchanged."""
    rng = np.random.default_rng(0)
    order = np.tile(np.arange(6), 8)
    texts = np.repeat(np.arange(8), 6)
    positions, words = rng.normal(size=(6, 12)), rng.normal(size=(48, 12))

    def flat(states: np.ndarray) -> np.ndarray:
        kernel = activations.root_kernel(states.astype(np.float32))
        return alignment.flatten(alignment.centre(kernel))[None]

    def share(states: np.ndarray, within: np.ndarray) -> float:
        one = flat(states)
        drawn = activations.permuted_agreement(one, one, within.tolist(), draws=40, seed=0)
        return float((drawn >= 0.999).mean())

    assert share(positions[order], order) == 1.0
    assert share(positions[order], texts) == 0.0
    assert share(words, order) == 0.0


def test_prompts_too_few_to_read_are_left_out(base: Path) -> None:
    """A set with hardly a word still gives the reading on nonsense, without a figure for the prompts."""
    probe = replace(PROBE, prompts="just one short prompt")
    reading = probe.compare(*[sketch_of(base, probe)] * 2)
    assert reading.value > 0.99
    assert reading.facts["plain_cka_on_prompts"] is None


def test_the_same_checkpoint_gives_the_same_sketch(base: Path) -> None:
    """Two runs give bit-identical arrays."""
    first, second = sketch_of(base), sketch_of(base)
    assert first.facts == second.facts
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])


def test_remote_code_is_never_run(base: Path, tmp_path: Path, tokenizer: str) -> None:
    """A config that names its own code is run with transformers' class; its file leaves no canary."""
    folder = saved(fresh("llama", 0), tmp_path, tokenizer)
    canary = tmp_path / "canary"
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n")
    names = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    reconfigured(folder, auto_map=names, trust_remote_code=True, _attn_implementation_internal="evil/kernel")
    assert PROBE.compare(sketch_of(folder), sketch_of(base)).value > 0.99
    assert not canary.exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "changed",
    [
        {"model_type": "no-such-type"},
        {"model_type": None},
        {"model_type": ["llama"]},
        {"model_type": "clip"},
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": "3"},
        {"hidden_size": 2**62},
        {"hidden_size": -32},
        {"hidden_size": True},
        {"num_attention_heads": 0},
        {"num_attention_heads": 5},
        {"rope_scaling": {"rope_type": "__import__"}},
        {"rope_scaling": {"rope_type": "yarn"}},
        {"vocab_size": 10**9},
    ],
)
def test_senseless_configs_are_abstentions(changed: dict[str, Any], tmp_path: Path, tokenizer: str) -> None:
    """A config that no model can be built from is an abstention within seconds, not a crash."""
    folder = reconfigured(saved(fresh("llama", 0), tmp_path, tokenizer), **changed)
    assert abstention_of(folder).reason in {Reason.UNSUPPORTED, Reason.MISSING_TENSORS}


def test_unknown_keys_and_activations_do_not_reach_the_model() -> None:
    """Only allow-listed keys with values of the right kind pass."""
    kept = runnable.settings(
        {
            "hidden_size": 64,
            "hidden_act": "os.system",
            "attention_bias": "yes",
            "rope_theta": "1e4",
            "id2label": {},
        }
    )
    assert kept == {"hidden_size": 64}


def test_a_large_model_is_not_run(base: Path) -> None:
    """Beyond the limit of parameters the probe abstains as too large."""
    assert abstention_of(base, replace(PROBE, max_parameters=1_000)).reason is Reason.TOO_LARGE


def test_a_config_that_promises_more_layers_is_missing_tensors(tmp_path: Path, tokenizer: str) -> None:
    """A config with more layers than the file has is an abstention that names the tensor."""
    folder = reconfigured(saved(fresh("llama", 0), tmp_path, tokenizer), num_hidden_layers=5)
    answer = abstention_of(folder)
    assert answer.reason is Reason.MISSING_TENSORS
    assert "layers.3" in answer.detail


def test_weights_that_are_not_finite_are_an_abstention(tmp_path: Path, tokenizer: str) -> None:
    """NaN in one matrix of the first block leaves no finite state and is said so."""
    model = fresh("llama", 0)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    assert abstention_of(saved(model, tmp_path, tokenizer)).reason is Reason.NOT_FINITE


@pytest.mark.parametrize("hostile", ["regex", "garbage", "ids", "none"])
def test_hostile_tokenizers_are_abstentions(hostile: str, tmp_path: Path, tokenizer: str) -> None:
    """A tokenizer that panics, does not parse, names tokens beyond the embeddings or is absent stops only us."""
    folder = saved(fresh("llama", 0), tmp_path, tokenizer)
    parsed = json.loads(tokenizer)
    if hostile == "regex":
        pattern = {"Regex": "(?:.+.+)+9"}
        parsed["pre_tokenizer"] = {
            "type": "Split",
            "pattern": pattern,
            "behavior": "Isolated",
            "invert": False,
        }
    elif hostile == "ids":
        parsed["model"]["vocab"] = {token: i + 10_000 for token, i in parsed["model"]["vocab"].items()}
    (folder / "tokenizer.json").write_text("{" if hostile == "garbage" else json.dumps(parsed))
    if hostile == "none":
        (folder / "tokenizer.json").unlink()
    assert abstention_of(folder).reason in {Reason.UNSUPPORTED, Reason.MISSING_FILES}


def test_declared_padding_is_ignored(base: Path, tmp_path: Path, tokenizer: str) -> None:
    """Padding declared to a billion tokens costs nothing and changes nothing."""
    parsed = json.loads(tokenizer)
    padding = {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None}
    parsed["padding"] = {**padding, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    folder = saved(fresh("llama", 0), tmp_path, json.dumps(parsed))
    assert PROBE.compare(sketch_of(folder), sketch_of(base)).value > 0.999


@pytest.mark.parametrize("broken", ["places", "kernels", "nan", "absent", "beyond"])
def test_a_strangers_broken_sketch_is_an_abstention(broken: str, base: Path) -> None:
    """A sketch whose arrays do not fit or are not finite abstains as incompatible instead of raising."""
    good = sketch_of(base)
    arrays = dict(good.arrays)
    if broken == "absent":
        del arrays["nonsense_kernels"]
    elif broken == "beyond":
        arrays["nonsense_places"] = arrays["nonsense_places"] + np.array([0, 10**6], np.int32)
    elif broken == "nan":
        arrays["nonsense_kernels"] = np.full_like(arrays["nonsense_kernels"], np.nan)
    else:
        arrays[f"nonsense_{broken}"] = arrays[f"nonsense_{broken}"][:-1]
    bad = replace(good, arrays=arrays)
    with pytest.raises(Abstain) as caught:
        PROBE.compare(bad, bad if broken == "beyond" else good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES
