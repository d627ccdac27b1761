"""What the zoo does to a model, tried on small untrained ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.zoo import build, corpus, gauges, laundering, operations, training
from benchmarks.zoo import descendants as made
from benchmarks.zoo.operations import OPERATIONS, Job
from benchmarks.zoo.recipes import RECIPES, config_of
from forensics.checkpoint import open_checkpoint


def untrained(recipe: str) -> Any:
    """A model of a recipe whose every tensor, biases and gains too, is random."""
    config = dict(RECIPES[recipe].config)
    config["n_layer" if "n_layer" in config else "num_hidden_layers"] = 2
    small = replace(RECIPES[recipe], config=config, tokenizer="bpe-1024")  # one tokenizer to train
    model = training.fresh(config_of(small), 1)
    draws = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))
    return model


def few_tokens(identifier: str, _: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random text in place of a slice, for what needs any text at all."""
    draws = torch.Generator().manual_seed(4)
    ids = torch.randint(0, corpus.TOKENIZERS[identifier][0], (400,), generator=draws)
    return ids[:300], ids[300:]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_learns_and_is_read_whole(recipe: str, tmp_path: Path) -> None:
    """One step of training moves every matrix; the reader recognises every parameter of what is saved."""
    model = untrained(recipe)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    training.train(
        model, few_tokens("bpe-1024", "")[0], training.Schedule(steps=1, learning_rate=1e-3, seed=0)
    )
    after = dict(model.named_parameters())
    assert all(not torch.equal(before[name], after[name]) for name in after if after[name].ndim > 1)
    model.save_pretrained(tmp_path)
    checkpoint = open_checkpoint(str(tmp_path), label=recipe)
    try:
        recognised = sum(spec.rows * spec.columns for spec in checkpoint.specs)
    finally:
        checkpoint.close()
    assert recognised == sum(parameter.numel() for parameter in after.values())


@pytest.mark.parametrize("recipe", RECIPES)
def test_permutation_preserves_the_function(recipe: str) -> None:
    """Reordering neurons, heads, experts and residual channels changes the weights and not the logits."""
    model = untrained(recipe)
    twin = gauges.permute(model, 3)
    assert gauges.assert_same_function(model, twin) < gauges.TOLERANCE
    ours, theirs = model.state_dict(), twin.state_dict()
    assert all(not torch.equal(ours[n], theirs[n]) for n in ours if ours[n].ndim == 2 and "_norm" not in n)


@pytest.mark.parametrize("recipe", ["llama-96", "llama-128", "mistral-64"])
def test_renaming_preserves_the_function(recipe: str) -> None:
    """A phi3 made from a Llama or a Mistral computes the same logits."""
    model = untrained(recipe)
    assert gauges.assert_same_function(model, gauges.as_phi3(model)) < gauges.TOLERANCE


def test_a_changed_function_is_noticed() -> None:
    """The comparison of logits fails where a permutation forgot a tensor."""
    model = untrained("llama-96")
    broken = gauges.permute(untrained("llama-96"), 3)
    broken.model.layers[0].mlp.down_proj.weight.data = model.model.layers[0].mlp.down_proj.weight.data
    with pytest.raises(AssertionError, match="the function changed"):
        gauges.assert_same_function(model, broken)


def test_upcycled_experts_begin_as_the_mlp() -> None:
    """Every expert of an upcycled model is its parent's MLP up to the noise."""
    model = untrained("qwen2-96")
    mixture = made.upcycle(model, 5).state_dict()
    down = model.state_dict()["model.layers.1.mlp.down_proj.weight"]
    for expert in mixture["model.layers.1.mlp.experts.down_proj"]:
        assert torch.corrcoef(torch.stack([expert.flatten(), down.flatten()]))[0, 1] > 0.99


def laundered(step: str, tokenizer: str = "bpe-1024") -> tuple[Any, Any, Job]:
    """A small Llama, the same after a treatment's step, and the job that did it."""
    model = untrained("llama-64")
    job = Job(zoo=Path(), tokenizer=tokenizer, seed=3, slices=["code-b"])
    operation, *arguments = step.split()
    return model, OPERATIONS[operation](untrained("llama-64"), job, *arguments), job


@pytest.mark.parametrize("step", ["flip", "rotate", "rescale"])
def test_a_gauge_of_a_treatment_changes_the_weights_alone(step: str) -> None:
    """The logits stay, and the matrices of attention do not."""
    model, twin, _ = laundered(step)
    assert gauges.assert_same_function(model, twin) < gauges.TOLERANCE
    ours, theirs = model.state_dict(), twin.state_dict()
    changed = "v_proj" if step != "flip" else "o_proj"
    assert all(not torch.equal(ours[name], theirs[name]) for name in ours if changed in name)


