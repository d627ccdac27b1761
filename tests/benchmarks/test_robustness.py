"""A fraction of the robustness matrix: a base trained here and now, laundered, and found again; a twin that is not."""

from __future__ import annotations

import gzip
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from benchmarks import kept, robustness
from benchmarks.measure_pairs import Bench, compare_one, sketch_one
from benchmarks.tables import put
from benchmarks.zoo import laundering, training
from benchmarks.zoo.build import write_checkpoint
from benchmarks.zoo.corpus import tokens
from benchmarks.zoo.operations import load
from benchmarks.zoo.recipes import RECIPES, config_of
from forensics.evidence.library import load_reference

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBES = ("neuron-match", "attention-circuits", "attention-channels", "norm-gains", "residual-basis")
CEILING = 0.3
"""Above every reading of unrelated models in docs/methods.md, pasted ones left out."""
RECIPE = replace(RECIPES["llama-96"], steps=60)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A base and its twin, briefly trained on one thread: two would wait for each other on a busy machine."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("zoo")
    for name, seed in (("base", 1), ("twin", 2)):
        model = training.fresh(config_of(RECIPE), seed)
        plan = training.Schedule(steps=RECIPE.steps, learning_rate=RECIPE.learning_rate, seed=seed)
        training.train(model, tokens(RECIPE.tokenizer, RECIPE.slice)[0], plan)
        write_checkpoint(model, folder / name, RECIPE.tokenizer, "bfloat16")
    return Bench(zoo=folder, cache=folder, ids=PROBES)


@pytest.fixture(scope="module")
def zoo_of_two(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two untrained models: what is kept of them does not depend on what they learned."""
    folder = tmp_path_factory.mktemp("two")
    for name, seed in (("base", 1), ("twin", 2)):
        write_checkpoint(training.fresh(config_of(RECIPE), seed), folder / name, RECIPE.tokenizer, "bfloat16")
    return Bench(zoo=folder, cache=folder, ids=PROBES)


def readings(zoo: Bench, suspect: str) -> dict[str, Any]:
    """What the probes say of a checkpoint against the base, as the matrix keeps it."""
    for name in (suspect, "base"):
        sketch_one(zoo, name)
    pair = {"suspect": suspect, "candidate": "base", "label": "unrelated" if suspect == "twin" else "derived"}
    return compare_one(zoo, pair)


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation",
    ["nothing", "rescale + permute", "rotate + permute + quantise", "drop layers + permute + noise"],
)
def test_two_groups_see_a_laundered_copy(zoo: Bench, operation: str) -> None:
    """Two probes on disjoint tensors read a laundered copy above a twin of the same recipe, and none so the twin."""
    bench = laundering.Bench(tokenizer=RECIPE.tokenizer, slice="code-b", seed=3)
    copy = laundering.launder(load(zoo.zoo / "base"), operation, 0, bench)
    write_checkpoint(copy, zoo.zoo / operation, bench.tokenizer, "bfloat16")
    twin = readings(zoo, "twin")
    highest = dict.fromkeys(PROBES, CEILING)
    found = readings(zoo, operation)
    groups = {found["readings"][p]["group"] for p, yes in robustness.seen(found, highest).items() if yes}
    assert len(groups) >= 2
    assert not any(robustness.seen(twin, highest).values())


def test_a_block_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """A generated table replaces what stands between its marks; without marks it is an error."""
    document = tmp_path / "d.md"
    document.write_text("before\n<!-- x:begin -->\nold\n<!-- x:end -->\nafter\n", encoding="utf-8")
    put(document, "x", "new")
    assert document.read_text() == "before\n<!-- x:begin -->\nnew\n<!-- x:end -->\nafter\n"
    with pytest.raises(ValueError, match="no block"):
        put(document, "y", "new")


def test_every_operation_is_made_of_known_steps() -> None:
    """The matrix has the issue's operations, at least six combinations, and a step for every word."""
    assert all(step in laundering.STEPS for steps in laundering.OPERATIONS.values() for step in steps)
    assert sum(len(steps) > 1 for steps in laundering.OPERATIONS.values()) >= 6


def parted(step: str) -> float:
    """How far apart a step before and after training leaves a model, as a share of what the training moved."""
    torch.set_num_threads(1)
    start = training.fresh(config_of(RECIPE), 1)
    text = torch.randint(0, start.config.vocab_size, (4_000,), generator=torch.Generator().manual_seed(2))
    plan = training.Schedule(steps=4, learning_rate=3e-3, seed=5)

    def stepped(model: PreTrainedModel) -> PreTrainedModel:
        return laundering.STEPS[step](
            model, laundering.Bench(tokenizer=RECIPE.tokenizer, slice=RECIPE.slice, seed=3)
        )

    untrained, before = stepped(deepcopy(start)), stepped(deepcopy(start))
    training.train(before, text, plan)
    training.train(start, text, plan)
    after = stepped(start)
    apart = moved = 0.0
    for name, tensor in before.state_dict().items():
        apart += float((tensor - after.state_dict()[name]).square().sum())
        moved += float((after.state_dict()[name] - untrained.state_dict()[name]).square().sum())
    return (apart / moved) ** 0.5


@pytest.mark.parametrize("step", sorted(laundering.COMMUTING))
def test_training_commutes_with_order_and_sign(step: str) -> None:
    """A model reordered or negated before training learns what it learns when that is done after, to rounding."""
    assert parted(step) < 0.02


def test_training_does_not_commute_with_a_rotation() -> None:
    """The same measure tells a step that AdamW, element by element, does not commute with."""
    assert parted("rotate") > 0.2


def test_what_is_trained_once_names_rows_of_the_matrix() -> None:
    """Steps that commute are taken off the end; what is left is a row with the same steps, or the row stays whole."""
    assert laundering.trained_once("narrow MLP + permute + flip signs") == ("narrow MLP", ("permute", "flip"))
    assert laundering.trained_once("new vocabulary + rotate + permute")[1] == ()
    for operation in laundering.OPERATIONS:
        shared, steps = laundering.trained_once(operation)
        assert laundering.OPERATIONS[shared] + steps == laundering.OPERATIONS[operation]
        assert set(steps) <= laundering.COMMUTING


def test_kept_pairs_are_judged_as_they_were(zoo_of_two: Bench, tmp_path: Path) -> None:
    """Readings and subjects come back from the file, and the opinion on them is that on what was measured."""
    pair = {"suspect": "base", "candidate": "twin", "label": "unrelated", "stratum": "same-recipe"}
    for name in ("base", "twin"):
        sketch_one(zoo_of_two, name)
    found = kept.of_bench(zoo_of_two, [compare_one(zoo_of_two, pair)])
    kept.write(tmp_path / "a.gz", found)
    kept.write(tmp_path / "b.gz", found)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    again = kept.load(tmp_path / "a.gz")
    assert (again.versions, set(again.subjects)) == (found.versions, {"base", "twin"})
    reference = load_reference()
    one, other = found.judged(reference)[0]["opinion"], again.judged(reference)[0]["opinion"]
    assert (one.verdict, one.log10_lr, one.grounds) == (other.verdict, other.log10_lr, other.grounds)
    assert one.log10_lr is not None
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"{}\n"))
    with pytest.raises(ValueError, match="no kept pairs"):
        kept.load(tmp_path / "c.gz")
