"""Low-rank updates: what an adapter's tensors add to the matrices of its base.

ΔW = s · B A with s = α / r, or α / √r for rank-stabilised adapters (Hu et al. 2021, arXiv 2106.09685, §4.1;
Kalajdzievski 2023, arXiv 2312.03732); with a magnitude vector m (Liu et al. 2024, arXiv 2402.09353, eq. 5) the row
w of W + ΔW becomes m · w / ‖w‖.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

RANK_LIMIT = 4_096
LITERAL = re.compile(r"[\w.\-]+")
"""A pattern of rank_pattern or alpha_pattern that is a plain end of a module's path; others are not evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What adapter_config.json says about the size of the updates; bounded, hostile."""

    alpha: float
    alphas: Mapping[str, float]
    """Per end of a module's path."""
    rank_stabilised: bool
    unclear: bool
    """Whether `alpha_pattern` holds regular expressions, which are not evaluated."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """From the sanitised config."""
        patterns = config.get("alpha_pattern")
        patterns = patterns if isinstance(patterns, dict) else {}
        plain = {k: float(v) for k, v in patterns.items() if _is_number(v) and LITERAL.fullmatch(k)}
        alpha = config.get("lora_alpha")
        return cls(
            alpha=float(alpha) if _is_number(alpha) and alpha is not None else math.nan,
            alphas=plain,
            rank_stabilised=config.get("use_rslora") is True,
            unclear=len(plain) < len(patterns),
        )

    def scale(self, module: str, rank: int) -> float:
        """s of a module by its path and the rank that its tensors have; NaN where the config does not say."""
        fitting = [k for k in self.alphas if module == k or module.endswith("." + k)]
        alpha = self.alphas[max(fitting, key=len)] if fitting else self.alpha
        if self.unclear and not fitting:
            return math.nan
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """ΔW of one matrix as a patch of its rows; A is (r, in), B is (out, r) with the scale in it."""

    A: Floats
    B: Floats
    magnitude: Floats | None = None
    """m, shape (out,), or None."""

    @property
    def extent(self) -> tuple[int, int]:
        """(out, in)."""
        return self.B.shape[0], self.A.shape[1]

    def apply(self, row: int, block: Floats) -> Floats:
        """Rows of W + ΔW, with m applied where there is one."""
        with np.errstate(all="ignore"):
            changed: Floats = block + self.B[row : row + len(block)] @ self.A
            if self.magnitude is not None:
                lengths = np.linalg.norm(changed, axis=1, keepdims=True)
                changed *= self.magnitude[row : row + len(block), None] / lengths
        return changed

    def norm(self) -> float:
        """‖ΔW‖ (Frobenius), from the r × r Gram matrices alone."""
        with np.errstate(all="ignore"):
            grams = (self.A @ self.A.T) * (self.B.T @ self.B)
            return float(np.sqrt(max(0.0, float(grams.sum(dtype=np.float64)))))
