"""A tiny Llama saved plain and quantised in every way: the same canonical tensors, within the scheme's own error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.checkpoint.quantised import SCHEMES as BUNDLED
from forensics.checkpoint.quantised import schemes_table
from forensics.reading import read
from tests.quantisers import SCHEMES, Typed, f32, fp8, gptq, mxfp4, named, whole, written

WIDTH, NEURONS, TOKENS, KEYS = 64, 96, 40, 32
CONFIG = {
    "model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": NEURONS, "vocab_size": TOKENS,
}  # fmt: skip
MATRICES = {
    "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (KEYS, WIDTH), "self_attn.v_proj": (KEYS, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (NEURONS, WIDTH), "mlp.up_proj": (NEURONS, WIDTH),
    "mlp.down_proj": (WIDTH, NEURONS),
}  # fmt: skip
ERRORS = {
    "int2": (0.3, 0.6), "int3": (0.13, 0.2), "int4": (0.055, 0.1), "int8": (0.001, 0.008), "nf4": (0.055, 0.1),
    "fp4": (0.06, 0.12), "mxfp4": (0.06, 0.13), "nvfp4": (0.06, 0.13), "fp8": (0.01, 0.05), "block": (0.01, 0.03),
}  # fmt: skip
"""Bounds of mean |error| over the spread of the weights, by the end of the precision's name."""


def drawn() -> tuple[Typed, dict[str, NDArray[np.float32]]]:
    """(what stays as it is, matrices to quantise by the prefix of their names)."""
    random = np.random.default_rng(5)
    kept: Typed = {}
    for name, shape in (
        ("model.embed_tokens.weight", (TOKENS, WIDTH)), ("lm_head.weight", (TOKENS, WIDTH)),
        ("model.norm.weight", (WIDTH,)),
    ):  # fmt: skip
        kept[name] = f32(random.standard_normal(shape))
    matrices = {}
    for layer in range(2):
        place = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            kept[f"{place}.{norm}.weight"] = f32(1 + random.random(WIDTH))
        for role, shape in MATRICES.items():
            matrices[f"{place}.{role}"] = (0.05 * random.standard_normal(shape)).astype(np.float32)
    return kept, matrices


def saved(folder: Path, tensors: Typed, quantisation: dict[str, object] | None = None) -> Checkpoint:
    """A folder with one file and a config, opened."""
    written(folder / "model.safetensors", tensors)
    said = {"quantization_config": quantisation} if quantisation else {}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **said}))
    return open_checkpoint(folder)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_the_plain_models_tensors(scheme: str, tmp_path: Path) -> None:
    """Same roles and shapes, everything examined, values as stored exactly, error no larger than the scheme's."""
    quantiser, precision, said = SCHEMES[scheme]
    kept, matrices = drawn()
    plain = saved(tmp_path / "plain", {**kept, **{f"{p}.weight": f32(m) for p, m in matrices.items()}})
    tensors, values = dict(kept), {}
    for prefix, matrix in matrices.items():
        parts, values[f"{prefix}.weight"] = quantiser(matrix)
        tensors |= named(prefix, parts)
    ours = saved(tmp_path / "quantised", tensors, said)
    assert ours.plan.unexamined == ()
    assert ours.problems == []
    key = {(s.role, s.layer, s.rows, s.columns) for s in plain.specs}
    assert {(s.role, s.layer, s.rows, s.columns) for s in ours.specs} == key
    assert ours.architecture == plain.architecture
    low, high = ERRORS[precision.rpartition("-")[2]]
    for spec in ours.specs:
        got, original = ours.matrix(spec), plain.matrix(plain.find(spec.role, spec.layer) or spec)
        if spec.dtype == "f32":
            np.testing.assert_array_equal(got, original)
            continue
        assert spec.dtype == precision
        np.testing.assert_allclose(got, values[spec.source], rtol=2e-6, atol=1e-9)
        assert low < np.abs(got - original).mean() / original.std() < high
    subject = read(ours, []).subject
    assert subject.parameters == subject.recognised == read(plain, []).subject.parameters
    ours.close()
    plain.close()


