"""What a checkpoint offers besides its tensors: anchor embeddings, tokenizer facts, bounded text files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """Canonical JSON of the normalizer."""
    pre_tokenizer: str = ""
    chat_template: str | None = None
    source: str = ""
    """File it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A small text file of the checkpoint: card, licence, notice, code, config. Hostile text, never run."""

    name: str
    """Relative name with forward slashes."""
    text: str
    """Decoded as UTF-8 with replacement, cut at the size budget."""
    truncated: bool
