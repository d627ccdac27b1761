"""GGUF files for tests: byte by byte, and true ones of transformers' models by gguf's own writer and names."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bytes:
    """A file that is only these bytes, and how many of them were asked for."""

    raw: bytes
    name: str = "model.gguf"
    asked: list[int] | None = None

    @property
    def size(self) -> int:
        """See ByteSource."""
        return len(self.raw)

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        assert offset >= 0
        assert offset + length <= len(self.raw)
        if self.asked is not None:
            self.asked.append(length)
        return self.raw[offset : offset + length]

    def close(self) -> None:
        """See ByteSource."""


def text(value: str | bytes) -> bytes:
    """A GGUF string."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    """One metadata item."""
    return text(name) + struct.pack("<I", kind) + value


def listed(kind: int, items: Sequence[bytes], count: int | None = None) -> bytes:
    """The value of an array."""
    return struct.pack("<IQ", kind, len(items) if count is None else count) + b"".join(items)


def tensor(
    name: str, extents: Sequence[int], kind: int = 0, offset: int = 0, n_dims: int | None = None
) -> bytes:
    """One item of the tensor table; `extents` as in the file, columns first."""
    dims = struct.pack(f"<I{len(extents)}Q", len(extents) if n_dims is None else n_dims, *extents)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


def composed(
    keys: Iterable[bytes] = (),
    tensors: Iterable[bytes] = (),
    content: bytes = b"",
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
) -> bytes:
    """A whole file: header, padding, content. `counts` are (tensors, keys) as it should claim them."""
    keys, tensors = list(keys), list(tensors)
    claimed = counts or (len(tensors), len(keys))
    header = b"GGUF" + struct.pack("<IQQ", version, *claimed) + b"".join(keys) + b"".join(tensors)
    return header + bytes(-len(header) % alignment) + content


def paired(rows: Array, heads: int) -> Array:
    """Rows of each head's two halves put beside each other, as the converter does for Llama's queries and keys."""
    half = rows.shape[0] // heads // 2
    order = [head * 2 * half + j * half + i for head in range(heads) for i in range(half) for j in (0, 1)]
    return rows[order]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How llama.cpp's converter writes one of transformers' architectures."""

    arch: gguf.MODEL_ARCH
    paired: bool = False
    norm_shift: float = 0.0
    transposed: tuple[str, ...] = ()
    """Endings of matrices that transformers keeps as (in, out)."""
    fused_per_head: bool = False
    """Queries, keys and values of each head beside each other, which the converter sorts."""


A = gguf.MODEL_ARCH
KINDS = {
    "llama": Kind(arch=A.LLAMA, paired=True),
    "mixtral": Kind(arch=A.LLAMA, paired=True),
    "qwen2": Kind(arch=A.QWEN2),
    "qwen3": Kind(arch=A.QWEN3),
    "qwen2_moe": Kind(arch=A.QWEN2MOE),
    "qwen3_moe": Kind(arch=A.QWEN3MOE),
    "gemma": Kind(arch=A.GEMMA, norm_shift=1.0),
    "gemma2": Kind(arch=A.GEMMA2, norm_shift=1.0),
    "gemma3_text": Kind(arch=A.GEMMA3, norm_shift=1.0),
    "phi3": Kind(arch=A.PHI3),
    "granite": Kind(arch=A.GRANITE, paired=True),
    "smollm3": Kind(arch=A.SMOLLM3, paired=True),
    "olmo2": Kind(arch=A.OLMO2),
    "olmoe": Kind(arch=A.OLMOE),
    "exaone4": Kind(arch=A.EXAONE4),
    "glm4": Kind(arch=A.GLM4),
    "glm4_moe": Kind(arch=A.GLM4_MOE),
    "phi": Kind(arch=A.PHI2),
    "starcoder2": Kind(arch=A.STARCODER2),
    "stablelm": Kind(arch=A.STABLELM),
    "cohere": Kind(arch=A.COMMAND_R),
    "nemotron": Kind(arch=A.NEMOTRON, norm_shift=1.0),
    "bloom": Kind(arch=A.BLOOM, fused_per_head=True),
    "deepseek_v3": Kind(arch=A.DEEPSEEK2),
    "olmo": Kind(arch=A.OLMO, paired=True),
    "seed_oss": Kind(arch=A.SEED_OSS),
    "gpt_oss": Kind(arch=A.GPT_OSS),
    "gpt2": Kind(arch=A.GPT2, transposed=("c_attn.weight", "c_proj.weight", "c_fc.weight")),
    "gpt_neox": Kind(arch=A.GPTNEOX, fused_per_head=True),
}


