"""What somebody does to a copied model so that it is not recognised: operations, alone and combined.

Each cell of the robustness matrix is a base of the zoo, an operation and a share of the base's own steps of training
after it. Operations that an architecture does not have (ForensicsError) leave the cell empty, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.zoo import descendants as made
from benchmarks.zoo import gauges, training
from benchmarks.zoo.corpus import TOKENIZERS, tokenizer, tokens
from benchmarks.zoo.recipes import BASE_STEPS
from forensics.errors import ForensicsError
from forensics.testing.descent import PERMUTATIONS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RATE, SHARES = 1e-3, (0, 10, 100)
"""Learning rate of further training, and its length in percent of a base's own steps."""
NOISE = 0.3
"""Standard deviation of noise, in standard deviations of the matrix it is added to."""
EMBEDDING_STEPS, EMBEDDING_RATE = 96, 3e-3
"""Training of new embeddings with everything else held, which is part of swapping a vocabulary."""

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "nothing": (),
    "permute": ("permute",),
    "flip signs": ("flip",),
    "rotate": ("rotate",),
    "rescale": ("rescale",),
    "new vocabulary": ("vocabulary",),
    "drop layers": ("drop",),
    "repeat layers": ("repeat",),
    "narrow MLP": ("narrow",),
    "upcycle": ("upcycle",),
    "merge": ("merge",),
    "quantise": ("quantise",),
    "noise": ("noise",),
    "rescale + permute": ("rescale", "permute"),
    "rotate + permute + quantise": ("rotate", "permute", "quantise"),
    "drop layers + permute + noise": ("drop", "permute", "noise"),
    "narrow MLP + permute + flip signs": ("narrow", "permute", "flip"),
    "upcycle + permute + rescale": ("upcycle", "permute", "rescale"),
    "new vocabulary + permute": ("vocabulary", "permute"),
    "new vocabulary + rotate + permute": ("vocabulary", "rotate", "permute"),
    "repeat layers + rescale + quantise": ("repeat", "rescale", "quantise"),
}
"""Rows of the matrix: steps in the order in which they are applied."""
COMMUTING = {"permute", "flip"}
"""Steps that training commutes with: AdamW, clipping by the whole norm and rounding treat every weight by itself, so a
reordered or negated model learns the same, reordered and negated (tests/benchmarks/test_robustness.py)."""


def trained_once(operation: str) -> tuple[str, tuple[str, ...]]:
    """The operation whose trained model this one's can be made of, and the steps still to be taken.

    The operation itself and no steps where nothing commutes or no row of the matrix is what is left.
    """
    steps = OPERATIONS[operation]
    kept = len(steps)
    while kept and steps[kept - 1] in COMMUTING:
        kept -= 1
    shared = next((name for name, own in OPERATIONS.items() if own == steps[:kept]), operation)
    return (shared, steps[kept:]) if shared != operation else (operation, ())


@dataclass(slots=True, kw_only=True)
class Bench:
    """A model being laundered."""

    tokenizer: str
    slice: str
    """Text of all further training; another than the base's."""
    seed: int


Step = Callable[["PreTrainedModel", Bench], "PreTrainedModel"]


def gauge(*names: str) -> Step:
    """A step made of the core's gauges; those that an architecture lacks are left out where others remain."""

    def step(model: PreTrainedModel, bench: Bench) -> PreTrainedModel:
        done, refused = 0, None
        for name in names:
            try:
                model = gauges.apply(model, [name], bench.seed)
                done += 1
            except ForensicsError as error:
                refused = error
        if not done and refused is not None:
            raise refused
        return model

    return step


def next_tokenizer(identifier: str) -> str:
    """The tokenizer that a model gets for its own when its vocabulary is swapped."""
    names = list(TOKENIZERS)
    return names[(names.index(identifier) + 1) % len(names)]


