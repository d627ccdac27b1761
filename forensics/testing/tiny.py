"""Tiny true checkpoints: random weights with the structure that probes meet in trained ones, in milliseconds.

Gains differ by channel and share outlier channels over layers; spreads drift with depth; Q and K biases follow rotary
frequencies; embeddings and matrices know which channels matter. Two seeds share nothing but the recipe.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forensics.errors import ForensicsError
from forensics.testing.files import Stored, write_safetensors
from forensics.testing.names import config_of, stored_layer, stored_outside
from forensics.testing.tokenizer import VOCABULARY, tokenizer_json

Array = NDArray[np.float32]

CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
}
"""Architectures on offer, by `model_type`."""


def _f32(values: NDArray[np.floating]) -> Array:
    return np.asarray(values, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a tiny checkpoint."""

    architecture: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    neurons: int
    experts: int = 0

    @property
    def head_dim(self) -> int:
        """Dimensions per head."""
        return self.width // self.heads

    @property
    def layer_norm(self) -> bool:
        """LayerNorm with biases, plain MLP and as many KV heads as heads, instead of RMSNorm with a gated MLP."""
        return self.architecture in ("gpt2", "gpt_neox")


class Drawn:
    """Draws canonical tensors, (out, in), with structure."""

    def __init__(self, shape: Shape, rng: np.random.Generator) -> None:
        self.shape = shape
        self.rng = rng
        width = shape.width
        self.importance = np.exp(0.3 * rng.standard_normal(width)) + 2.0 * (rng.random(width) < 2.0 / width)
        self.level = 0.6 / np.sqrt(width)

    def norm(self) -> Array:
        """Effective gains around one, alike over layers in which channels stand out."""
        return _f32(self.importance * np.exp(0.1 * self.rng.standard_normal(self.shape.width)))

    def matrix(self, out: int, inner: int) -> Array:
        """A matrix whose rows differ in size and whose overall spread is its own."""
        rows = np.exp(0.3 * self.rng.standard_normal((out, 1)) + 0.15 * self.rng.standard_normal())
        return _f32(self.level * rows * self.rng.standard_normal((out, inner)))

    def small(self, size: int) -> Array:
        """A bias without structure."""
        return _f32(0.02 * self.rng.standard_normal(size))

    def rotary(self, heads: int) -> Array:
        """A Q or K bias: magnitudes grow with the index of the rotary pair, signs are free, tails are heavy."""
        half = np.geomspace(0.05, 1.0, max(1, self.shape.head_dim // 2))
        envelope = np.resize(np.concatenate([half, half]), self.shape.head_dim)
        return _f32((envelope * self.rng.standard_t(3, (heads, self.shape.head_dim))).ravel())

    def layer(self) -> dict[str, Array]:
        """One layer, by canonical role; experts as `role.N`."""
        s = self.shape
        inner, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
        drawn = {"input_norm": self.norm(), "mlp_norm": self.norm()}
        drawn |= {"q_proj": self.matrix(inner, s.width), "k_proj": self.matrix(kv, s.width)}
        drawn |= {"v_proj": self.matrix(kv, s.width), "o_proj": self.matrix(s.width, inner)}
        if s.layer_norm or s.architecture == "qwen2":
            drawn |= {
                "q_bias": self.rotary(s.heads),
                "k_bias": self.rotary(s.kv_heads),
                "v_bias": self.small(kv),
            }
        if s.architecture == "qwen3":
            drawn |= {
                n: _f32(np.exp(0.2 * self.rng.standard_normal(s.head_dim))) for n in ("q_norm", "k_norm")
            }
        if s.architecture == "gemma2":
            drawn |= {"attn_post_norm": self.norm(), "mlp_post_norm": self.norm()}
        if s.layer_norm:
            drawn |= {f"{n}_bias": self.small(s.width) for n in ("input_norm", "mlp_norm", "o", "down")}
            drawn["up_bias"] = self.small(s.neurons)
        for suffix in [f".{n}" for n in range(s.experts)] or [""]:
            drawn |= {} if s.layer_norm else {f"gate_proj{suffix}": self.matrix(s.neurons, s.width)}
            drawn[f"up_proj{suffix}"] = self.matrix(s.neurons, s.width)
            drawn[f"down_proj{suffix}"] = self.matrix(s.width, s.neurons)
        return drawn | ({"router": self.matrix(s.experts, s.width)} if s.experts else {})

    def outside(self) -> dict[str, Array]:
        """Embeddings and what stands behind the last layer."""
        s = self.shape
        drawn = {"embed_tokens": self.matrix(VOCABULARY, s.width) * _f32(self.importance)}
        drawn["final_norm"] = self.norm()
        if s.architecture not in ("gpt2", "gemma2"):
            drawn["lm_head"] = self.matrix(VOCABULARY, s.width)
        if s.layer_norm:
            drawn["final_norm_bias"] = self.small(s.width)
        if s.architecture == "gpt2":
            drawn["pos_embed"] = self.matrix(128, s.width)
        return drawn


def shape_of(architecture: str, *, layers: int, width: int, heads: int, kv_heads: int | None) -> Shape:
    """A shape with the proportions of its architecture; ForensicsError for an unknown one or sizes that do not fit."""
    if architecture not in CLASSES:
        raise ForensicsError(f"no tiny {architecture!r}", f"one of: {', '.join(CLASSES)}")
    if layers < 1 or width % (2 * heads) or heads % (kv_heads or 1):
        raise ForensicsError("sizes do not fit", "width must be a multiple of 2 * heads, heads of kv_heads")
    plain = architecture in ("gpt2", "gpt_neox")
    return Shape(
        architecture=architecture,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=heads if plain else kv_heads or max(1, heads // 2),
        neurons=(4 if plain else 3) * width,
        experts=4 if architecture == "mixtral" else 0,
    )


def tiny_checkpoint(  # noqa: PLR0913 - every size a test may want, by keyword
    folder: Path | str,
    *,
    architecture: str = "llama",
    seed: int = 0,
    layers: int = 4,
    width: int = 32,
    heads: int = 4,
    kv_heads: int | None = None,
    dtype: str = "bf16",
) -> Path:
    """Writes config.json, model.safetensors and tokenizer.json into `folder` (made if need be) and returns it.

    `architecture` is one of `CLASSES`; `seed` decides every weight; `dtype` is `bf16`, `f16` or `f32`.
    """
    shape = shape_of(architecture, layers=layers, width=width, heads=heads, kv_heads=kv_heads)
    drawn = Drawn(shape, np.random.Generator(np.random.PCG64(seed)))
    tensors: Stored = {n: (dtype, w) for n, w in stored_outside(architecture, drawn.outside())}
    for layer in range(layers):
        named = stored_layer(architecture, layer, drawn.layer(), shape.heads)
        tensors |= {n: (dtype, np.ascontiguousarray(w, np.float32)) for n, w in named}
    sizes = {k: v for k, v in asdict(shape).items() if k != "architecture"}
    config = config_of(
        architecture,
        CLASSES[architecture],
        {**sizes, "head_dim": shape.head_dim, "vocabulary": VOCABULARY},
        dtype,
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(), ensure_ascii=False), encoding="utf-8")
    return folder
