"""What other tools call a confirmed match, put to the whole pipeline: none of it is derivation.

One case: a model, its child, and models that share with it what other tools compare, and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.records import Dossier
from forensics.testing import descend, read_safetensors, tiny_checkpoint, write_safetensors
from tests.blind import Mixed, investigated, measured, opinion, rewritten, taking

SIZES: dict[str, Any] = {"layers": 4, "width": 64}


def flat_norms(name: str, own: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Norm gains near one, whose raw cosine with any others near one is close to one."""
    return 1 + 0.05 * (own - own.mean()) / own.std() if "norm" in name else own


def equal_spread(_: str, own: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Each tensor with exactly the other's spread."""
    return own * (theirs.std() / max(float(own.std()), 1e-9)) if own.ndim == 2 else own


SHARED: dict[str, Mixed] = {
    "config": lambda _, own, __: own,
    "spreads": equal_spread,
    "embeddings and norms": taking("embed", "lm_head", "norm"),
    "attention": taking("self_attn"),
    "mlp": taking("mlp."),
}
"""What an independent model has in common with the first; config, tokenizer and flat norms all of them."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, two children of it, and one independent model for each entry of `SHARED`."""
    folder = tmp_path_factory.mktemp("blind")
    base = tiny_checkpoint(folder / "base", seed=1, **SIZES)
    rewritten(base, flat_norms, base)
    for k, (name, how) in enumerate(SHARED.items(), 2):
        own = tiny_checkpoint(folder / name, seed=k, **SIZES)
        rewritten(rewritten(own, flat_norms, base), how, base)
    for k, name in enumerate(("child", "other child")):
        descend(base, folder / name, noise=0.05, seed=k)
    return folder


@pytest.fixture(scope="module")
def record(models: Path) -> Dossier:
    """The first model against all of them."""
    return investigated(models, "base", ("child", *SHARED))


def test_the_child_is_derived(record: Dossier) -> None:
    """In the same case, the model's child comes out derived: what follows is not the silence of the tool."""
    assert opinion(record, "child").verdict == "derived", opinion(record, "child").grounds


def test_config_and_tokenizer_are_no_match(record: Dossier) -> None:
    """Equal config and tokenizer with independent weights come out independent, without a small exact p."""
    found = opinion(record, "config")
    assert measured(record, "tokenizer-diff", "config").value == 1.0
    assert found.verdict == "independent", found.grounds
    assert found.exact is not None
    assert found.exact.p > 1e-3


def test_equal_norms_are_told_to_mean_nothing(record: Dossier) -> None:
    """At a raw cosine of norms above 0.99 the model comes out independent, and the finding calls it meaningless."""
    found = measured(record, "norm-gains", "config")
    assert found.facts["raw_cosine_meaningless"] > 0.99
    assert found.value < 0.3
    assert opinion(record, "config").verdict == "independent"


def test_equal_spreads_are_no_descent(record: Dossier) -> None:
    """At a raw profile of spreads above 0.9 an unrelated model is not derived, and nothing speaks for it."""
    found = opinion(record, "spreads")
    assert measured(record, "weight-std", "spreads").value > 0.9
    assert found.verdict != "derived", found.grounds
    assert found.log10_lr is not None
    assert found.log10_lr < 0
    assert found.exact is not None
    assert found.exact.p > 1e-3


def test_pasted_embeddings_and_norms_are_no_descent(record: Dossier) -> None:
    """Embeddings and norms of the other, and nothing else: both are seen to be shared, and no descent is stated."""
    found = opinion(record, "embeddings and norms")
    assert found.verdict == "inconclusive", found.grounds
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    assert measured(record, "norm-gains", "embeddings and norms").value > 0.9


@pytest.mark.parametrize("name", ["attention", "mlp"])
def test_a_part_is_not_the_whole(record: Dossier, name: str) -> None:
    """Only attention, or only the MLPs, reused: said as partial reuse, not as descent or shared initialisation."""
    found = opinion(record, name)
    assert (found.verdict, found.relation) == ("inconclusive", "partial-reuse"), found.grounds


EXPERTS: dict[str, tuple[str, ...]] = {
    "alone": ("experts",),
    "with router": ("experts", "block_sparse_moe.gate"),
    "with embeddings": ("experts", "embed", "lm_head"),
}
"""Parts of a mixture that are reused, by name."""
MOVED = ("permuted, with their norm",)


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """A mixture of experts against independent ones that took some of its parts, one of them with noise on top."""
    folder = tmp_path_factory.mktemp("mixtures")
    base = tiny_checkpoint(folder / "base", architecture="mixtral", seed=1, layers=4, width=64)
    for k, (name, parts) in enumerate(EXPERTS.items(), 2):
        own = tiny_checkpoint(folder / name, architecture="mixtral", seed=k, layers=4, width=64)
        rewritten(own, taking(*parts), base)
    descend(folder / "alone", folder / "further trained", noise=0.3, seed=9)
    moved = descend(base, folder / "moved", noise=0.02, permute=True, seed=11)
    own = tiny_checkpoint(
        folder / "permuted, with their norm", architecture="mixtral", seed=12, layers=4, width=64
    )
    rewritten(own, taking("experts", "post_attention_layernorm"), moved)
    tiny_checkpoint(folder / "stranger", architecture="mixtral", seed=10, layers=4, width=64)
    return investigated(folder, "base", (*EXPERTS, *MOVED, "further trained", "stranger"))


@pytest.mark.parametrize("name", [*EXPERTS, "further trained"])
def test_experts_alone_are_not_the_whole(mixtures: Dossier, name: str) -> None:
    """Only a mixture's experts reused: seen by an exact p and layer by layer, said as partial reuse, never derived."""
    found = opinion(mixtures, name)
    assert (found.verdict, found.relation) == ("inconclusive", "partial-reuse"), found.grounds
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    assert measured(mixtures, "identity-mlp", name).value > 0.8
    assert abs(measured(mixtures, "attention-circuits", name).value) < 0.1


def test_permuted_experts_are_found_by_their_angles(mixtures: Dossier) -> None:
    """Experts with the norm in front of them, neurons and channels permuted: no p sees them, their angles do."""
    found = opinion(mixtures, *MOVED)
    assert (found.verdict, found.relation) == ("inconclusive", "partial-reuse"), found.grounds
    assert measured(mixtures, "neuron-match", *MOVED).value > 0.5


def test_other_experts_are_no_reuse(mixtures: Dossier) -> None:
    """A mixture of the same make that took nothing: no small exact p and no reuse stated."""
    found = opinion(mixtures, "stranger")
    assert found.verdict == "independent", found.grounds
    assert found.exact is not None
    assert found.exact.p > 1e-3


def with_tower(folder: Path, seed: int, layers: int = 3) -> Path:
    """Puts the language model behind a wrapper's name and an encoder of images of that seed beside it (LLaVA)."""
    path, rng = folder / "model.safetensors", np.random.default_rng(seed)
    made = {f"language_model.{n}": stored for n, stored in read_safetensors(path).items()}
    for layer in range(layers):
        at = f"vision_tower.vision_model.encoder.layers.{layer}"
        shapes = {"mlp.fc1": (96, 32), "mlp.fc2": (32, 96)}
        shapes |= {f"self_attn.{n}": (32, 32) for n in ("q_proj", "k_proj", "v_proj", "out_proj")}
        for name, shape in shapes.items():
            made[f"{at}.{name}.weight"] = ("bf16", rng.standard_normal(shape).astype(np.float32))
    write_safetensors(path, made)
    text = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    whole = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "text_config": text}
    (folder / "config.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def multimodal(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """A vision-language model against its child, one that took only its encoder, and one that took nothing."""
    folder = tmp_path_factory.mktemp("multimodal")
    base = with_tower(tiny_checkpoint(folder / "base", seed=1, **SIZES), 1)
    descend(base, folder / "child", noise=0.05, seed=4)
    with_tower(tiny_checkpoint(folder / "encoder only", seed=2, **SIZES), 1)
    with_tower(tiny_checkpoint(folder / "stranger", seed=3, **SIZES), 3)
    return investigated(folder, "base", ("child", "encoder only", "stranger"))


def test_the_vision_part_is_not_the_whole(multimodal: Dossier) -> None:
    """Only the vision tower reused: neither derived nor independent, and the reason names the vision tower."""
    found = opinion(multimodal, "encoder only")
    assert (found.verdict, found.relation) == ("inconclusive", "partial-reuse"), found.grounds
    assert "vision tower" in found.because
    assert "public encoder" in found.because
    seen = measured(multimodal, "tower-identity", "encoder only")
    assert seen.exact is not None
    assert (seen.group, seen.exact.p <= 1e-6) == (None, True)
    assert found.exact is not None
    assert found.exact.p > 1e-3, (
        "the language models themselves share nothing, and nothing else is said of them"
    )


def test_a_vision_part_of_its_own_is_no_reuse(multimodal: Dossier) -> None:
    """Independent language models with towers of their own come out independent, and no reuse is stated."""
    found = opinion(multimodal, "stranger")
    assert (found.verdict, found.relation) == ("independent", "undetermined"), found.grounds
    assert abs(measured(multimodal, "tower-identity", "stranger").value) < 0.1


def test_a_shared_vision_part_does_not_hide_descent(multimodal: Dossier) -> None:
    """A child that kept the vision tower as well comes out derived."""
    found = opinion(multimodal, "child")
    assert found.verdict == "derived", found.grounds


def test_a_child_as_control_withdraws_the_opinion(models: Path) -> None:
    """With another child of the candidate as control, the control comes out derived and the suspect no longer does."""
    record = investigated(models, "child", ("base",), ("other child",))
    (control,) = record.controls
    assert control.verdict == "derived", control.grounds
    assert opinion(record, "base").verdict == "inconclusive"
    assert any(
        "controls that came out derived: other child" in line for line in opinion(record, "base").grounds
    )
