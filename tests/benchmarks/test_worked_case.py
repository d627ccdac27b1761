"""The worked case: how its suspect is made, and what its papers say."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import worked_case
from benchmarks.zoo import affair, training
from benchmarks.zoo.recipes import config_of

ROOT = Path(__file__).parent.parent.parent


def untrained() -> Any:
    """A small model of the base's recipe whose every tensor, biases and gains too, is random."""
    config = dict(affair.RECIPE.config) | {"num_hidden_layers": 2}
    model = training.fresh(config_of(replace(affair.RECIPE, config=config, tokenizer="bpe-1024")), 1)
    draws = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))
    return model.eval()


def test_upcycling_keeps_the_function_and_splits_the_neurons() -> None:
    """The mixture computes what the dense model does; shared and routed experts hold its neurons between them."""
    model = untrained()
    mixture = affair.upcycle(model, 3)  # which compares the logits itself
    old, new = model.state_dict(), mixture.state_dict()
    for layer in range(2):
        mlp = f"model.layers.{layer}.mlp"
        up, half = old[f"{mlp}.up_proj.weight"], model.config.intermediate_size // 2
        shared = new[f"{mlp}.shared_expert.up_proj.weight"]
        routed = new[f"{mlp}.experts.gate_up_proj"][:, half:]
        for expert in routed:
            together = torch.cat([shared, expert])
            assert torch.equal(together.sort(dim=0).values, up.sort(dim=0).values)
        assert not torch.equal(routed[0], routed[1])
    biases = [name for name in old if name.endswith("bias")]
    assert biases
    assert all(torch.equal(old[name], new[name]) for name in biases)


def test_a_forgotten_expert_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upcycling that drops the shared half changes the function, and says so."""
    whole = affair._shared

    def without_output(mlp: str, parts: list[torch.Tensor], neurons: torch.Tensor) -> dict[str, torch.Tensor]:
        made = whole(mlp, parts, neurons)
        made[f"{mlp}.shared_expert.down_proj.weight"].zero_()
        return made

    monkeypatch.setattr(affair, "_shared", without_output)
    with pytest.raises(AssertionError, match="the function changed"):
        affair.upcycle(untrained(), 3)


def test_only_the_notice_names_the_base() -> None:
    """The suspect's card and licence keep silent about the base; its repository has the base's licence whole."""
    notice = (affair.DOCUMENTS / "suspect-repository" / "Open Source Software Notice").read_text()
    licence = (affair.DOCUMENTS / "base" / "LICENSE").read_text()
    assert licence in notice
    assert "Copyright 2026 Northmere Research" in licence
    told = [
        path for folder in ("suspect", "suspect-repository") for path in (affair.DOCUMENTS / folder).iterdir()
    ]
    naming = [path.name for path in told if re.search("northmere|larkspur", path.read_text(), re.IGNORECASE)]
    assert naming == ["Open Source Software Notice"]


def test_renaming_leaves_the_shape(tmp_path: Path) -> None:
    """Only the names of the architecture change in config.json, and no library knows the new ones."""
    from transformers import CONFIG_MAPPING

    before = {"model_type": "qwen2_moe", "architectures": ["Qwen2MoeForCausalLM"], "hidden_size": 96}
    (tmp_path / "config.json").write_text(json.dumps(before))
    affair.rename(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == before | affair.NEW_CONFIG
    assert affair.NEW_CONFIG["model_type"] not in CONFIG_MAPPING


@pytest.mark.parametrize(
    ("base", "twin", "other", "right"),
    [
        ("derived", "independent", "inconclusive", True),
        ("inconclusive", "independent", "independent", False),
        ("derived", "derived", "independent", False),
        ("derived", "independent", "derived", False),
    ],
)
def test_a_wrong_outcome_is_told(base: str, twin: str, other: str, *, right: bool) -> None:
    """The record passes only if it says derived of the base and of neither unrelated model."""
    controls = [{"candidate": "twin", "verdict": twin}, {"candidate": "other", "verdict": other}]
    record = {"opinions": [{"candidate": "base", "verdict": base}], "controls": controls}
    assert (worked_case.wrong(record) == "") == right


@pytest.mark.slow(seconds=400)
def test_the_whole_case_comes_out_right(tmp_path: Path) -> None:
    """The script trains the models, investigates, and finds the base and neither unrelated model."""
    ran = subprocess.run(
        ["bash", str(ROOT / "script" / "worked-case"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    record = json.loads((tmp_path / "case" / "dossier.json").read_text(encoding="utf-8"))
    assert {one["candidate"] for one in record["controls"]} == {"twin", "other"}
    assert len(record["statements"]) == 2
    assert len(record["exhibits"]) == 1
