"""What the tests of blind spots are made of: models that took parts of another, and the record of a case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from forensics.case import Named, Request
from forensics.investigation import investigate
from forensics.readings import Measurement
from forensics.records import Dossier, Opinion
from forensics.registry import Registry
from forensics.testing import read_safetensors, write_safetensors

PROBES = (
    "attention-channels", "attention-circuits", "identity-attention", "identity-mlp", "neuron-match", "norm-gains",
    "residual-basis", "tokenizer-diff", "tower-identity", "weight-std",
)  # fmt: skip
Mixed = Callable[[str, np.ndarray, np.ndarray], np.ndarray]


def rewritten(folder: Path, how: Mixed, theirs: Path) -> Path:
    """Replaces each tensor by what `how` makes of it and of the one of that name in `theirs`."""
    path, other = folder / "model.safetensors", read_safetensors(theirs / "model.safetensors")
    made = {
        n: (d, np.asarray(how(n, w, other[n][1]), np.float32)) for n, (d, w) in read_safetensors(path).items()
    }
    write_safetensors(path, made)
    return folder


def taking(*parts: str) -> Mixed:
    """The other's tensors where the name holds one of `parts`."""
    return lambda name, own, theirs: theirs if any(part in name for part in parts) else own


def investigated(
    folder: Path, suspect: str, candidates: tuple[str, ...], controls: tuple[str, ...] = ()
) -> Dossier:
    """The record of a case."""
    request = Request(
        suspect=Named(label=suspect, path=folder / suspect),
        candidates=tuple(Named(label=name, path=folder / name) for name in candidates),
        controls=tuple(Named(label=name, path=folder / name) for name in controls),
        probes=PROBES,
        only_bundled=True,
    )
    return investigate(request, Registry.load(only_bundled=True)).dossier


def opinion(record: Dossier, name: str) -> Opinion:
    """The opinion on one candidate."""
    (found,) = [o for o in record.opinions if o.candidate == name]
    return found


def measured(record: Dossier, probe: str, name: str) -> Measurement:
    """The measurement of one probe against one candidate."""
    (outcome,) = [f.outcome for f in record.findings if (f.probe.id, f.candidate) == (probe, name)]
    assert isinstance(outcome, Measurement), outcome
    return outcome
