"""The contract every probe keeps, as one call; its messages tell the author what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint import Checkpoint, open_checkpoint
from forensics.probe import API, Abstain, Pair, Probe, Sketch, SketchProbe
from forensics.readings import Abstention, Failure, Measurement
from forensics.testing.descent import descend
from forensics.testing.files import read_safetensors, write_safetensors
from forensics.testing.tiny import tiny_checkpoint

if TYPE_CHECKING:
    from forensics.reading import ReadingDone

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SKETCH_AIM = 8 << 20
SMALL_BLOCK = 200
"""Bytes per row block in the second reading: a row or two at a time."""


def check_probe(probe: Probe | SketchProbe) -> None:
    """Raises AssertionError, saying what to change, unless `probe` keeps the contract.

    It must declare itself fully; give a measurement or an abstention with a reason for an identical, a descended, an
    unrelated and a foreign pair, the same one twice; and answer one layer, NaN weights and missing tensors with a
    reading or an abstention, never with another error. A sketch must survive being saved, and must not depend on the
    size of row blocks. A `compare_all` meets several candidates in the same way. Takes seconds; writes only below a
    temporary folder.
    """
    _check_declaration(probe)
    with TemporaryDirectory(prefix="forensics-contract-") as scratch:
        folders = _folders(Path(scratch))
        opened = {name: open_checkpoint(folder, label=name) for name, folder in folders.items()}
        try:
            for suspect in folders:
                _check_pair(probe, opened[suspect], opened["parent"])
            for candidate in ("one-layer", "nan", "bare"):
                _check_pair(probe, opened["parent"], opened[candidate])
            if isinstance(probe, SketchProbe):
                _check_sketch(probe, opened["parent"], Path(scratch))
                _check_together(probe, opened)
        finally:
            for checkpoint in opened.values():
                checkpoint.close()


def _check_declaration(probe: Probe | SketchProbe) -> None:
    """What a probe says of itself."""
    assert isinstance(probe, Probe | SketchProbe), (
        "derive the probe from forensics.Probe or forensics.SketchProbe"
    )
    kind = type(probe).__name__
    settings = getattr(type(probe), "__dataclass_params__", None)
    assert settings is not None, f"decorate {kind} with @dataclass(frozen=True, kw_only=True)"
    assert settings.frozen, (
        f"decorate {kind} with @dataclass(frozen=True, kw_only=True): parameters must not change"
    )
    own = "__dataclass_params__" in vars(type(probe))
    assert own, f"decorate {kind} itself with @dataclass(frozen=True, kw_only=True), not only its parent"
    for name in ("id", "version", "title", "measures"):
        said = getattr(type(probe), name, None)
        assert isinstance(said, str), f"give {kind} a class attribute {name}: ClassVar[str]"
        assert said.strip(), f"{kind}.{name} is empty: it stands in every dossier"
    assert ID.fullmatch(probe.id), f"id {probe.id!r}: use lower-case words joined by hyphens"
    assert probe.api == API, (
        f"api is {probe.api}, this house speaks {API}: adapt the probe to the current contract"
    )
    for name, value in probe.parameters().items():
        plain = value is None or isinstance(value, str | int | float)
        assert plain, f"parameter {name} is a {type(value).__name__}: use str, int, float, bool or None"
        assert not isinstance(value, float) or math.isfinite(value), f"parameter {name} is not finite"


def _folders(root: Path) -> dict[str, Path]:
    """Checkpoints to examine against `parent`, which comes first: the identical pair."""
    parent = tiny_checkpoint(root / "parent", architecture="qwen2", layers=6, seed=1)
    folders = {
        "parent": parent,
        "child": descend(parent, root / "child", noise=0.05, seed=2),
        "permuted": descend(parent, root / "permuted", noise=0.05, permute=True, seed=3),
        "stranger": tiny_checkpoint(root / "stranger", architecture="qwen2", layers=6, seed=4),
        "foreigner": tiny_checkpoint(root / "foreigner", architecture="gpt2", layers=3, width=48, seed=5),
        "one-layer": tiny_checkpoint(root / "one-layer", architecture="qwen2", layers=1, seed=6),
    }
    spoilt = descend(parent, root / "nan", noise=0.0)
    tensors = read_safetensors(spoilt / "model.safetensors")
    hostile = {n: (d, np.full_like(w, np.nan)) for n, (d, w) in tensors.items()}
    write_safetensors(spoilt / "model.safetensors", hostile)
    bare = descend(parent, root / "bare", noise=0.0)
    write_safetensors(bare / "model.safetensors", {"odd.weight": ("f32", np.ones((3, 2), np.float32))})
    (bare / "tokenizer.json").unlink()
    return {**folders, "nan": spoilt, "bare": bare}


def _check_pair(probe: Probe | SketchProbe, suspect: Checkpoint, candidate: Checkpoint) -> None:
    """A reading or an abstention, and the same one twice."""
    where = f"{probe.id} on {suspect.label} against {candidate.label}"
    first, second = (_outcome(probe, suspect, candidate, where) for _ in range(2))
    assert first == second, (
        f"{where}: two runs differ; draw from a generator seeded by a parameter, and sort sets"
    )


def _outcome(
    probe: Probe | SketchProbe, suspect: Checkpoint, candidate: Checkpoint, where: str
) -> Measurement | Abstention:
    """What the probe says of a pair."""

    def asked() -> Measurement | Abstention:
        if not isinstance(probe, SketchProbe):
            return probe.examine(Pair(suspect=suspect, candidate=candidate))
        sketches = [_sketch(probe, side, where) for side in (suspect, candidate)]
        absent = next((s.absent for s in sketches if isinstance(s.absent, Abstention)), None)
        return absent or probe.compare(*sketches)

    return _answer(asked, where)


def _answer(asked: Callable[[], Measurement | Abstention], where: str) -> Measurement | Abstention:
    """What a probe says, having checked that it said it properly."""
    try:
        found = asked()
    except Abstain as answer:
        found = answer.recorded()
    except AssertionError:
        raise
    except Exception as error:
        message = f"{where}: {type(error).__name__}: {error}; raise Abstain(Reason.…, 'why') for input it cannot use"
        raise AssertionError(message) from error
    assert isinstance(found, Measurement | Abstention), (
        f"{where}: return a Measurement, not {type(found).__name__}"
    )
    said = (found.detail,) if isinstance(found, Abstention) else (found.summary, found.quantity)
    assert all(text.strip() for text in said), f"{where}: say in words what was found, or why nothing was"
    return found


def _read(probe: SketchProbe, checkpoint: Checkpoint) -> ReadingDone:
    """One pass with this probe alone."""
    from forensics.reading import read

    return read(checkpoint, [probe])


def _sketch(probe: SketchProbe, checkpoint: Checkpoint, where: str) -> Sketch:
    """The probe's sketch; a failure while sketching is the author's to mend."""
    sketch = _read(probe, checkpoint).sketches[probe.id]
    assert not isinstance(sketch.absent, Failure), (
        f"{where}: sketching {checkpoint.label} failed ({sketch.absent}); raise Abstain for input it cannot use"
    )
    expected = (probe.id, probe.version, probe.parameters())
    signed = (sketch.probe, sketch.version, dict(sketch.parameters))
    assert signed == expected, f"{where}: build the sketch with self.sketch(arrays, facts), which signs it"
    return sketch


def _check_sketch(probe: SketchProbe, checkpoint: Checkpoint, scratch: Path) -> None:
    """Small, savable, and the same whatever the size of row blocks."""
    from forensics.sketches import SketchBook, load, save

    done = _read(probe, checkpoint)
    sketch = done.sketches[probe.id]
    size = sum(array.nbytes for array in sketch.arrays.values())
    assert size <= SKETCH_AIM, (
        f"a sketch of a tiny checkpoint takes {size:,} bytes: keep less, aim under 8 MB"
    )
    save(scratch / "sketch", SketchBook(subject=done.subject, sketches=done.sketches))
    back = load(scratch / "sketch").sketches[probe.id]
    assert dict(back.facts) == dict(sketch.facts), (
        "facts of a sketch must be plain JSON scalars to survive saving"
    )
    _same_arrays(sketch, back, 0.0, "changed by saving")
    if sketch.absent is None:
        _same_arrays(
            sketch,
            _in_small_blocks(probe, checkpoint),
            1e-3,
            "differs with small row blocks: use `start`, copy rows",
        )


def _check_together(probe: SketchProbe, opened: Mapping[str, Checkpoint]) -> None:
    """Several candidates at once, relatives and strangers: an answer, the same one twice, about those given."""
    if not probe.compares_all:
        return
    for names in (
        ("parent", "child"),
        ("permuted", "stranger"),
        ("parent", "child", "one-layer", "foreigner"),
    ):
        where = f"{probe.id}.compare_all on child against {', '.join(names)}"
        sketches = {name: _sketch(probe, opened[name], where) for name in (*names, "child")}
        usable = {name: sketches[name] for name in names if sketches[name].absent is None}
        if len(usable) < 2 or sketches["child"].absent is not None:
            continue
        first, second = (
            _answer(lambda usable=usable, child=sketches["child"]: probe.compare_all(child, usable), where)  # type: ignore[misc]
            for _ in range(2)
        )
        assert first == second, f"{where}: two runs differ; draw from a generator seeded by a parameter"
        if isinstance(first, Measurement):
            foreign = {k.candidate for k in first.kinship} - set(usable)
            assert not foreign, f"{where}: kinship names {foreign}, not one of the candidates it was given"


def _in_small_blocks(probe: SketchProbe, checkpoint: Checkpoint) -> Sketch:
    """The sketch when rows come one or two at a time, in an array that is overwritten after each call."""
    sketcher = probe.sketcher(checkpoint)
    for spec in checkpoint.specs:
        if sketcher.wants(spec):
            for start, rows in checkpoint.rows(spec, SMALL_BLOCK):
                lent = np.array(rows)
                sketcher.see(spec, lent, start)
                lent.fill(np.nan)
    return sketcher.finish()


def _same_arrays(one: Sketch, other: Sketch, tolerance: float, complaint: str) -> None:
    """Equal names, shapes and, up to `tolerance`, values."""
    assert sorted(one.arrays) == sorted(other.arrays), f"{one.probe}: the sketch's arrays are {complaint}"
    for name, array in one.arrays.items():
        twin = other.arrays[name]
        equal = array.shape == twin.shape and np.allclose(array, twin, tolerance, tolerance, equal_nan=True)
        assert equal, f"{one.probe}: array {name!r} {complaint}"
