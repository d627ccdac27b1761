"""The test kit: its checkpoints are true, its permutations change nothing, its contract catches what it should."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from forensics import Abstain, Kinship, Measurement, Pair, Probe, Reason, Sketch, SketchProbe, TensorSpec
from forensics.alignment.gauge_draws import GAUGES
from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.errors import ForensicsError
from forensics.testing import (
    CLASSES,
    check_probe,
    descend,
    read_safetensors,
    tiny_checkpoint,
    write_safetensors,
)
from plugins.norm_gains import NormGains
from plugins.qkv_bias import QkvBias
from plugins.weight_std import WeightStd

LACKING = {
    "flip-residual": ("gpt2", "gpt_neox"),
    "rescale-neurons": ("gpt2", "gpt_neox"),
    "turn-queries": ("qwen3",),
    "rotate-residual": ("gemma2",),
}
"""Symmetries that an architecture does not have: LayerNorm, no gate, norms on queries, norms behind attention."""


def logits(folder: Path) -> np.ndarray:
    """What transformers' own class says for a fixed prompt; every weight must be found and none left over."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    model, loaded = AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
    with torch.no_grad():
        said: np.ndarray = model(torch.arange(3, 40)[None]).logits.numpy()
    return said


@pytest.mark.parametrize("architecture", CLASSES)
def test_tiny_checkpoints_are_true(tmp_path: Path, architecture: str) -> None:
    """transformers loads each with nothing missing, and our own reader recognises every tensor."""
    folder = tiny_checkpoint(tmp_path / "m", architecture=architecture, dtype="f32")
    assert np.isfinite(logits(folder)).all()
    opened = open_checkpoint(folder, label="m")
    assert opened.architecture.layers == 4
    assert opened.architecture.width == 32
    elements = sum(w.size for _, w in read_safetensors(folder / "model.safetensors").values())
    assert sum(spec.rows * spec.columns for spec in opened.specs) == elements
    assert opened.anchors(2048) is not None
    opened.close()


@pytest.mark.parametrize("architecture", CLASSES)
def test_permuting_preserves_the_function_and_moves_everything(tmp_path: Path, architecture: str) -> None:
    """A noiseless permuted descendant gives the same logits from matrices that are nowhere the same."""
    parent = tiny_checkpoint(tmp_path / "a", architecture=architecture, dtype="f32", heads=8)
    child = descend(parent, tmp_path / "b", noise=0.0, permute=True, seed=1)
    assert logits(child) == pytest.approx(logits(parent), abs=2e-4)
    before, after = (read_safetensors(f / "model.safetensors") for f in (parent, child))
    assert all(not np.array_equal(before[n][1], after[n][1]) for n in before if before[n][1].ndim == 2)


@pytest.mark.parametrize("architecture", CLASSES)
@pytest.mark.parametrize("gauge", GAUGES)
def test_no_gauge_changes_the_function(tmp_path: Path, gauge: str, architecture: str) -> None:
    """Every gauge that an architecture has gives the same logits from other weights; those it lacks are refused."""
    parent = tiny_checkpoint(
        tmp_path / "a", architecture=architecture, dtype="f32", layers=2, heads=4, kv_heads=2
    )
    try:
        child = descend(parent, tmp_path / "b", noise=0.0, gauges=[gauge], seed=1)
    except ForensicsError:
        assert architecture in LACKING[gauge]
        return
    assert architecture not in LACKING.get(gauge, ())
    assert logits(child) == pytest.approx(logits(parent), abs=5e-4)
    before, after = (read_safetensors(f / "model.safetensors") for f in (parent, child))
    same = all(np.array_equal(before[n][1], after[n][1]) for n in before)
    assert same == (gauge == "permute-experts" and architecture != "mixtral")


def test_the_tokenizer_is_one_that_tokenizers_loads(tmp_path: Path) -> None:
    """The tiny tokenizer encodes and decodes any text, with its merges applied."""
    from tokenizers import Tokenizer

    folder = tiny_checkpoint(tmp_path / "m")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = "the other thing — 測試"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert "th" in tokenizer.encode(text).tokens