def test_parts_may_lie_in_other_shards(tmp_path: Path) -> None:
    """Scales in one file and codes in another are found, and both files are read whole."""
    kept, matrices = drawn()
    codes, beside = dict(kept), Typed()
    values = {}
    for prefix, matrix in matrices.items():
        parts, values[prefix] = gptq(matrix)
        codes[f"{prefix}.qweight"] = parts.pop(".qweight")
        beside |= named(prefix, parts)
    written(tmp_path / "model-00001-of-00002.safetensors", beside)
    written(tmp_path / "model-00002-of-00002.safetensors", codes)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    index = {
        **dict.fromkeys(beside, "model-00001-of-00002.safetensors"),
        **dict.fromkeys(codes, "model-00002-of-00002.safetensors"),
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.plan.unexamined == ()
    for prefix, wanted in values.items():
        spec = next(s for s in checkpoint.specs if s.source == f"{prefix}.weight")
        np.testing.assert_array_equal(checkpoint.matrix(spec), wanted)
    subject = read(checkpoint, []).subject
    assert subject.recognised == subject.parameters
    checkpoint.close()


def test_scales_of_activations_and_caches_are_no_parameters(tmp_path: Path) -> None:
    """Scales of inputs, keys and values are counted with the matrix they serve, and nothing is left unexamined."""
    kept, matrices = drawn()
    tensors = dict(kept)
    for prefix, matrix in matrices.items():
        tensors |= named(prefix, fp8(matrix, suffix="_scale")[0])
        tensors[f"{prefix}.input_scale"] = f32(0.5)
    for layer in range(2):
        tensors[f"model.layers.{layer}.self_attn.k_proj.k_scale"] = f32(1.0)
        tensors[f"model.layers.{layer}.self_attn.v_scale"] = f32([1.0])
    checkpoint = saved(tmp_path, tensors)
    assert checkpoint.plan.unexamined == ()
    subject = read(checkpoint, []).subject
    assert subject.parameters == subject.recognised
    checkpoint.close()


def test_mixtures_with_quantised_experts_one_by_one(tmp_path: Path) -> None:
    """Names with an expert's number are nothing special: every expert is found and decoded."""
    random = np.random.default_rng(9)
    kept, matrices = drawn()
    tensors = dict(kept)
    for prefix, matrix in matrices.items():
        if "mlp" not in prefix:
            tensors |= named(prefix, fp8(matrix, (32, 32))[0])
    values = {}
    for layer in range(2):
        place = f"model.layers.{layer}.mlp"
        tensors[f"{place}.gate.weight"] = f32(random.standard_normal((3, WIDTH)))
        for expert in range(3):
            for role in ("gate_proj", "up_proj", "down_proj"):
                prefix = f"{place}.experts.{expert}.{role}"
                matrix = random.standard_normal(MATRICES[f"mlp.{role}"]).astype(np.float32)
                parts, values[f"{prefix}.weight"] = fp8(matrix, (64, 64))
                tensors |= named(prefix, parts)
    checkpoint = saved(tmp_path, tensors)
    assert checkpoint.plan.unexamined == ()
    assert checkpoint.architecture.experts == 3
    for spec in checkpoint.specs:
        if spec.source in values:
            np.testing.assert_allclose(checkpoint.matrix(spec), values[spec.source], rtol=1e-6)
    checkpoint.close()


def test_stacked_experts_are_cut_into_experts(tmp_path: Path) -> None:
    """Stacks of 8-bit floats with 3-D scales, and MXFP4 blocks, become single experts with their own scales."""
    random = np.random.default_rng(9)
    kept, matrices = drawn()
    tensors = dict(kept)
    for prefix, matrix in matrices.items():
        if "mlp" not in prefix:
            tensors |= named(prefix, fp8(matrix, (32, 32))[0])
    gates, downs = [], []
    for layer in range(2):
        place = f"model.layers.{layer}.mlp"
        tensors[f"{place}.gate.weight"] = f32(random.standard_normal((3, WIDTH)))
        size = np.array([1.0, 10.0, 100.0], np.float32)[:, None, None]
        both = size * random.standard_normal((3, 2 * NEURONS, WIDTH)).astype(np.float32)
        parts, values = fp8(both, (64, 32))
        gates.append(values)
        tensors |= {f"{place}.experts.gate_up_proj{k.removeprefix('.weight')}": v for k, v in parts.items()}
        parts, values = mxfp4(
            size * random.standard_normal((3, WIDTH, NEURONS)).astype(np.float32), blocks=True
        )
        downs.append(values)
        tensors |= named(f"{place}.experts.down_proj", parts)
    checkpoint = saved(tmp_path, tensors)
    assert checkpoint.plan.unexamined == ()
    for layer in range(2):
        for expert in range(3):
            wanted = {
                "gate_proj": gates[layer][expert, :NEURONS], "up_proj": gates[layer][expert, NEURONS:],
                "down_proj": downs[layer][expert],
            }  # fmt: skip
            for role, values in wanted.items():
                spec = checkpoint.find(role, layer, expert)
                assert spec is not None
                np.testing.assert_allclose(checkpoint.matrix(spec), values, rtol=1e-6)
    checkpoint.close()


@pytest.mark.parametrize(
    ("scheme", "said", "message"),
    [
        ("gptq-4", {"quant_method": "awq"}, "declares awq"),
        ("gptq-4", {"quant_method": "gptq", "bits": 8}, "8 bits, the tensors show 4"),
        ("fp8-block", {"quant_method": "fp8", "weight_block_size": [48, 128]}, "declares blocks of"),
        ("gptq-symmetric", {"quant_method": "gptq", "checkpoint_format": "gptq_v2"}, "checkpoint_format"),
    ],
)
def test_tensors_win_over_what_the_config_says(
    scheme: str, said: dict[str, object], message: str, tmp_path: Path
) -> None:
    """A config that lies about the quantisation changes no number, and a problem says so."""
    kept, matrices = drawn()
    tensors, values = dict(kept), {}
    for prefix, matrix in matrices.items():
        if scheme == "gptq-symmetric":
            parts, values[f"{prefix}.weight"] = symmetric_gptq(matrix)
        else:
            parts, values[f"{prefix}.weight"] = SCHEMES[scheme][0](matrix)
        tensors |= named(prefix, parts)
    checkpoint = saved(tmp_path, tensors, said)
    (problem,) = checkpoint.problems
    assert problem.code == "QUANT_MISMATCH"
    assert message in problem.message
    for spec in checkpoint.specs:
        if spec.source in values and scheme != "fp8-block":
            np.testing.assert_array_equal(checkpoint.matrix(spec), values[spec.source])
    checkpoint.close()


def symmetric_gptq(matrix: NDArray[np.float32]) -> tuple[Typed, NDArray[np.float32]]:
    """GPTQ's first format with every zero in the middle, stored as 7."""
    parts, _ = gptq(matrix)
    words = np.frombuffer(parts[".qweight"][2], "<u4").reshape(-1, len(matrix))
    codes = np.stack([(words >> (4 * place)) & 15 for place in range(8)], 1).reshape(-1, len(matrix)).T
    scales = np.frombuffer(parts[".scales"][2], "<f2").reshape(-1, len(matrix)).T.astype(np.float32)
    shape = parts[".qzeros"][1]
    parts[".qzeros"] = whole("I32", np.full(shape, 0x77777777))
    return parts, (np.repeat(scales, 32, axis=1) * (codes.astype(np.float32) - 8)).astype(np.float32)


def test_quantisers_turn_what_gpt2_keeps_the_other_way_round(tmp_path: Path) -> None:
    """GPTQ keeps a Conv1D as (out, in) like any matrix; a torch file of the same parts gives the same numbers."""
    random = np.random.default_rng(4)
    shapes = {
        "attn.c_attn": (3 * WIDTH, WIDTH), "attn.c_proj": (WIDTH, WIDTH), "mlp.c_fc": (NEURONS, WIDTH),
        "mlp.c_proj": (WIDTH, NEURONS),
    }  # fmt: skip
    tensors: Typed = {
        "wte.weight": f32(random.random((TOKENS, WIDTH))),
        "wpe.weight": f32(random.random((8, WIDTH))),
    }
    for norm in ("ln_f", "h.0.ln_1", "h.0.ln_2"):
        tensors |= {f"{norm}.weight": f32(np.ones(WIDTH)), f"{norm}.bias": f32(np.ones(WIDTH))}
    values = {}
    for name, shape in shapes.items():
        parts, values[name] = gptq(random.standard_normal(shape).astype(np.float32))
        tensors |= named(f"h.0.{name}", parts) | {f"h.0.{name}.bias": f32(np.ones(shape[0]))}
    config = {"model_type": "gpt2", "n_embd": WIDTH, "n_layer": 1, "n_head": 4, "vocab_size": TOKENS}
    kinds = {"F32": "<f4", "F16": "<f2", "I32": "<i4"}
    arrays = {k: np.frombuffer(raw, kinds[dtype]).reshape(s) for k, (dtype, s, raw) in tensors.items()}
    written(tmp_path / "one" / "model.safetensors", tensors)
    (tmp_path / "two").mkdir()
    torch.save(
        {k: torch.from_numpy(v.copy()) for k, v in arrays.items()}, tmp_path / "two" / "pytorch_model.bin"
    )
    for folder in (tmp_path / "one", tmp_path / "two"):
        (folder / "config.json").write_text(json.dumps(config))
        checkpoint = open_checkpoint(folder)
        assert checkpoint.plan.unexamined == ()
        for role, name, rows in (
            ("q_proj", "attn.c_attn", slice(0, WIDTH)), ("v_proj", "attn.c_attn", slice(2 * WIDTH, None)),
            ("down_proj", "mlp.c_proj", slice(None)),
        ):  # fmt: skip
            spec = checkpoint.find(role, 0)
            assert spec is not None
            np.testing.assert_array_equal(checkpoint.matrix(spec), values[name][rows])
        checkpoint.close()


def test_an_adapter_is_merged_into_a_quantised_base(tmp_path: Path) -> None:
    """QLoRA's usual case: B A alpha / r is added to what the 4-bit codes stand for."""
    kept, matrices = drawn()
    tensors = dict(kept)
    for prefix, matrix in matrices.items():
        tensors |= named(prefix, SCHEMES["nf4"][0](matrix)[0])
    saved(tmp_path / "base", tensors).close()
    target = "model.layers.1.mlp.down_proj"
    random = np.random.default_rng(8)
    a, b = random.standard_normal((4, NEURONS)), random.standard_normal((WIDTH, 4))
    update = {
        f"base_model.model.{target}.lora_A.weight": f32(a),
        f"base_model.model.{target}.lora_B.weight": f32(b),
    }
    written(tmp_path / "adapter" / "adapter_model.safetensors", update)
    said = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "base_model_name_or_path": "x",
        "target_modules": ["down_proj"],
    }
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(said))
    base = open_checkpoint(tmp_path / "base")
    merged = open_checkpoint(tmp_path / "adapter", base=str(tmp_path / "base"))
    assert merged.plan.unexamined == ()
    spec = merged.find("down_proj", 1)
    assert spec is not None
    assert spec.dtype == "bnb-nf4+lora"
    wanted = base.matrix(base.find("down_proj", 1) or spec) + 2 * (b @ a)
    np.testing.assert_allclose(merged.matrix(spec), wanted, rtol=1e-4, atol=1e-5)
    other = merged.find("up_proj", 1)
    assert other is not None
    np.testing.assert_array_equal(merged.matrix(other), base.matrix(base.find("up_proj", 1) or other))
    merged.close()
    base.close()


def test_table_names_every_precision_that_is_shown() -> None:
    """The table of formats is made of the schemes themselves, and covers what the tests write."""
    listed = {precision for scheme in BUNDLED for precision in scheme.precisions}
    assert {precision for _, precision, _ in SCHEMES.values()} <= listed
    assert len(schemes_table()) == len(BUNDLED)
    assert all(title and covers for title, covers, _ in schemes_table())