def test_repeated_layers_are_their_originals() -> None:
    """A model of two layers has them twice, in order, and nothing else is new."""
    model, deeper, _ = laundered("repeat")
    old, new = model.state_dict(), deeper.state_dict()
    assert deeper.config.num_hidden_layers == 4
    for layer in range(4):
        for part in ("self_attn.q_proj", "mlp.down_proj"):
            source = old[f"model.layers.{layer % 2}.{part}.weight"]
            assert torch.equal(new[f"model.layers.{layer}.{part}.weight"], source)


def test_a_narrowed_mlp_keeps_its_largest_neurons() -> None:
    """Half of the neurons stay, in their order, and their output columns are no smaller than any that went."""
    model, narrow, _ = laundered("narrow")
    old = model.state_dict()["model.layers.1.mlp.down_proj.weight"]
    new = narrow.state_dict()["model.layers.1.mlp.down_proj.weight"]
    kept = [int((old == column[:, None]).all(0).nonzero()) for column in new.T]
    gone = [index for index in range(old.shape[1]) if index not in kept]
    assert len(kept) == old.shape[1] // 2
    assert kept == sorted(kept)
    assert old[:, kept].norm(dim=0).min() >= old[:, gone].norm(dim=0).max()


def test_noise_is_as_large_as_the_treatment_says() -> None:
    """Attention and MLP matrices move by the asked share of their spread, embeddings not at all."""
    model, noisy, _ = laundered("noise 0.2")
    old, new = model.state_dict(), noisy.state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert float((new[name] - old[name]).std() / old[name].std()) == pytest.approx(0.2, rel=0.05)
    assert torch.equal(new["model.embed_tokens.weight"], old["model.embed_tokens.weight"])


def test_a_new_vocabulary_replaces_embeddings_and_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings are new and the job says of which tokenizer; the stack stays as it was."""
    monkeypatch.setattr(laundering, "tokens", few_tokens)
    monkeypatch.setattr(laundering, "EMBEDDING_STEPS", 1)
    model, other, job = laundered("vocabulary prose-b", tokenizer="bpe-2048")
    old, new = model.state_dict(), other.state_dict()
    assert (job.tokenizer, job.slices) == ("bpe-1024", ["code-b", "prose-b"])
    assert len(new["model.embed_tokens.weight"]) == corpus.TOKENIZERS["bpe-1024"][0]
    assert not torch.equal(new["model.embed_tokens.weight"], old["model.embed_tokens.weight"])
    assert all(torch.equal(new[name], old[name]) for name in old if ".layers." in name)


@pytest.mark.slow
def test_a_record_says_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record has the tokenizer that the model ends up with and the digest of every weight file."""
    for module in (build, laundering, operations):
        monkeypatch.setattr(module, "tokens", few_tokens)
    monkeypatch.setattr(training, "train", lambda *_, **__: None)
    (tmp_path / "records").mkdir()
    build.build_missing(["llama-t", "llama-t.vocab"], tmp_path)
    for name, tokenizer in (("llama-t", "bpe-1536"), ("llama-t.vocab", "bpe-2048")):
        record = json.loads((tmp_path / "records" / f"{name}.json").read_text())
        stored = hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()
        written = json.loads((tmp_path / name / "tokenizer.json").read_text())
        assert (record["tokenizer"], record["layers"]) == (tokenizer, 6)
        assert len(written["model"]["vocab"]) == corpus.TOKENIZERS[tokenizer][0]
        assert record["sha256"] == {"model.safetensors": stored}


def test_pruning_and_quantising_do_what_they_say() -> None:
    """Pruning zeroes the asked share of a matrix; 4 bits leave at most 16 values in a group."""
    model = untrained("gpt2-96")
    masks = made.prune(model, 0.4)
    assert all(abs(float(mask.mean()) - 0.6) < 0.01 for mask in masks.values())
    made.quantise(model, 4)
    groups = model.state_dict()["transformer.h.0.mlp.c_fc.weight"].reshape(-1, made.GROUP)
    assert all(len(group.unique()) <= 16 for group in groups[:50])


def test_slices_are_disjoint_and_deterministic() -> None:
    """No document is in two slices, and reading the library again gives the same text."""
    documents = corpus.slice_documents()
    everything = [text for texts in documents.values() for text in texts]
    assert len(everything) == len(set(everything))
    assert all(len(corpus.slice_text(name)) > 400_000 for name in corpus.SLICES)
    before = {name: corpus.slice_sha256(name) for name in corpus.SLICES}
    for cached in (corpus.slice_documents, corpus.slice_text, corpus.slice_sha256):
        cached.cache_clear()
    assert before == {name: corpus.slice_sha256(name) for name in corpus.SLICES}