@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32"])
def test_what_is_written_is_what_the_reference_library_reads(tmp_path: Path, dtype: str) -> None:
    """Values survive in all precisions, rounded as torch rounds, NaN and infinity included."""
    import torch
    from safetensors.torch import load_file

    values = np.array([[1.0, -0.1, 3e-5], [np.nan, np.inf, 1.00390625]], np.float32)
    write_safetensors(tmp_path / "x", {"w": (dtype, values), "v": ("f32", np.zeros(0, np.float32))})
    kind = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[dtype]
    loaded = load_file(tmp_path / "x")
    assert torch.equal(loaded["w"].nan_to_num(7.0), torch.tensor(values).to(kind).nan_to_num(7.0))
    assert read_safetensors(tmp_path / "x")["w"][1] == pytest.approx(loaded["w"].float().numpy(), nan_ok=True)


def test_seeds_decide(tmp_path: Path) -> None:
    """One seed writes the same bytes twice, two seeds share no tensor."""
    files = [
        tiny_checkpoint(tmp_path / str(n), seed=seed) / "model.safetensors"
        for n, seed in enumerate((1, 1, 2))
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    one, other = (read_safetensors(f) for f in files[1:])
    assert not any(np.array_equal(one[n][1], other[n][1]) for n in one)


def test_what_does_not_fit_is_said_in_two_lines(tmp_path: Path) -> None:
    """Unknown architectures, sizes that do not divide and gauges that there are not are ForensicsErrors with a hint."""
    for wrong in ({"architecture": "bert"}, {"width": 30}, {"heads": 4, "kv_heads": 3}, {"layers": 0}):
        with pytest.raises(ForensicsError) as error:
            tiny_checkpoint(tmp_path / "x", **wrong)
        assert error.value.hint
    parent = tiny_checkpoint(tmp_path / "parent")
    with pytest.raises(ForensicsError) as error:
        descend(parent, tmp_path / "y", gauges=["turn-upside-down"])
    assert error.value.hint


@pytest.mark.parametrize("probe", [WeightStd(), NormGains(draws=199), QkvBias(draws=199)], ids=lambda p: p.id)
def test_our_statistics_keep_the_contract(probe: SketchProbe) -> None:
    """The probes of this house pass what is asked of a stranger's."""
    check_probe(probe)


@dataclass(frozen=True, kw_only=True)
class Good(Probe):
    """The smallest probe that keeps the contract; the broken ones below derive from it."""

    id: ClassVar[str] = "layer-count"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Layers"
    measures: ClassVar[str] = "Whether depths are equal."

    def examine(self, pair: Pair) -> Measurement:
        """One where depths are equal."""
        a, b = pair.suspect.architecture.layers, pair.candidate.architecture.layers
        if not a or not b:
            raise Abstain(Reason.MISSING_TENSORS, "a side has no layers")
        return Measurement(
            value=float(a == b), quantity="1 if depths are equal", summary=f"{a} and {b} layers."
        )


def test_a_good_stranger_passes() -> None:
    """A paired probe of a few lines passes."""
    check_probe(Good())


@dataclass(frozen=True, kw_only=True)
class BadId(Good):
    """Named as no id may be."""

    id: ClassVar[str] = "Layer Count"


@dataclass(frozen=True, kw_only=True)
class BadParameter(Good):
    """A list cannot stand in a finding."""

    layers: Any = ()


class Undecorated(Good):
    """Fields would be lost."""


@dataclass(frozen=True, kw_only=True)
class Moody(Good):
    """Another answer each time."""

    calls: ClassVar[Any] = itertools.count()

    def examine(self, pair: Pair) -> Measurement:  # noqa: ARG002
        """A number that counts calls."""
        return Measurement(value=float(next(self.calls)), quantity="calls", summary="It counts.")


@dataclass(frozen=True, kw_only=True)
class Crashing(Good):
    """Divides by what a stranger's file decides."""

    def examine(self, pair: Pair) -> Measurement:
        """Fails where there are no layers."""
        return Measurement(value=1.0 / pair.suspect.architecture.layers, quantity="x", summary="y")


@dataclass(frozen=True, kw_only=True)
class Silent(Good):
    """Abstains without a word."""

    def examine(self, pair: Pair) -> Measurement:  # noqa: ARG002
        """Says nothing."""
        raise Abstain(Reason.UNSUPPORTED, " ")


class LastBlock:
    """Forgets that a tensor comes in blocks."""

    def __init__(self, probe: SketchProbe) -> None:
        self.probe = probe
        self.rows = np.zeros((0, 0), np.float32)

    def wants(self, spec: TensorSpec) -> bool:
        """One matrix."""
        return spec.role == "q_proj" and spec.layer == 0

    def see(self, spec: TensorSpec, rows: np.ndarray, start: int) -> None:  # noqa: ARG002
        """Keeps the last block only."""
        self.rows = rows.copy()

    def finish(self) -> Sketch:
        """What was kept."""
        return self.probe.sketch({"rows": self.rows})


class Nothing(LastBlock):
    """Wants no tensor and keeps a number."""

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002
        """None."""
        return False

    def finish(self) -> Sketch:
        """The number."""
        return self.probe.sketch({"x": np.ones(1)})


@dataclass(frozen=True, kw_only=True)
class Blockwise(SketchProbe):
    """A sketch probe that is wrong once tensors are large."""

    id: ClassVar[str] = "last-block"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Last block"
    measures: ClassVar[str] = "Nothing of use."

    def sketcher(self, checkpoint: Checkpoint) -> LastBlock:  # noqa: ARG002
        """The forgetful one."""
        return LastBlock(self)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:  # noqa: ARG002
        """Always one."""
        return Measurement(value=1.0, quantity="one", summary="One.")


@dataclass(frozen=True, kw_only=True)
class Careless(Blockwise):
    """Sketches properly, and speaks of candidates that it was not given."""

    id: ClassVar[str] = "careless"

    def sketcher(self, checkpoint: Checkpoint) -> Nothing:  # noqa: ARG002
        """One that wants nothing."""
        return Nothing(self)

    def compare_all(self, suspect: Sketch, candidates: Mapping[str, Sketch]) -> Measurement:  # noqa: ARG002
        """Names a stranger."""
        kinship = (Kinship(candidate="somebody", relation="merged"),)
        return Measurement(value=1.0, quantity="one", summary="One.", kinship=kinship)


@dataclass(frozen=True, kw_only=True)
class Lonely(Careless):
    """Counts on candidates that abstained or are foreign."""

    def compare_all(self, suspect: Sketch, candidates: Mapping[str, Sketch]) -> Measurement:  # noqa: ARG002
        """Looks for one of its own."""
        return Measurement(value=candidates["mine"].arrays["x"][0], quantity="one", summary="One.")


@pytest.mark.parametrize(
    ("probe", "advice"),
    [
        (BadId(), "lower-case words"),
        (BadParameter(), "use str, int, float"),
        (Undecorated(), "decorate Undecorated itself"),
        (Moody(), "two runs differ"),
        (Crashing(), "raise Abstain"),
        (Silent(), "say in words"),
        (Blockwise(), "small row blocks"),
        (Careless(), "not one of the candidates it was given"),
        (Lonely(), "compare_all on child against parent, child: KeyError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Probe | SketchProbe) else "",
)
def test_a_broken_contract_is_named_with_its_remedy(probe: Probe | SketchProbe, advice: str) -> None:
    """Each way of breaking the contract fails with a message that tells the author what to do."""
    with pytest.raises(AssertionError, match=advice):
        check_probe(probe)


def test_config_is_plain_json(tmp_path: Path) -> None:
    """config.json names the class and its type as the hub's files do."""
    config = json.loads((tiny_checkpoint(tmp_path / "m", architecture="phi3") / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("phi3", ["Phi3ForCausalLM"])
