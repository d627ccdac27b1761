"""Grids: formats, codebooks and steps are told from free weights, and which side was rounded to which."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment.lattice import Lattice, cast, cast_between, image, lattice_of, stored_as

Floats = np.ndarray


def weights(seed: int = 0, scale: float = 0.02) -> Floats:
    """Natural weights: heavy-tailed rows of unlike size."""
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((128, 128)) * np.exp(0.3 * rng.standard_normal((128, 1)))).astype(
        np.float32
    )


def symmetric(block: Floats, bits: int, group: int = 0) -> Floats:
    """Rounded to multiples of one step per row or group of columns."""
    grouped = block.reshape(len(block), -1, group or block.shape[1])
    step = np.abs(grouped).max(axis=2, keepdims=True) / (2 ** (bits - 1) - 1)
    return np.asarray((np.rint(grouped / step) * step).reshape(block.shape), np.float32)


def affine(block: Floats, bits: int, group: int) -> Floats:
    """Rounded to a scale and zero point per group of columns."""
    grouped = block.reshape(len(block), -1, group)
    low = grouped.min(axis=2, keepdims=True)
    step = np.ptp(grouped, axis=2, keepdims=True) / (2**bits - 1)
    return np.asarray((np.rint((grouped - low) / step) * step + low).reshape(block.shape), np.float32)


def normal_float(block: Floats, group: int = 64) -> Floats:
    """Rounded to sixteen unevenly spaced levels times the largest of each group."""
    levels = np.sign(np.linspace(-1, 1, 16)) * np.abs(np.linspace(-1, 1, 16)) ** 1.5
    grouped = block.reshape(len(block), -1, group)
    largest = np.abs(grouped).max(axis=2, keepdims=True)
    nearest = np.abs((grouped / largest)[..., None] - levels).argmin(axis=-1)
    return np.asarray((levels[nearest] * largest).reshape(block.shape), np.float32)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_casts_are_those_of_the_formats(name: str) -> None:
    """Rounding to 16 bits is what numpy, or the bits themselves, give."""
    block = np.concatenate([weights().ravel(), np.float32([0.0, 1e-7, 3e-6, -1.0, 65504.0])])
    if name == "float16":
        wanted = block.astype(np.float16).astype(np.float32)
    else:
        bits = block.view(np.uint32).astype(np.uint64)
        wanted = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    assert np.array_equal(cast(block, name), wanted)
    assert stored_as(cast(weights(), name)) == name


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8-e4m3", "float8-e5m2"])
def test_a_cast_is_told_with_its_direction(name: str) -> None:
    """A model rounded to a format is the child; the other way round, and for itself, nothing is told."""
    parent = weights(scale=0.5)
    child = cast(parent, name)
    assert cast_between(child, parent) == name
    assert cast_between(parent, child) is None
    assert cast_between(parent, parent) is None


def test_a_little_training_in_a_finer_format_is_no_cast() -> None:
    """A float32 model that moved by a hundredth of a step from a bfloat16 one is not taken for its parent."""
    child = cast(weights(), "bfloat16")
    near = (
        child * np.float32(1.0)
        + child * np.random.default_rng(1).standard_normal(child.shape).astype(np.float32) * 4e-5
    )
    assert np.array_equal(cast(near, "bfloat16"), child)
    assert cast_between(child, near) is None


GRIDS = {
    "8 bits per row": (lambda w: symmetric(w, 8), Lattice(kind="steps", group=0, bits=8)),
    "8 bits per 32": (lambda w: symmetric(w, 8, 32), Lattice(kind="steps", group=32, bits=8)),
    "8 bits per column": (lambda w: symmetric(w.T, 8).T, Lattice(kind="steps", group=0, bits=8, turned=True)),
    "6 bits per 16": (lambda w: symmetric(w, 6, 16), Lattice(kind="steps", group=16, bits=6)),
    "4 bits per 32": (lambda w: affine(w, 4, 32), Lattice(kind="codes", group=32, bits=4)),
    "4 bits per row": (lambda w: affine(w, 4, 128), Lattice(kind="codes", group=0, bits=4)),
    "3 bits per 64": (lambda w: affine(w, 3, 64), Lattice(kind="codes", group=64, bits=3)),
    "normal float per 64": (normal_float, Lattice(kind="codes", group=64, bits=4)),
}


CASES = [(name, stored) for name in GRIDS for stored in ("float32", "bfloat16")]
CASES.remove(("6 bits per 16", "bfloat16"))  # lost among bfloat16's own steps


@pytest.mark.parametrize(("name", "stored"), CASES)
def test_grids_are_found_with_their_groups(name: str, stored: str) -> None:
    """Bits and group of a grid are read off the values, in float32 or rounded on to bfloat16, and the image is told."""
    make, grid = GRIDS[name]
    parent = weights()
    child = make(parent)
    if stored == "bfloat16":
        child = cast(child, "bfloat16")
    found = lattice_of(child)
    assert found == grid
    assert found.words()
    share, spread = image(child, found, parent)
    assert share > 0.97
    assert 0.38 < spread < 0.62


@pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16"])
def test_natural_weights_lie_on_no_grid(stored: str) -> None:
    """Weights of any 16 or 32 bit format, with zeros or without, and constant ones, lie on no grid."""
    for seed in range(3):
        block = weights(seed)
        block = block if stored == "float32" else cast(block, stored)
        assert lattice_of(block) is None
        assert lattice_of(np.where(np.abs(block) > 0.01, block, np.float32(0.0))) is None
    assert lattice_of(np.zeros((8, 8), np.float32)) is None
    assert lattice_of(np.ones((8, 8), np.float32)) is None


def test_scaled_eight_bit_floats_are_codes_of_the_whole_block() -> None:
    """8-bit floats under one scale have few distinct values over the block, whatever the scale."""
    child = cast(weights() * np.float32(37.0), "float8-e4m3") / np.float32(37.0)
    found = lattice_of(child)
    assert found is not None
    assert (found.kind, found.group) == ("codes", -1)
    assert image(child, found, weights())[0] > 0.95


def test_training_on_quantised_weights_is_not_rounding() -> None:
    """A model a little off a 4-bit one rounds to it, but fills no cells: its spread is far below a half."""
    child = affine(weights(), 4, 32)
    later = child + np.float32(2e-4) * np.random.default_rng(2).standard_normal(child.shape).astype(
        np.float32
    )
    found = lattice_of(child)
    assert found is not None
    share, spread = image(child, found, later)
    assert share > 0.97
    assert spread < 0.3


def test_another_model_is_no_image() -> None:
    """A quantised model is not the image of unrelated weights."""
    child = affine(weights(), 4, 32)
    found = lattice_of(child)
    assert found is not None
    assert image(child, found, weights(9))[0] < 0.5
