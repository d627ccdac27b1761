"""How one checkpoint's weights come about: the operations of a treatment, and the imitators.

A *job* is one model on the bench: it carries the seed, the tokenizer and what the weights learned from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.zoo import descendants as made
from benchmarks.zoo import gauges, laundering, training
from benchmarks.zoo.corpus import tokens
from benchmarks.zoo.imitators import IMITATORS
from benchmarks.zoo.recipes import BASE_STEPS, RECIPES, Recipe, config_of, descendants, seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from transformers import PreTrainedModel

FINE_TUNING_RATE, CONTINUING_RATE, ADAPTER_RATE = 1e-3, 2e-3, 3e-3
PASTED = ("embed", "wte", "wpe", "lm_head", "norm", "ln_")
"""Parts of the names of embeddings and norm gains."""
HEALING_STEPS = 80


@dataclass(slots=True)
class Job:
    """One model on the bench."""

    zoo: Path
    tokenizer: str
    """That of the weights as they are now; a new vocabulary brings another."""
    seed: int
    slices: list[str]
    """The slices its weights have learned from, oldest first."""
    parents: tuple[str, ...] = ()
    masks: dict[str, torch.Tensor] = field(default_factory=dict)

    def text(self, name: str) -> torch.Tensor:
        """The training part of a slice, which from here on counts as learned from."""
        self.slices.append(name)
        return tokens(self.tokenizer, name)[0]

    def schedule(self, steps: int, rate: float) -> training.Schedule:
        """This job's schedule; the seed differs from the initialisation's."""
        return training.Schedule(steps=steps, learning_rate=rate, seed=self.seed + 1)


def _fine_tune(model: PreTrainedModel, job: Job, name: str, steps: str) -> PreTrainedModel:
    training.train(model, job.text(name), job.schedule(int(steps), FINE_TUNING_RATE))
    return model


def _continue(model: PreTrainedModel, job: Job, name: str) -> PreTrainedModel:
    training.train(model, job.text(name), job.schedule(BASE_STEPS, CONTINUING_RATE))
    return model


def _lora(model: PreTrainedModel, job: Job, name: str, steps: str, rank: str) -> PreTrainedModel:
    training.train_lora(model, job.text(name), job.schedule(int(steps), ADAPTER_RATE), int(rank))
    return model


def _prune(model: PreTrainedModel, job: Job, fraction: str) -> PreTrainedModel:
    job.masks = made.prune(model, float(fraction))
    return model


def _heal(model: PreTrainedModel, job: Job, name: str, steps: str) -> PreTrainedModel:
    training.train(model, job.text(name), job.schedule(int(steps), FINE_TUNING_RATE), kept=job.masks)
    return model


def _drop(model: PreTrainedModel, _: Job, *layers: str) -> PreTrainedModel:
    return made.drop_layers(model, [int(layer) for layer in layers])


def _quantise(model: PreTrainedModel, _: Job, bits: str) -> PreTrainedModel:
    made.quantise(model, int(bits))
    return model


def _permute(model: PreTrainedModel, job: Job) -> PreTrainedModel:
    return gauges.permute(model, job.seed)


def _phi3(model: PreTrainedModel, _: Job) -> PreTrainedModel:
    return gauges.as_phi3(model)


def _upcycle(model: PreTrainedModel, job: Job) -> PreTrainedModel:
    return made.upcycle(model, job.seed)


def _noise(model: PreTrainedModel, job: Job, share: str) -> PreTrainedModel:
    return made.noised(model, float(share), job.seed)


def _launder(step: str) -> Callable[..., PreTrainedModel]:
    """A step of the robustness matrix; only that of a new vocabulary learns from text and so names a slice."""

    def operation(model: PreTrainedModel, job: Job, *slices: str) -> PreTrainedModel:
        job.slices += slices
        bench = laundering.Bench(tokenizer=job.tokenizer, slice=job.slices[-1], seed=job.seed)
        model = laundering.STEPS[step](model, bench)
        job.tokenizer = bench.tokenizer
        return model

    return operation


def _merge(_: PreTrainedModel, job: Job) -> PreTrainedModel:
    return made.average([load(job.zoo / parent) for parent in job.parents])


OPERATIONS: Mapping[str, Callable[..., PreTrainedModel]] = {
    "fine-tune": _fine_tune, "continue": _continue, "lora": _lora, "prune": _prune, "heal": _heal, "drop": _drop,
    "quantise": _quantise, "permute": _permute, "phi3": _phi3, "upcycle": _upcycle, "merge": _merge,
    "noise": _noise,
    **{step: _launder(step) for step in ("flip", "rotate", "rescale", "vocabulary", "repeat", "narrow")},
}  # fmt: skip


def load(folder: Path) -> PreTrainedModel:
    """A checkpoint of ours in float32, as a descendant's maker would get it: rounded as published."""
    import torch
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def train_base(recipe: Recipe, seed: int, job: Job) -> PreTrainedModel:
    """A base: own initialisation, the recipe's text."""
    model = training.fresh(config_of(recipe), seed)
    training.train(model, job.text(recipe.slice), job.schedule(recipe.steps, recipe.learning_rate))
    return model


def imitate(name: str, job: Job) -> PreTrainedModel:
    """A model that resembles another base without descending from its trained weights."""
    imitator = IMITATORS[name]
    recipe = RECIPES[imitator.recipe]
    same_draw = imitator.stratum == "same-initialisation"
    model = training.fresh(config_of(recipe), seeds()[imitator.imitates if same_draw else name])
    text, plan = job.text(imitator.slice), job.schedule(recipe.steps, recipe.learning_rate)
    if imitator.stratum == "distilled":
        training.train(model, text, plan, training.distillation_loss(load(job.zoo / imitator.imitates)))
    elif imitator.stratum != "pasted":
        training.train(model, text, plan)
    else:
        if imitator.paste_after:
            training.train(model, text, plan)
            plan = job.schedule(HEALING_STEPS, FINE_TUNING_RATE)
        _paste(load(job.zoo / imitator.imitates), model)
        training.train(model, text, plan)
    return model


def _paste(source: PreTrainedModel, model: PreTrainedModel) -> None:
    """Put another model's embeddings and norm gains into this one, and hold them there."""
    import torch

    theirs = source.state_dict()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in PASTED):
                parameter.copy_(theirs[name])
                parameter.requires_grad_(requires_grad=False)


def descend(name: str, job: Job) -> PreTrainedModel:
    """A descendant: its first parent, as published, put through its treatment step by step."""
    descendant = descendants()[name]
    job.parents = descendant.parents
    model = load(job.zoo / descendant.parents[0])
    for step in descendant.treatment.split(";"):
        operation, *arguments = step.split()
        model = OPERATIONS[operation](model, job, *arguments)
    return model
