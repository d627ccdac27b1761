"""An in-memory checkpoint for probe tests: streams numpy arrays in odd blocks, the way files are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoint.facts import Anchors, TextFile, TokenizerFacts
from forensics.probe import Abstain, Sketch, SketchProbe, TensorSpec
from forensics.records import Architecture

Key = tuple[str, int | None, int | None]
"""(role, layer, expert)."""

FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Tensors of one layer that a fused file stores in one: their blocks come interleaved."""


def architecture_of(
    *,
    layers: int = 4,
    width: int = 32,
    heads: int = 4,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    **rest: Any,
) -> Architecture:
    """A Llama-like architecture with defaults for what a test does not care about."""
    kv_heads = heads if kv_heads is None else kv_heads
    head_dim = width // heads if head_dim is None else head_dim
    facts: dict[str, Any] = {
        "declared": "LlamaForCausalLM",
        "layout": "llama",
        "vocabulary": 64,
        "norm": "rms",
        **rest,
    }
    return Architecture(
        layers=layers, width=width, heads=heads, kv_heads=kv_heads, head_dim=head_dim, **facts
    )


class StandIn:
    """Looks to a probe like `forensics.checkpoint.Checkpoint`; tensors are canonical numpy arrays."""

    def __init__(
        self,
        tensors: Mapping[Key, NDArray[Any]],
        architecture: Architecture,
        *,
        anchors: Anchors | None = None,
        tokenizer: TokenizerFacts | None = None,
        texts: Iterable[TextFile] = (),
        label: str = "standin",
        config: Mapping[str, Any] | None = None,
        stated: Mapping[str, str] | None = None,
    ) -> None:
        self.label = label
        self.architecture = architecture
        self.config = dict(config or {})
        self.stated = dict(stated or {})
        self.tokenizer = tokenizer
        self.texts = tuple(texts)
        self.texts_omitted = 0
        self.repository = None
        self._anchors = anchors
        self._tensors = {key: np.asarray(array, np.float32) for key, array in tensors.items()}
        self.specs = tuple(sorted((_spec(k, a) for k, a in self._tensors.items()), key=lambda s: s.source))

    def find(self, role: str, layer: int | None = None, expert: int | None = None) -> TensorSpec | None:
        """The spec of that tensor, or None."""
        wanted = (role, layer, expert)
        return next((s for s in self.specs if (s.role, s.layer, s.expert) == wanted), None)

    def vector(self, role: str, layer: int | None = None) -> NDArray[np.float32] | None:
        """A 1-D tensor, or None."""
        array = self._tensors.get((role, layer, None))
        return None if array is None or array.ndim != 1 else array.copy()

    def anchors(self, count: int) -> Anchors | None:
        """The first `count` anchors, or None."""
        if self._anchors is None:
            return None
        return Anchors(hashes=self._anchors.hashes[:count], rows=self._anchors.rows[:count])

    def rows(self, spec: TensorSpec, block_rows: int = 7) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Row blocks of one tensor, ascending; the array is reused, as the real reader may do."""
        array = self._tensors[spec.role, spec.layer, spec.expert].reshape(spec.rows, spec.columns)
        for start in range(0, spec.rows, block_rows):
            yield start, array[start : start + block_rows].copy()


def _spec(key: Key, array: NDArray[np.float32]) -> TensorSpec:
    """The spec of one tensor, with a source name that sorts as in a file."""
    role, layer, expert = key
    middle = "" if layer is None else f"layers.{layer}."
    middle += "" if expert is None else f"experts.{expert}."
    rows, columns = (array.shape[0], 1) if array.ndim == 1 else (array.shape[0], array.shape[1])
    return TensorSpec(
        role=role,
        layer=layer,
        expert=expert,
        rows=rows,
        columns=columns,
        dtype="f32",
        source=f"model.{middle}{role}.weight",
    )


def run_sketch(probe: SketchProbe, standin: Any, block_rows: int = 7) -> Sketch:
    """The probe's sketch of a stand-in, read once in file order; an abstention becomes an empty sketch."""
    try:
        sketcher = probe.sketcher(standin)
        for bundle in _bundles(standin.specs):
            wanted = [spec for spec in bundle if sketcher.wants(spec)]
            streams = [(spec, standin.rows(spec, block_rows)) for spec in wanted]
            while streams:
                still = []
                for spec, stream in streams:
                    block = next(stream, None)
                    if block is None:
                        continue
                    start, rows = block
                    sketcher.see(spec, rows, start)
                    rows.fill(np.nan)  # the block is only valid during the call
                    still.append((spec, stream))
                streams = still
        return sketcher.finish()
    except Abstain as answer:
        empty = probe.sketch({})
        return Sketch(
            probe=empty.probe,
            version=empty.version,
            parameters=empty.parameters,
            absent=answer.recorded(),
        )


def _bundles(specs: tuple[TensorSpec, ...]) -> Iterator[list[TensorSpec]]:
    """Groups of tensors whose blocks come interleaved; all others alone, in file order."""
    done: set[TensorSpec] = set()
    for spec in specs:
        if spec in done:
            continue
        family = next((f for f in FUSED if spec.role in f), (spec.role,))
        bundle = [s for s in specs if s.role in family and (s.layer, s.expert) == (spec.layer, spec.expert)]
        done.update(bundle)
        yield bundle
