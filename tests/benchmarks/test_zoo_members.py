"""The zoo's claims about who is in it: they follow from the recipes and tables, and need no built zoo."""

from __future__ import annotations

from collections import Counter

from transformers import AutoConfig

from benchmarks.zoo import corpus, laundering
from benchmarks.zoo.build import families_in_order
from benchmarks.zoo.imitators import IMITATORS
from benchmarks.zoo.operations import OPERATIONS
from benchmarks.zoo.pairs import family_of, initialisation_of, labelled_pairs
from benchmarks.zoo.recipes import BASES, RECIPES, descendants, seeds


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
    """Enough families and descendants, every family with two, every hard stratum at least four times."""
    children = [made_from.base for made_from in descendants().values()]
    strata = [imitator.stratum for imitator in IMITATORS.values()]
    assert len(BASES) >= 40
    assert len(children) >= 100
    assert all(children.count(base) >= 2 for base in BASES)
    assert all(strata.count(hard) >= 4 for hard in ("same-initialisation", "pasted", "distilled"))
    assert len(labelled_pairs()) < 1_700


def test_families_differ_in_kind_or_in_the_seed_alone() -> None:
    """Eight architectures at least, of every kind, 64 to 256 wide; a third of the families at least are twins."""
    recipes = [RECIPES[name] for name in BASES.values()]
    times = Counter(BASES.values())
    twins = [base for base, recipe in BASES.items() if times[recipe] > 1]
    configs = [AutoConfig.for_model(recipe.architecture, **recipe.config) for recipe in RECIPES.values()]
    widths = {config.hidden_size for config in configs}
    assert len({recipe.architecture for recipe in recipes}) >= 8
    assert 3 * len(twins) >= len(BASES)
    assert {recipe.tokenizer for recipe in recipes} == set(corpus.TOKENIZERS)
    assert {recipe.slice for recipe in recipes} == set(corpus.SLICES)
    assert {config.tie_word_embeddings for config in configs} == {True, False}
    assert {"num_experts_per_tok" in recipe.config for recipe in recipes} == {True, False}
    assert (min(widths), max(widths)) == (64, 256)
    assert len(widths) >= 5


def test_every_operation_is_done_to_three_families() -> None:
    """What the robustness matrix does to a copy, the zoo does to at least three families."""
    families: dict[str, set[str]] = {}
    for child in descendants().values():
        for step in child.treatment.split(";"):
            families.setdefault(step.split()[0], set()).add(child.base)
    wanted = [*laundering.STEPS, "fine-tune", "continue", "lora", "prune"]
    assert {step: len(families[step]) for step in wanted if len(families[step]) < 3} == {}


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