def new_vocabulary(model: PreTrainedModel, bench: Bench) -> PreTrainedModel:
    """Another tokenizer, fresh embeddings trained with the rest of the model held."""
    import torch
    from transformers import AutoModelForCausalLM

    bench.tokenizer = next_tokenizer(bench.tokenizer)
    token = tokenizer(bench.tokenizer)
    special = {
        "bos_token_id": token.bos_token_id,
        "eos_token_id": token.eos_token_id,
        "pad_token_id": token.pad_token_id,
    }
    settings = model.config.to_dict() | {"vocab_size": TOKENIZERS[bench.tokenizer][0], **special}
    torch.manual_seed(bench.seed)
    fresh: PreTrainedModel = AutoModelForCausalLM.from_config(type(model.config)(**settings))
    outer = [fresh.get_input_embeddings(), fresh.get_output_embeddings()]
    own = {id(parameter) for module in outer for parameter in module.parameters()}
    old = model.state_dict()
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            if id(parameter) not in own:
                parameter.copy_(old[name])
                parameter.requires_grad_(requires_grad=False)
    plan = training.Schedule(steps=EMBEDDING_STEPS, learning_rate=EMBEDDING_RATE, seed=bench.seed)
    training.train(fresh, tokens(bench.tokenizer, bench.slice)[0], plan)
    return fresh.requires_grad_(requires_grad=True).eval()


def _merge(model: PreTrainedModel, bench: Bench) -> PreTrainedModel:
    """The average of two fine-tunes on different text."""
    import copy

    tuned = []
    for slice_name in (bench.slice, "code-a" if bench.slice != "code-a" else "prose-b"):
        one = copy.deepcopy(model)
        plan = training.Schedule(steps=BASE_STEPS // 10, learning_rate=RATE, seed=bench.seed)
        training.train(one, tokens(bench.tokenizer, slice_name)[0], plan)
        tuned.append(one)
    return made.average(tuned)


def _upcycle(model: PreTrainedModel, bench: Bench) -> PreTrainedModel:
    if model.config.model_type not in {"llama", "mistral", "qwen2"}:
        raise ForensicsError(f"the zoo has no mixture to make of a {model.config.model_type}")
    return made.upcycle(model, bench.seed)


def _quantise(model: PreTrainedModel, _: Bench) -> PreTrainedModel:
    made.quantise(model, 4)
    return model


STEPS: Mapping[str, Step] = {
    "permute": gauge(*PERMUTATIONS),
    "flip": gauge("flip-residual"),
    "rotate": gauge("rotate-residual"),
    "rescale": gauge("rescale-neurons", "mix-values", "turn-queries", "scale-gains"),
    "vocabulary": new_vocabulary,
    "drop": lambda model, _: made.with_layers(model, made.dropped(model)),
    "repeat": lambda model, _: made.with_layers(model, made.repeated(model)),
    "narrow": lambda model, _: made.narrowed(model),
    "upcycle": _upcycle,
    "merge": _merge,
    "quantise": _quantise,
    "noise": lambda model, bench: made.noised(model, NOISE, bench.seed),
}


def finish(model: PreTrainedModel, operation: str, steps: Sequence[str], bench: Bench) -> PreTrainedModel:
    """A trained model of the row that `trained_once` names, put through the steps that remain."""
    if "vocabulary" in OPERATIONS[operation]:
        bench.tokenizer = next_tokenizer(bench.tokenizer)
    for step in steps:
        model = STEPS[step](model, bench)
    return model


def launder(model: PreTrainedModel, operation: str, share: int, bench: Bench) -> PreTrainedModel:
    """The model put through an operation's steps, then trained on for `share` percent of a base's steps."""
    for step in OPERATIONS[operation]:
        model = STEPS[step](model, bench)
    if share:
        steps = BASE_STEPS * share // 100
        plan = training.Schedule(steps=steps, learning_rate=RATE, seed=bench.seed + share)
        training.train(model, tokens(bench.tokenizer, bench.slice)[0], plan)
    return model
