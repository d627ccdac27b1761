"""The zoo's claims about itself that need no built zoo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.zoo import corpus, gauges, training
from benchmarks.zoo import descendants as made
from benchmarks.zoo.build import families_in_order
from benchmarks.zoo.operations import OPERATIONS
from benchmarks.zoo.pairs import family_of, initialisation_of, labelled_pairs
from benchmarks.zoo.recipes import BASES, IMITATORS, RECIPES, config_of, descendants, seeds


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


def test_labels_follow_from_families() -> None:
    """Derived pairs stay within a family, unrelated pairs cross families, and cells say which."""
    pairs = labelled_pairs()
    assert len({(p["suspect"], p["candidate"]) for p in pairs}) == len(pairs)
    for pair in pairs:
        families = {family_of(pair["suspect"]), family_of(pair["candidate"])}
        assert (len(families) == 1) == (pair["label"] == "derived")
        assert pair["family_cell"] == "|".join(sorted(families))


def test_only_the_stated_stratum_shares_an_initialisation() -> None:
    """Two sides of an unrelated pair go back to one draw of weights only where the stratum says so."""
    for pair in labelled_pairs():
        if pair["label"] == "unrelated":
            shared = initialisation_of(pair["suspect"]) == initialisation_of(pair["candidate"])
            assert shared == (pair["stratum"] == "same-initialisation")


def test_the_population_is_what_decision_six_asks_for() -> None:
    """Enough families and descendants, every family with two, every hard stratum at least twice."""
    children = [made_from.base for made_from in descendants().values()]
    strata = [imitator.stratum for imitator in IMITATORS.values()]
    assert len(BASES) >= 16
    assert len(children) >= 40
    assert all(children.count(base) >= 2 for base in BASES)
    assert all(strata.count(hard) >= 2 for hard in ("same-initialisation", "pasted", "distilled"))


def test_every_checkpoint_can_be_made() -> None:
    """Each has a seed of its own, known operations, and parents that are made before it."""
    order = [name for family in families_in_order() for name in family] + list(IMITATORS)
    assert set(order) == set(seeds())
    assert len(set(seeds().values())) == len(order)
    for child in descendants().values():
        assert all(order.index(parent) < order.index(child.name) for parent in child.parents)
        assert all(step.split()[0] in OPERATIONS for step in child.treatment.split(";"))
    for name, imitator in IMITATORS.items():
        assert order.index(imitator.imitates) < order.index(name)
