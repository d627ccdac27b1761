"""Changes of weights that are no gauges: drawn anew, with noise added, rounded. Each tensor from its own seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from forensics.alignment.gauges import Floats, Place

GROUP = 32
"""Numbers of a row that share one scale when rounded, as in common 4-bit formats."""


def _generator(seed: tuple[int, ...], place: Place, at: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([*seed, zlib.crc32(repr(place).encode()), at]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrawn:
    """Every number drawn anew from a normal distribution with the mean and standard deviation of its tensor."""

    seed: tuple[int, ...]
    needs_moments: bool = True

    def source(self, place: Place) -> Place:
        """The tensor itself."""
        return place

    def changed(self, place: Place, tensor: Floats, at: int, moments: tuple[float, float]) -> Floats:
        """Noise in the tensor's shape."""
        mean, std = np.float32(moments[0]), np.float32(moments[1])
        drawn = _generator(self.seed, place, at).standard_normal(tensor.shape, dtype=np.float32)
        drawn *= std
        drawn += mean
        return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaken:
    """Normal noise added, of `share` times the standard deviation of each tensor."""

    seed: tuple[int, ...]
    share: float
    needs_moments: bool = True

    def source(self, place: Place) -> Place:
        """The tensor itself."""
        return place

    def changed(self, place: Place, tensor: Floats, at: int, moments: tuple[float, float]) -> Floats:
        """The tensor with noise."""
        noise = _generator(self.seed, place, at).standard_normal(tensor.shape, dtype=np.float32)
        noise *= np.float32(self.share * moments[1])
        noise += tensor
        return noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounded:
    """Matrices rounded to 15 levels, symmetric about zero, with one scale for every `GROUP` numbers of a row."""

    needs_moments: bool = False

    def source(self, place: Place) -> Place:
        """The tensor itself."""
        return place

    def changed(self, place: Place, tensor: Floats, at: int, moments: tuple[float, float]) -> Floats:
        """The tensor rounded; a vector as it is."""
        del place, at, moments
        if tensor.ndim == 1:
            return tensor
        rows, columns = tensor.shape
        padded = np.zeros((rows, -(-columns // GROUP) * GROUP), np.float32)
        padded[:, :columns] = tensor
        groups = padded.reshape(rows, -1, GROUP)
        scales = np.abs(groups).max(axis=2, keepdims=True) / np.float32(7)
        scales[~(scales > 0)] = 1
        groups /= scales
        np.rint(groups, out=groups)
        groups *= scales
        return np.ascontiguousarray(padded[:, :columns])
