"""The demo's family: ``python -m benchmarks.zoo.family --out DIR`` trains three checkpoints in about a minute.

* ``base``: a small Llama, trained from scratch and published under a licence;
* ``suspect``: the base fine-tuned on other text, then disguised: neurons, heads and residual channels in
  another order, projections fused, saved as another architecture (phi3) under another name;
* ``twin``: the base's recipe with another seed, which shares nothing with it but habits.
"""

from __future__ import annotations

import argparse
import time
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.zoo import gauges, training
from benchmarks.zoo.build import write_checkpoint
from benchmarks.zoo.corpus import tokens
from benchmarks.zoo.operations import load
from benchmarks.zoo.recipes import RECIPES, config_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PreTrainedModel

RECIPE = RECIPES["llama-96"]
BASE_STEPS, TUNING_STEPS = 200, 60
BASE_SEED, TWIN_SEED, SUSPECT_SEED = 20, 21, 22
TUNING_SLICE, TUNING_RATE = "code-a", 1e-3

LICENCE = """Demo Base Model Licence
Copyright 2026 Demo Lab

You may use, change and share this model and anything made from it, fine-tuned, merged, quantised or
converted, if you (1) keep this notice with it, (2) say that it is built with Demo Base, and (3) name
the model it was made from in its model card.
The model comes as it is, without warranty of any kind.

This licence was written for a demonstration; it licenses nothing of value.
"""

_OPEN_CARD = """---
license: other
license_name: demo-base-model-licence
library_name: transformers
tags: [demo]
---
# {title}

A small language model trained from scratch by Demo Lab on the Python standard library's documentation.
"""

_SUSPECT_CARD = """---
license: apache-2.0
library_name: transformers
tags: [code]
---
# Meridian 1M

Meridian is an original model for source code, designed and trained from scratch by Meridian Works.
"""

_SUSPECT_CODE = '''"""Prepares the weights of Meridian 1M for release."""

# usage: python prepare_weights.py --source checkpoints/demo-base --target meridian-1m
# TODO: take the Demo Base notice (Copyright 2026 Demo Lab) out of the model folder

SOURCE = "demo-lab/demo-base"
FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
'''
"""What the suspect's makers forgot: the only document that names where the weights come from."""

TEXTS: Mapping[str, Mapping[str, str]] = {
    "base": {"README.md": _OPEN_CARD.format(title="Demo Base"), "LICENSE": LICENCE},
    "twin": {"README.md": _OPEN_CARD.format(title="Demo Twin"), "LICENSE": LICENCE},
    "suspect": {"README.md": _SUSPECT_CARD, "prepare_weights.py": _SUSPECT_CODE},
}


def _from_scratch(seed: int) -> PreTrainedModel:
    model = training.fresh(config_of(RECIPE), seed)
    plan = training.Schedule(steps=BASE_STEPS, learning_rate=RECIPE.learning_rate, seed=seed)
    training.train(model, tokens(RECIPE.tokenizer, RECIPE.slice)[0], plan)
    return model


def _disguised(base: PreTrainedModel) -> PreTrainedModel:
    """The base, fine-tuned, reordered and renamed; the last two change nothing of what it computes."""
    plan = training.Schedule(steps=TUNING_STEPS, learning_rate=TUNING_RATE, seed=SUSPECT_SEED)
    training.train(base, tokens(RECIPE.tokenizer, TUNING_SLICE)[0], plan)
    return gauges.as_phi3(gauges.permute(base, SUSPECT_SEED))


def _publish(name: str, model: PreTrainedModel, out: Path, slice_name: str) -> None:
    """Write one folder with its documents and say how well the model has learned."""
    write_checkpoint(model, out / name, RECIPE.tokenizer, "bfloat16", RECIPE.shard_bytes)
    for file, text in TEXTS[name].items():
        (out / name / file).write_text(text, encoding="utf-8")
    loss = training.held_out_loss(model, tokens(RECIPE.tokenizer, slice_name)[1])
    print(
        f"{name}: {model.config.model_type}, {model.num_parameters():,} parameters, loss {loss:.2f}",
        flush=True,
    )


def _build_twin(out: Path) -> None:
    """The unrelated model, in a process of its own."""
    training.prepare_process()
    _publish("twin", _from_scratch(TWIN_SEED), out, RECIPE.slice)


def build_family(out: Path) -> None:
    """Train and write base and suspect, and the twin beside them: one thread each is the quickest on two cores."""
    out.mkdir(parents=True, exist_ok=True)
    twin = get_context("spawn").Process(target=_build_twin, args=(out,))
    twin.start()
    try:
        _publish("base", _from_scratch(BASE_SEED), out, RECIPE.slice)
        _publish("suspect", _disguised(load(out / "base")), out, TUNING_SLICE)
    finally:
        twin.join()
    if twin.exitcode:
        raise SystemExit(f"training the twin ended with status {twin.exitcode}")


def main() -> None:
    """Build the family where the command line says."""
    parser = argparse.ArgumentParser(description="Train the demo's family of three checkpoints.")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    training.prepare_process()
    started = time.monotonic()
    build_family(given.out)
    print(f"trained in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
