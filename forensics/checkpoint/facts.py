"""What a checkpoint offers besides its tensors: anchor embeddings, tokenizer facts, bounded text files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forensics.checkpoint.tokenizer_steps import patterns_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROLES = {
    "embed_tokens": "token embeddings, (vocabulary, width)",
    "lm_head": "output embeddings, (vocabulary, width)",
    "pos_embed": "learned absolute position embeddings",
    "final_norm": "gain of the norm before the output embeddings",
    "final_norm_bias": "its bias",
    "input_norm": "gain of the norm in front of attention",
    "input_norm_bias": "its bias",
    "embed_norm": "gain of a norm behind the token embeddings (BLOOM)",
    "embed_norm_bias": "its bias",
    "layer_embed": "token embeddings that every layer adds for itself (Gemma 3n)",
    "lm_head_bias": "bias of the output embeddings",
    "attn_post_norm": "gain of a norm behind attention (Gemma 2 and 3)",
    "mlp_norm": "gain of the norm in front of the MLP",
    "mlp_norm_bias": "its bias",
    "mlp_post_norm": "gain of a norm behind the MLP (Gemma 2 and 3)",
    "q_proj": "queries, (heads * head_dim, width)",
    "k_proj": "keys, (kv_heads * head_dim, width)",
    "v_proj": "values, (kv_heads * head_dim, width)",
    "o_proj": "attention output, (width, heads * head_dim)",
    "q_bias": "bias of the queries",
    "k_bias": "bias of the keys",
    "v_bias": "bias of the values",
    "o_bias": "bias of the attention output",
    "q_norm": "gain of the norm on queries, per head dimension (Qwen3, Gemma 3)",
    "k_norm": "gain of the norm on keys",
    "gate_proj": "MLP gate of a gated linear unit, (neurons, width)",
    "up_proj": "MLP input, (neurons, width)",
    "down_proj": "MLP output, (width, neurons)",
    "gate_bias": "bias of the gate",
    "up_bias": "bias of the MLP input",
    "down_bias": "bias of the MLP output",
    "router": "router of a mixture of experts, (experts, width)",
    "shared_gate_proj": "gate of the shared expert",
    "shared_up_proj": "input of the shared expert",
    "shared_down_proj": "output of the shared expert",
    "shared_router": "gate of the shared expert as a whole, (1, width)",
    "router_bias": "bias of the router",
    "router_correction": "what a router adds to its answer to choose experts but not to weigh them (DeepSeek-V3)",
    "router_scale": "factor on the router's answer, per expert (Pangu)",
    "q_norm_bias": "bias of the norm on queries",
    "k_norm_bias": "bias of the norm on keys",
    "q_wide_norm": "gain of a norm over all queries at once, (heads * head_dim) (OLMo 2)",
    "k_wide_norm": "gain of a norm over all keys at once",
    "q_head_norm": "gains of a norm on queries, one vector per head, (heads, head_dim) (Command R+)",
    "k_head_norm": "gains of a norm on keys, one vector per head",
    "attn_inner_norm": "gain of a norm between heads and attention output (BitNet)",
    "mlp_inner_norm": "gain of a norm between neurons and MLP output (BitNet)",
    "attn_gate_proj": "gate on what the heads give, (heads * head_dim, width) (Qwen3-Next)",
    "sinks": "logit of attending to nothing, per head (gpt-oss)",
    "q_a_proj": "latent attention: queries' first factor, (query rank, width)",
    "q_a_norm": "latent attention: gain of the norm on the queries' latent",
    "q_b_proj": "latent attention: queries' second factor, (heads * head_dim, query rank)",
    "kv_a_proj": "latent attention: first factor of keys and values, then the rotary key, (rank + rotary, width)",
    "kv_a_norm": "latent attention: gain of the norm on the latent of keys and values",
    "kv_b_proj": "latent attention: second factor of keys and values, head by head",
    "index_q_proj": "latent attention: queries of the index that chooses tokens (DeepSeek-V3.2)",
    "index_k_proj": "latent attention: keys of that index",
    "index_k_norm": "latent attention: gain of the norm on its keys",
    "index_k_norm_bias": "its bias",
    "index_weights_proj": "latent attention: weights of its heads",
    "linear_q_proj": "linear attention: queries, (key_heads * key_dim, width)",
    "linear_k_proj": "linear attention: keys, (key_heads * key_dim, width)",
    "linear_v_proj": "linear attention: values, (value_heads * value_dim, width)",
    "linear_z_proj": "linear attention: gate on what the heads give, (value_heads * value_dim, width)",
    "linear_b_proj": "linear attention: strength of writing, (value_heads, width)",
    "linear_a_proj": "linear attention: decay, (value_heads, width)",
    "linear_conv": "linear attention: short convolution over queries, keys and values, (channels, taps)",
    "linear_a_log": "linear attention: logarithm of the decay rate, per value head",
    "linear_dt_bias": "linear attention: bias of the decay, per value head",
    "linear_norm": "linear attention: gain of the norm on what a head gives",
    "linear_o_proj": "linear attention: output, (width, value_heads * value_dim)",
    "ssm_in_proj": "state space: input and gate, (2 * channels, width)",
    "ssm_conv": "state space: short convolution, (channels, taps)",
    "ssm_conv_bias": "state space: its bias",
    "ssm_x_proj": "state space: step, input and output maps of a token, from the channels",
    "ssm_dt_proj": "state space: step per channel, (channels, rank)",
    "ssm_dt_bias": "state space: bias of the step",
    "ssm_a_log": "state space: logarithm of the decay rate",
    "ssm_d": "state space: what passes by the state, per channel",
    "ssm_norm": "state space: gain of a norm inside the mixer",
    "ssm_out_proj": "state space: output, (width, channels)",
}
"""Canonical roles. Matrices are (out, in) whatever the file's orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Embedding rows of the anchor tokens: the byte strings with the smallest 64-bit hashes (decision 14)."""

    hashes: NDArray[np.uint64]
    """Hash of each token's bytes, ascending, shape (n,). The same string has the same hash in every checkpoint."""
    rows: NDArray[np.float32]
    """Finite embedding rows in the same order, shape (n, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """A tokenizer as data: parsed as JSON, never run. All text in it is hostile."""

    model: str
    """`BPE`, `Unigram`, `WordPiece`, … as declared."""
    tokens: Mapping[bytes, int]
    """Byte-normalised token strings (GPT-2 byte table and `▁`, `<0xNN>` undone) to ids."""
    merges: tuple[tuple[bytes, bytes], ...] = ()
    special: Mapping[str, int] = field(default_factory=dict)
    """Added and special tokens, as text, to ids."""
    normalizer: str = ""
    """Canonical JSON of its steps (`tokenizer_steps.steps_of`), empty where the file does not tell."""
    pre_tokenizer: str = ""
    """The same; a GGUF header tells a name only."""
    chat_template: str | None = None
    source: str = ""
    """File it came from."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns by which text is split before merges, in order, as text."""
        return patterns_of(self.pre_tokenizer)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A small text file of the checkpoint: card, licence, notice, code, config. Hostile text, never run."""

    name: str
    """Relative name with forward slashes."""
    text: str
    """Decoded as UTF-8 with replacement, cut at the size budget."""
    truncated: bool
