"""Which matrices are the legs of an MLP or of one of its experts, and whether their shapes fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import DENSE, Matrix
from forensics.alignment.neuron_sample import Unit

SHARED = -2
"""Stands for "the shared expert" where an expert's number would be; `DENSE` (-1) for "the MLP itself"."""
PREFIX = "shared_"

Found = TypeVar("Found", bound=Matrix)
Found_co = TypeVar("Found_co", bound=Matrix, covariant=True)


class Tensors(Protocol[Found_co]):
    """What is asked of a checkpoint."""

    def find(self, role: str, layer: int | None, expert: int | None) -> Found_co | None: ...  # noqa: D102
    def vector(self, role: str, layer: int | None) -> NDArray[np.float32] | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpLegs(Generic[Found]):
    """Gate, up and, where down `confirms`, down of a gated MLP; up and down of another."""

    checkpoint: Tensors[Found]
    glu: bool
    width: int
    confirms: bool

    @property
    def lead(self) -> str:
        """Role of the leg that decides which neurons are sampled."""
        return "gate_proj" if self.glu else "up_proj"

    @property
    def follow(self) -> str:
        """Role of the second leg."""
        return "up_proj" if self.glu else "down_proj"

    @property
    def third(self) -> str | None:
        """Role of the leg that confirms."""
        return "down_proj" if self.glu and self.confirms else None

    def is_third(self, spec: Matrix) -> bool:
        """Whether `spec` is a leg that confirms."""
        return spec.role.removeprefix(PREFIX) == self.third

    def of(self, spec: Matrix, role: str) -> Found | None:
        """The leg `role` of the unit that `spec` belongs to."""
        return self.checkpoint.find(PREFIX * spec.role.startswith(PREFIX) + role, spec.layer, spec.expert)

    def at(self, unit: Unit, role: str) -> Found | None:
        """The leg `role` of a unit."""
        layer, expert = unit
        return self.checkpoint.find(
            PREFIX * (expert == SHARED) + role, layer, expert if expert >= 0 else None
        )

    def fit(self, spec: Matrix) -> bool:
        """Whether `spec` is a leg that is asked for, and both legs fit each other and the width; so must the third."""
        role = spec.role.removeprefix(PREFIX)
        if role not in {self.lead, self.follow, self.third}:
            return False
        lead, follow = self.of(spec, self.lead), self.of(spec, self.follow)
        if lead is None or follow is None or lead.columns != self.width:
            return False
        turned = (lead.columns, lead.rows)
        fits = (follow.rows, follow.columns) == (turned[::-1] if self.glu else turned)
        return fits and (role != self.third or (spec.rows, spec.columns) == turned)

    def gain(self, layer: int) -> NDArray[np.float32] | None:
        """Gain of the norm in front of the MLP; where attention and MLP share one norm, that one; else none."""
        for role in ("mlp_norm", "input_norm"):
            found = self.checkpoint.vector(role, layer)
            if found is not None and len(found) == self.width:
                return found
        return None


def unit_of(spec: Matrix) -> Unit:
    """The unit (layer, expert) a leg belongs to."""
    if spec.role.startswith(PREFIX):
        return spec.layer or 0, SHARED
    return spec.layer or 0, DENSE if spec.expert is None else spec.expert
