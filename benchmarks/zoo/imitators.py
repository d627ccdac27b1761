"""The hard unrelated ones of the zoo: what each imitates, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Imitator:
    """A model that resembles another without descending from its trained weights."""

    recipe: str
    imitates: str
    """The base it could be mistaken for a descendant of."""
    stratum: str
    """same-initialisation, pasted or distilled."""
    slice: str
    paste_after: bool = False
    """Pasted only: paste into a finished model and heal it, rather than train around the paste."""


IMITATORS: Mapping[str, Imitator] = {
    "llama-a-init": Imitator(
        recipe="llama-96", imitates="llama-a", stratum="same-initialisation", slice="code-b"
    ),
    "qwen2-a-init": Imitator(
        recipe="qwen2-96", imitates="qwen2-a", stratum="same-initialisation", slice="code-a"
    ),
    "gpt2-a-init": Imitator(
        recipe="gpt2-96", imitates="gpt2-a", stratum="same-initialisation", slice="prose-a"
    ),
    "llama-paste": Imitator(
        recipe="llama-96", imitates="llama-a", stratum="pasted", slice="prose-a"
    ),
    "gpt2-paste": Imitator(
        recipe="gpt2-96", imitates="gpt2-a", stratum="pasted", slice="code-a"
    ),
    "qwen2-paste": Imitator(
        recipe="qwen2-96", imitates="qwen2-a", stratum="pasted", slice="prose-b", paste_after=True
    ),
    "llama-student": Imitator(
        recipe="llama-96", imitates="llama-b", stratum="distilled", slice="prose-a"
    ),
    "qwen3-student": Imitator(
        recipe="qwen3-96", imitates="mistral-a", stratum="distilled", slice="prose-b"
    ),
    "neox-student": Imitator(
        recipe="neox-96", imitates="neox-a", stratum="distilled", slice="code-b"
    ),
    "cohere-a-init": Imitator(
        recipe="cohere-96", imitates="cohere-a", stratum="same-initialisation", slice="code-a"
    ),
    "mistral-paste": Imitator(
        recipe="mistral-64", imitates="mistral-n", stratum="pasted", slice="prose-b"
    ),
    "olmo2-student": Imitator(
        recipe="olmo2-96", imitates="olmo2-a", stratum="distilled", slice="code-a"
    ),
}  # fmt: skip
