"""Checkpoints rewritten by gauges: other weights on disk, the same function, the same names and fusions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.gauge_draws import GAUGES
from forensics.alignment.gauges import Place
from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.checkpoint.config import model_type
from forensics.checkpoint.fill import module_tensor
from forensics.errors import ForensicsError
from forensics.probe import TensorSpec
from forensics.testing.files import Stored, read_safetensors, write_safetensors

Canonical = dict[Place, NDArray[np.float32]]

UNTYING = ("fold-gains", "rotate-residual")
"""Gauges that need output embeddings of their own: the final norm's gain goes into them."""


def canonical_weights(checkpoint: Checkpoint) -> Canonical:
    """Every recognised tensor by role, layer and expert: matrices (out, in), vectors (n,). For small checkpoints."""
    found: Canonical = {}
    for spec in checkpoint.specs:
        whole = checkpoint.matrix(spec)
        found[spec.role, spec.layer, spec.expert] = whole[:, 0] if spec.columns == 1 else whole
    return found


class Held:
    """Canonical weights in memory, as far as `module_tensor` asks a checkpoint for them."""

    def __init__(self, weights: Canonical, like: Checkpoint) -> None:
        self.weights, self.layouts, self.architecture, self.plan = (
            weights,
            like.layouts,
            like.architecture,
            like.plan,
        )

    def find(self, role: str, layer: int | None = None, expert: int | None = None) -> TensorSpec | None:
        """The tensor of that role, or None."""
        held = self.weights.get((role, layer, expert))
        if held is None:
            return None
        columns = held.shape[1] if held.ndim == 2 else 1
        return TensorSpec(
            role=role, layer=layer, expert=expert, rows=len(held), columns=columns, dtype="f32", source=""
        )

    def rows(self, spec: TensorSpec) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The whole tensor as one block."""
        yield 0, self.weights[spec.role, spec.layer, spec.expert].reshape(spec.rows, spec.columns)


def rewritten(folder_from: Path | str, folder_to: Path | str, gauges: Sequence[str], seed: int = 0) -> Path:
    """Writes the checkpoint with `gauges` (names of `GAUGES`) applied in turn into `folder_to` and returns it.

    One safetensors file in, one out, in the same precision: in bf16 a gauge that multiplies rounds anew. Tied
    embeddings are untied where a gauge needs it. ForensicsError for an unknown gauge or one that the architecture
    does not have.
    """
    source, target = Path(folder_from), Path(folder_to)
    unknown = [name for name in gauges if name not in GAUGES]
    if unknown:
        raise ForensicsError(f"no gauge {unknown[0]!r}", f"one of: {', '.join(GAUGES)}")
    stored = read_safetensors(source / "model.safetensors")
    checkpoint = open_checkpoint(str(source), label="source")
    try:
        weights = canonical_weights(checkpoint)
        untied = ("lm_head", None, None) not in weights and bool(set(UNTYING) & set(gauges))
        if untied:
            weights["lm_head", None, None] = weights["embed_tokens", None, None].copy()
            name, precision = _output_name(stored)
            stored[name] = (precision, weights["lm_head", None, None])
        rng = np.random.Generator(np.random.PCG64(seed))
        for name in gauges:
            weights = GAUGES[name](weights, checkpoint.architecture, rng)
        written = _written(stored, Held(weights, checkpoint), model_type(checkpoint.config))
    finally:
        checkpoint.close()
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file() and file.name != "model.safetensors":
            shutil.copyfile(file, target / file.name)
    write_safetensors(target / "model.safetensors", written)
    if untied:
        config: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
        (target / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}, indent=1))
    return target


def _output_name(stored: Stored) -> tuple[str, str]:
    """Name and precision of output embeddings that are about to be stored."""
    embedding = next(
        name for name in stored if name.endswith(("embed_tokens.weight", "wte.weight", "embed_in.weight"))
    )
    return "embed_out.weight" if "embed_in" in embedding else "lm_head.weight", stored[embedding][0]


def _written(stored: Stored, held: Held, declared: str) -> Stored:
    """Every stored tensor with its new values; those that hold no parameters are kept."""
    written: Stored = {}
    for name, (precision, old) in stored.items():
        new = module_tensor(cast("Checkpoint", held), declared, name, old.shape)
        if new is None:
            raise ForensicsError(f"{name} cannot be put together again")
        written[name] = (precision, new)
    return written
