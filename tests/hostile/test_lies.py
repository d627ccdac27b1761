"""Weights kept where our reader takes them and a loader does not, or the other way round: neither forges nor erases."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forensics.checkpoint.opening import open_checkpoint
from forensics.errors import CheckpointError
from forensics.testing import descend, read_safetensors, tiny_checkpoint, write_safetensors
from forensics.testing.files import Stored
from tests.hostile.judged import opinion

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a true descendant and a stranger, large enough for either verdict."""
    folder = tmp_path_factory.mktemp("lies")
    for seed, name in enumerate(("base", "stranger")):
        tiny_checkpoint(folder / name, seed=seed, layers=4, width=64)
    descend(folder / "base", folder / "descendant", noise=0.05, seed=9)
    return folder


def stored(models: Path, name: str) -> Stored:
    """All tensors of one of them."""
    return read_safetensors(models / name / WEIGHTS)


def suspect(models: Path, folder: Path, tensors: Stored) -> Path:
    """A stranger's folder with these tensors."""
    shutil.copytree(models / "stranger", folder)
    write_safetensors(folder / WEIGHTS, tensors)
    return folder


def test_yardstick(models: Path) -> None:
    """Without a lie the descendant is derived and the stranger independent."""
    assert opinion(models / "descendant", models / "base").verdict == "derived"
    assert opinion(models / "stranger", models / "base").verdict == "independent"


def test_candidate_under_second_names_is_no_descent(models: Path, tmp_path: Path) -> None:
    """A stranger that carries the candidate's tensors under names that a wrapper may have is not derived."""
    copied = {f"llm.{n}": v for n, v in stored(models, "base").items()}
    path = suspect(models, tmp_path / "twins", stored(models, "stranger") | copied)
    assert opinion(path, models / "base").verdict == "inconclusive"


def test_decoys_under_second_names_are_not_independent(models: Path, tmp_path: Path) -> None:
    """A descendant with unrelated twins of its layers and a vocabulary of zeros to dilute them is not independent."""
    tensors = stored(models, "descendant")
    twins = {f"llm.{n}": v for n, v in stored(models, "stranger").items() if ".layers." in n}
    rows = np.zeros((50_000, 64), np.float32)
    path = suspect(
        models, tmp_path / "diluted", tensors | twins | {"model.embed_tokens.weight": ("bf16", rows)}
    )
    assert opinion(path, models / "base").verdict == "inconclusive"


def in_buffers(models: Path, tensors: Stored) -> Stored:
    """All layers together, named as the rotary frequencies of one."""
    true = [v.reshape(-1) for n, (_, v) in stored(models, "descendant").items() if ".layers." in n]
    return tensors | {"model.layers.0.self_attn.rotary_emb.inv_freq": ("bf16", np.concatenate(true))}


def in_scales(models: Path, tensors: Stored) -> Stored:
    """Named as scales of quantised activations, beside 8-bit decoys."""
    hidden = {f"{n.removesuffix('weight')}input_scale": v for n, v in stored(models, "descendant").items()}
    return tensors | {n: v for n, v in hidden.items() if "_proj." in n}


@pytest.mark.parametrize("hide", [in_buffers, in_scales])
def test_weights_named_as_none_are_not_independent(
    hide: Callable[[Path, Stored], Stored], models: Path, tmp_path: Path
) -> None:
    """Decoys beside weights whose names say that they are no parameters are not independent."""
    path = suspect(models, tmp_path / "named", hide(models, stored(models, "stranger")))
    if hide is in_scales:
        quantised(path / WEIGHTS)
    assert opinion(path, models / "base").verdict == "inconclusive"