def stacked(state: Mapping[str, Array]) -> dict[str, Array]:
    """Single experts' matrices put into one stack per layer, under the names that gguf's table knows."""
    found: dict[str, Array] = {}
    experts: dict[str, dict[int, Array]] = {}
    for name, values in state.items():
        before, is_expert, after = name.partition(".experts.")
        if not is_expert:
            found[name] = values
            continue
        number, part, _ = after.split(".")
        experts.setdefault(f"{before}.experts.{part}.weight", {})[int(number)] = values
    return found | {name: np.stack([parts[i] for i in range(len(parts))]) for name, parts in experts.items()}


def unfused(state: Mapping[str, Array]) -> dict[str, Array]:
    """The experts of gpt-oss, which alternate between gate and up and are (in, out), as matrices of their own."""
    found: dict[str, Array] = {}
    for name, values in state.items():
        before, is_expert, part = name.partition(".experts.")
        if not is_expert or "proj" not in part or part.endswith(".weight"):
            found[name] = values
            continue
        ending = "bias" if part.endswith("_bias") else "weight"
        whole = values if ending == "bias" else values.swapaxes(1, 2)
        roles = (
            {"gate_proj": whole[:, ::2], "up_proj": whole[:, 1::2]}
            if "gate_up" in part
            else {"down_proj": whole}
        )
        found |= {f"{before}.experts.{role}.{ending}": rows for role, rows in roles.items()}
    return found


def known_to_gguf(name: str, kind: str) -> str:
    """A name as the converter looks it up: some it changes beforehand."""
    if "block_sparse_moe.experts" in name:
        return name.replace("block_sparse_moe", "feed_forward").removeprefix("model.")
    if kind == "bloom":
        return name.removeprefix("transformer.")
    name = name.replace("e_score_correction_bias", "e_score_correction.bias")
    return f"{name}.weight" if name.endswith("sinks") else name


def converted(kind: str, state: Mapping[str, Array], config: Mapping[str, Any]) -> dict[str, Array]:
    """GGUF names and values of a model in transformers' names: what the converter is documented to do, written anew."""
    how, layers = KINDS[kind], config["num_hidden_layers"]
    names = gguf.get_tensor_name_map(how.arch, layers)
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    found = {}
    for name, values in (unfused(state) if kind == "gpt_oss" else stacked(state)).items():
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        turned = values.T if name.endswith(how.transposed or ("\0",)) else values
        if how.paired and name.endswith(("q_proj.weight", "q_proj.bias")):
            turned = paired(values, heads)
        if how.paired and name.endswith(("k_proj.weight", "k_proj.bias")):
            turned = paired(values, kv_heads)
        if name.endswith("norm.weight"):
            turned = turned + np.float32(how.norm_shift)
        if how.fused_per_head and "query_key_value" in name:
            turned = values.reshape(heads, 3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)
        if name.endswith("shared_expert_gate.weight"):
            turned = turned.reshape(-1)
        target = names.get_name(known_to_gguf(name, kind), (".weight", ".bias"))
        assert target is not None, name
        found[target] = np.ascontiguousarray(turned)
    return found


def write_gguf(
    path: Path,
    arch: str,
    tensors: Mapping[str, Array],
    config: Mapping[str, Any],
    *,
    quantised: str = "",
    tokenizer: Mapping[str, Any] | None = None,
) -> Path:
    """A true file by gguf's own writer: float32, or matrices whose rows allow it as `quantised`."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_head_count(config["num_attention_heads"])
    if config.get("num_key_value_heads"):
        writer.add_head_count_kv(config["num_key_value_heads"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
    experts = config.get("num_local_experts") or config.get("num_experts")
    if experts:
        writer.add_expert_count(experts)
    if config.get("model_type") == "deepseek_v3":
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    if tokenizer is not None:
        _add_tokenizer(writer, tokenizer, config["vocab_size"])
    for name, values in tensors.items():
        kind = gguf.GGMLQuantizationType[quantised or "F32"]
        block, _ = gguf.GGML_QUANT_SIZES[kind]
        if quantised and values.ndim > 1 and values.shape[-1] % block == 0:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, parsed: Mapping[str, Any], rows: int) -> None:
    """The vocabulary of a byte-level tokenizer.json as the converter lists it, padded to the rows of the embeddings."""
    vocabulary = dict(parsed["model"]["vocab"])
    added = {t["content"]: t["id"] for t in parsed["added_tokens"]}
    by_id = {i: t for t, i in (vocabulary | added).items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([by_id.get(i, f"[PAD{i}]") for i in range(rows)])
    kinds = [3 if by_id.get(i) in added else 1 if i in by_id else 5 for i in range(rows)]
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in parsed["model"]["merges"]])
    writer.add_chat_template("{{ messages }}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed
