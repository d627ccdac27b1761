"""What other tools call a confirmed match, put to the whole pipeline: none of it is derivation.

One case: a model, its child, and models that share with it what other tools compare, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.case import Named, Request
from forensics.investigation import investigate
from forensics.readings import Measurement
from forensics.records import Dossier, Opinion
from forensics.registry import Registry
from forensics.testing import descend, read_safetensors, tiny_checkpoint, write_safetensors

PROBES = ("weight-std", "norm-gains", "neuron-match", "attention-circuits", "residual-basis", "tokenizer-diff")
SIZES: dict[str, Any] = {"layers": 8, "width": 64}
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


def flat_norms(name: str, own: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Norm gains near one, whose raw cosine with any others near one is close to one."""
    return 1 + 0.05 * (own - own.mean()) / own.std() if "norm" in name else own


def equal_spread(_: str, own: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Each tensor with exactly the other's spread."""
    return own * (theirs.std() / max(float(own.std()), 1e-9)) if own.ndim == 2 else own


SHARED: dict[str, Mixed] = {
    "config": lambda _, own, __: own,
    "spreads": equal_spread,
    "embeddings and norms": taking("embed", "lm_head", "norm"),
    "attention": taking("self_attn"),
    "mlp": taking("mlp."),
}
"""What an independent model has in common with the first; config, tokenizer and flat norms all of them."""


def investigated(folder: Path, suspect: str, candidates: tuple[str, ...], controls: tuple[str, ...] = ()) -> Dossier:
    """The record of a case."""
    request = Request(
        suspect=Named(label=suspect, path=folder / suspect),
        candidates=tuple(Named(label=name, path=folder / name) for name in candidates),
        controls=tuple(Named(label=name, path=folder / name) for name in controls),
        probes=PROBES,
        only_bundled=True,
    )
    return investigate(request, Registry.load(only_bundled=True)).dossier


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, two children of it, and one independent model for each entry of `SHARED`."""
    folder = tmp_path_factory.mktemp("blind")
    base = tiny_checkpoint(folder / "base", seed=1, **SIZES)
    rewritten(base, flat_norms, base)
    for k, (name, how) in enumerate(SHARED.items(), 2):
        own = tiny_checkpoint(folder / name, seed=k, **SIZES)
        rewritten(rewritten(own, flat_norms, base), how, base)
    for k, name in enumerate(("child", "other child")):
        descend(base, folder / name, noise=0.05, seed=k)
    return folder


@pytest.fixture(scope="module")
def record(models: Path) -> Dossier:
    """The first model against all of them."""
    return investigated(models, "base", ("child", *SHARED))


def opinion(record: Dossier, name: str) -> Opinion:
    """The opinion on one candidate."""
    (found,) = [o for o in record.opinions if o.candidate == name]
    return found


def measured(record: Dossier, probe: str, name: str) -> Measurement:
    """The measurement of one probe against one candidate."""
    (outcome,) = [f.outcome for f in record.findings if (f.probe.id, f.candidate) == (probe, name)]
    assert isinstance(outcome, Measurement), outcome
    return outcome


if __name__ == "__main__":
    import tempfile

    class F:
        def mktemp(self, n): return Path(tempfile.mkdtemp())
    import time
    t=time.time()
    m = models.__wrapped__(F()) if hasattr(models,'__wrapped__') else models.__pytest_wrapped__.obj(F())
    print(time.time()-t); t=time.time()
    r = investigated(m, "base", ("child", *SHARED))
    print(time.time()-t)
    for o in r.opinions:
        print('==',o.candidate,o.verdict,o.relation,o.log10_lr,o.exact and (o.exact.p,o.exact.p_holm),o.because)
    for f in r.findings:
        print(f.candidate,f.probe.id,getattr(f.outcome,'value',f.outcome),f.exact and f.exact.p, getattr(f.outcome,'facts',None), [s.sign for s in getattr(f.outcome,'signs',())])