def quantised(path: Path) -> None:
    """The layers' matrices as 8-bit integers with a scale to a row."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    for name in [n for n in tensors if n.endswith("_proj.weight")]:
        scale = tensors[name].float().abs().amax(1, keepdim=True) / 127
        tensors[f"{name}_scale"] = scale
        tensors[name] = (tensors[name].float() / scale).round().to(torch.int8)
    save_file(tensors, path)


def test_quantised_stranger_is_independent(models: Path, tmp_path: Path) -> None:
    """The same 8-bit decoys without anything hidden beside them can be concluded on."""
    path = suspect(models, tmp_path / "eight", stored(models, "stranger"))
    quantised(path / WEIGHTS)
    assert opinion(path, models / "base").verdict == "independent"


def test_weights_behind_the_last_tensor_are_not_independent(models: Path, tmp_path: Path) -> None:
    """A second model behind the end of the first costs as much coverage as it could hold."""
    path = suspect(models, tmp_path / "behind", stored(models, "stranger"))
    with (path / WEIGHTS).open("ab") as file:
        file.write((models / "descendant" / WEIGHTS).read_bytes())
    assert opinion(path, models / "base").verdict == "inconclusive"


@pytest.mark.parametrize(
    "name",
    ["tf_model.h5", "flax_model.msgpack", "real.SAFETENSORS", "adapter_model.safetensors", "onnx/model.onnx"],
)
def test_weights_of_any_format_beside_a_decoy_are_not_independent(
    name: str, models: Path, tmp_path: Path
) -> None:
    """A file that is called weights and was not read keeps `independent` away, in whatever format."""
    path = suspect(models, tmp_path / "beside", stored(models, "stranger"))
    (path / name).parent.mkdir(exist_ok=True)
    shutil.copyfile(models / "descendant" / WEIGHTS, path / name)
    assert opinion(path, models / "base").verdict == "inconclusive"


def test_link_to_weights_beside_a_decoy_is_not_independent(models: Path, tmp_path: Path) -> None:
    """A link out of the folder is not followed, and what it leads to may be weights all the same."""
    path = suspect(models, tmp_path / "linked", stored(models, "stranger"))
    (path / "real.safetensors").symlink_to(models / "descendant" / WEIGHTS)
    assert opinion(path, models / "base").verdict == "inconclusive"


def test_file_with_room_for_a_model_is_not_independent(models: Path, tmp_path: Path) -> None:
    """Nor is a decoy beside a large file that is called notes."""
    path = suspect(models, tmp_path / "large", stored(models, "stranger"))
    with (path / "notes.txt").open("wb") as file:
        file.truncate(65 << 20)
    assert opinion(path, models / "base").verdict == "inconclusive"


def test_layers_over_the_same_bytes_do_not_dilute_what_was_not_examined(models: Path, tmp_path: Path) -> None:
    """A pickle whose decoy layers all share the bytes of four is not independent of what lies beside them."""
    import torch

    path = suspect(models, tmp_path / "shared", stored(models, "stranger"))
    (path / WEIGHTS).unlink()
    decoys = {n: torch.from_numpy(v).bfloat16() for n, (_, v) in stored(models, "stranger").items()}
    hidden = {f"x.{n}": torch.from_numpy(v).bfloat16() for n, (_, v) in stored(models, "descendant").items()}
    for name in [n for n in decoys if ".layers." in n]:
        start, number, end = re.split(r"(?<=layers\.)(\d+)", name)
        decoys |= {f"{start}{int(number) + 4 * k}{end}": decoys[name] for k in range(1, 13)}
    torch.save(decoys | hidden, path / "pytorch_model.bin")
    assert opinion(path, models / "base").verdict == "inconclusive"


@pytest.mark.parametrize("further", ['"x": 0', '"x": NaN'])
def test_weights_that_the_config_names_are_those_examined(further: str, models: Path, tmp_path: Path) -> None:
    """A copy of the candidate under the usual name is no descent where transformers takes what config.json names."""
    path = suspect(models, tmp_path / "named", stored(models, "base"))
    write_safetensors(path / "real.safetensors", stored(models, "stranger"))
    (path / "config.json").write_text(f'{{"transformers_weights": "real.safetensors", {further}}}')
    assert opinion(path, models / "base").verdict == "inconclusive"


@pytest.mark.parametrize("where", ["member", "storage"])
def test_bytes_of_a_pickle_that_no_tensor_holds_are_not_independent(
    where: str, models: Path, tmp_path: Path
) -> None:
    """A model in an archive's unnamed member, or in a storage of which one gain is a view, costs coverage."""
    import torch

    path = suspect(models, tmp_path / "pickled", stored(models, "stranger"))
    (path / WEIGHTS).unlink()
    hidden = (models / "descendant" / WEIGHTS).read_bytes()
    tensors = {n: torch.from_numpy(v).bfloat16() for n, (_, v) in stored(models, "stranger").items()}
    if where == "storage":
        rest = torch.frombuffer(bytearray(hidden), dtype=torch.bfloat16)
        tensors["model.norm.weight"] = torch.cat([tensors["model.norm.weight"], rest])[:64]
    torch.save(tensors, path / "pytorch_model.bin")
    if where == "member":
        with zipfile.ZipFile(path / "pytorch_model.bin", "a") as archive:
            archive.writestr("pytorch_model/data/9999", hidden)
    assert opinion(path, models / "base").verdict == "inconclusive"


def test_adapter_that_is_another_model_is_not_read_as_its_base(models: Path, tmp_path: Path) -> None:
    """An adapter whose tensors replace everything under names that do not fit is refused, not taken for the base."""
    kept = {
        f"base_model.model.{n.removesuffix('weight')}modules_to_save.main.weight": v
        for n, v in stored(models, "stranger").items()
    }
    place = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    update = {f"{place}A.weight": np.zeros((2, 64)), f"{place}B.weight": np.zeros((64, 2))}
    write_safetensors(
        tmp_path / "adapter_model.safetensors", kept | {n: ("f32", v) for n, v in update.items()}
    )
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 2, "r": 2}')
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path, base=str(models / "base"))
    assert caught.value.code == "ADAPTER_BASE_MISMATCH"
