"""Descendants of tiny checkpoints: noise like that of fine-tuning, and rewritings that change no output."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from forensics.testing.files import read_safetensors, write_safetensors
from forensics.testing.rewriting import rewritten

PERMUTATIONS = ("permute-neurons", "permute-heads", "permute-experts", "permute-residual")


def descend(
    folder_from: Path | str,
    folder_to: Path | str,
    *,
    noise: float = 0.05,
    permute: bool = False,
    gauges: Sequence[str] = (),
    seed: int = 0,
) -> Path:
    """Writes a descendant of a tiny checkpoint into `folder_to` and returns it.

    Every tensor gets Gaussian noise of `noise` times its own standard deviation. With `permute`, residual channels,
    KV groups with their query heads, experts and MLP neurons are put in another order besides; `gauges` names further
    rewritings of the same function (`forensics.alignment.gauge_draws.GAUGES`; ForensicsError for an unknown one, or
    one that the architecture does not have).
    """
    source, target = Path(folder_from), Path(folder_to)
    rng = np.random.Generator(np.random.PCG64(seed))
    tensors = {
        name: (dtype, np.asarray(w + noise * w.std() * rng.standard_normal(w.shape), np.float32))
        for name, (dtype, w) in read_safetensors(source / "model.safetensors").items()
    }
    wanted = (*(PERMUTATIONS if permute else ()), *gauges)
    with TemporaryDirectory(prefix="forensics-descent-") as scratch:
        noisy = Path(scratch) / "noisy" if wanted else target
        noisy.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            if file.is_file() and file.name != "model.safetensors":
                shutil.copyfile(file, noisy / file.name)
        write_safetensors(noisy / "model.safetensors", tensors)
        return rewritten(noisy, target, wanted, seed) if wanted else target
