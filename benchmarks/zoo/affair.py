"""The models of the worked case: ``python -m benchmarks.zoo.affair --out DIR`` trains four checkpoints.

Modelled on a public dispute of July 2025 over whether one laboratory's mixture of experts was made from another's dense
model. Here the truth is known, because we make it; laboratories and documents are invented.

* ``base``: a small dense Qwen2 with biases on queries, keys and values, trained from scratch;
* ``suspect``: the base with a vocabulary of its own, upcycled to experts, trained on, and renamed;
* ``twin``: the base's recipe with another seed, so of the same width, depth, text and vocabulary;
* ``other``: a Llama of the same width and depth, trained by another recipe on other text.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.zoo import descendants, laundering, training
from benchmarks.zoo.build import write_checkpoint
from benchmarks.zoo.corpus import tokens
from benchmarks.zoo.gauges import assert_same_function
from benchmarks.zoo.operations import load
from benchmarks.zoo.recipes import RECIPES, config_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from benchmarks.zoo.recipes import Recipe

RECIPE, OTHER_RECIPE = RECIPES["qwen2-96"], RECIPES["llama-96"]
BASE_SEED, TWIN_SEED, OTHER_SEED, SUSPECT_SEED = 2507, 2514, 2521, 2528
TRAINED_ON = "code-a"
"""The suspect's text; no document of it is in the base's."""
STEPS, RATE = 160, 1e-3
"""The suspect's training after upcycling, half as many steps as the base's."""
NEW_CONFIG = {"model_type": "basalt_moe", "architectures": ["BasaltMoEForCausalLM"]}
"""What the suspect calls itself: names that no library knows."""
DOCUMENTS = Path(__file__).parent / "affair_documents"
"""Card, licence and notices of every model, and what the parties say."""


def from_scratch(recipe: Recipe, seed: int) -> PreTrainedModel:
    """A model of its own initialisation, trained as long as the bases of the zoo."""
    model = training.fresh(config_of(recipe), seed)
    plan = training.Schedule(steps=recipe.steps, learning_rate=recipe.learning_rate, seed=seed + 1)
    training.train(model, tokens(recipe.tokenizer, recipe.slice)[0], plan)
    return model


def upcycle(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A dense Qwen2 as a mixture that computes the same: every expert holds half of the MLP's neurons.

    Half of each layer's neurons, drawn at random, go to the shared expert, whose gate starts at one half, so that its
    output is doubled; every routed expert is a copy of the other half in an order of its own. The router is new.
    Raises AssertionError if the function changed.
    """
    import torch

    config = descendants.mixture_config(model.config)
    half = config.intermediate_size // 2
    config.moe_intermediate_size = config.shared_expert_intermediate_size = half
    mixture = training.fresh(config, seed)
    draws = torch.Generator().manual_seed(seed)
    old, state = model.state_dict(), mixture.state_dict()
    state |= {name: tensor for name, tensor in old.items() if name in state}
    for layer in range(config.num_hidden_layers):
        mlp = f"model.layers.{layer}.mlp"
        order = torch.randperm(2 * half, generator=draws)
        orders = [order[torch.randperm(half, generator=draws)] for _ in range(config.num_experts)]
        parts = [old[f"{mlp}.{part}_proj.weight"] for part in ("gate", "up", "down")]
        state |= _routed(mlp, parts, orders) | _shared(mlp, parts, order[half:])
    mixture.load_state_dict(state)
    assert_same_function(model, mixture)
    return mixture.eval()


def _routed(mlp: str, parts: list[torch.Tensor], orders: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The routed experts' tensors, each holding the neurons of its order."""
    import torch

    gate, up, down = parts
    return {
        f"{mlp}.experts.gate_up_proj": torch.stack([torch.cat([gate[o], up[o]]) for o in orders]),
        f"{mlp}.experts.down_proj": torch.stack([down[:, o] for o in orders]),
    }


def _shared(mlp: str, parts: list[torch.Tensor], neurons: torch.Tensor) -> dict[str, torch.Tensor]:
    """The shared expert's tensors; a gate of zeros lets half of its output through."""
    import torch

    gate, up, down = parts
    return {
        f"{mlp}.shared_expert.gate_proj.weight": gate[neurons],
        f"{mlp}.shared_expert.up_proj.weight": up[neurons],
        f"{mlp}.shared_expert.down_proj.weight": 2 * down[:, neurons],
        f"{mlp}.shared_expert_gate.weight": torch.zeros(1, gate.shape[1]),
    }


def disguised(base: PreTrainedModel, steps: int = STEPS) -> tuple[PreTrainedModel, str]:
    """What became of the base, and its tokenizer: new vocabulary, experts, further training on other text."""
    bench = laundering.Bench(tokenizer=RECIPE.tokenizer, slice=TRAINED_ON, seed=SUSPECT_SEED)
    model = upcycle(laundering.new_vocabulary(base, bench), SUSPECT_SEED)
    plan = training.Schedule(steps=steps, learning_rate=RATE, seed=SUSPECT_SEED + 1)
    training.train(model, tokens(bench.tokenizer, TRAINED_ON)[0], plan)
    return model, bench.tokenizer


def rename(folder: Path) -> None:
    """Give a written checkpoint the suspect's names for its architecture."""
    path = folder / "config.json"
    told = json.loads(path.read_text(encoding="utf-8")) | NEW_CONFIG
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _publish(name: str, model: PreTrainedModel, out: Path, tokenizer: str, slice_name: str) -> None:
    """Write one folder with its documents and say how well the model has learned."""
    write_checkpoint(model, out / name, tokenizer, "bfloat16")
    shutil.copytree(DOCUMENTS / name, out / name, dirs_exist_ok=True)
    loss = training.held_out_loss(model, tokens(tokenizer, slice_name)[1])
    kind, size = model.config.model_type, model.num_parameters()
    print(f"{name}: {kind}, {size:,} parameters, loss {loss:.2f} on {slice_name}", flush=True)


def _build_unrelated(out: Path) -> None:
    """The unrelated models, in a process of their own."""
    training.prepare_process()
    for name, recipe, seed in (("twin", RECIPE, TWIN_SEED), ("other", OTHER_RECIPE, OTHER_SEED)):
        _publish(name, from_scratch(recipe, seed), out, recipe.tokenizer, recipe.slice)


def build(out: Path) -> None:
    """Train and write all four, the unrelated ones beside the others: one thread each is the quickest on two cores."""
    out.mkdir(parents=True, exist_ok=True)
    unrelated = get_context("spawn").Process(target=_build_unrelated, args=(out,))
    unrelated.start()
    try:
        _publish("base", from_scratch(RECIPE, BASE_SEED), out, RECIPE.tokenizer, RECIPE.slice)
        model, tokenizer = disguised(load(out / "base"))
        _publish("suspect", model, out, tokenizer, TRAINED_ON)
        rename(out / "suspect")
    finally:
        unrelated.join()
    if unrelated.exitcode:
        raise SystemExit(f"training the unrelated models ended with status {unrelated.exitcode}")


def main() -> None:
    """Build the models where the command line says."""
    parser = argparse.ArgumentParser(description="Train the four models of the worked case.")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    training.prepare_process()
    started = time.monotonic()
    build(given.out)
    print(f"trained in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
