"""Puts every bundled probe to every labelled pair of a zoo, resumably.

A checkpoint is sketched once; sketches and readings lie in a folder named after a digest of the probes' and the
alignment room's sources, so that a changed probe is measured anew and an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from forensics import sketches
from forensics.alignment import __file__ as alignment_file
from forensics.calibrating.measured import Reading, add_line, failed, lines_of, reading
from forensics.checkpoint import open_checkpoint
from forensics.probe import Abstain, Sketch, SketchProbe
from forensics.reading import read
from forensics.registry import Registry

READERS = {
    "alignment", "checkpoint", "account.py", "activations.py", "attending.py", "probe.py", "prompts.py",
    "prompt_set.py", "reading.py", "readings.py", "runnable.py", "sketches.py",
}  # fmt: skip
"""Rooms and files of the core that a sketch or a reading comes through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where the zoo lies and where intermediate things go; small enough to send to another process."""

    zoo: Path
    cache: Path
    ids: tuple[str, ...]

    def probes(self) -> list[SketchProbe]:
        """The probes, fresh in this process; paired ones are not measured here."""
        offered = Registry.load(only_bundled=True).chosen(self.ids, {})
        return [one.probe for one in offered.values() if isinstance(one.probe, SketchProbe)]

    def book(self, name: str) -> Path:
        """The sketch file of a checkpoint."""
        return self.cache / f"{name}.safetensors"


def bench_for(zoo: Path, cache: Path, ids: Sequence[str] = ()) -> Bench:
    """A bench whose cache folder belongs to the probes' present sources."""
    registry = Registry.load(only_bundled=True)
    for problem in registry.problems:
        print(f"not measured: {problem.where}: {problem.message}", flush=True)
    offered = registry.chosen(tuple(ids), {})
    source = hashlib.sha256()
    for name in sorted(offered):
        source.update(f"{name} {offered[name].origin.sha256} {offered[name].probe.parameters()}\n".encode())
    core = Path(alignment_file).parent.parent
    rooms = [p for p in core.rglob("*.py") if p.relative_to(core).parts[0] in READERS]
    for file in [*sorted(rooms), zoo / "manifest.json"]:  # a changed reader or a rebuilt zoo is measured anew
        source.update(file.read_bytes())
    folder = cache / source.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return Bench(zoo=zoo, cache=folder, ids=tuple(sorted(offered)))


def sketch_one(bench: Bench, name: str) -> str:
    """Sketches one checkpoint, unless that was done."""
    if not bench.book(name).exists():
        checkpoint = open_checkpoint(str(bench.zoo / name), label=name)
        done = read(checkpoint, bench.probes())
        book = sketches.SketchBook(subject=done.subject, sketches=done.sketches)
        sketches.save(bench.book(name), book)
    return name


def compare_one(bench: Bench, pair: Mapping[str, str]) -> dict[str, Any]:
    """What every probe says of one pair."""
    suspect = sketches.load(bench.book(pair["suspect"])).sketches
    candidate = sketches.load(bench.book(pair["candidate"])).sketches
    found = {p.id: _reading(p, suspect[p.id], candidate[p.id]) for p in bench.probes()}
    return {**pair, "readings": found}


def _reading(probe: SketchProbe, suspect: Sketch, candidate: Sketch) -> Reading:
    """A reading or the reason for none; a probe that breaks is reported, not hidden."""
    for sketch in (suspect, candidate):
        if sketch.absent is not None:
            return reading(sketch.absent)
    try:
        return reading(probe.compare(suspect, candidate))
    except Abstain as answer:
        return reading(answer.recorded())
    except Exception as error:  # noqa: BLE001 - one broken pair must not end an hour's run; it is counted and shown
        return {"none": f"failure: {type(error).__name__}: {error}"}


def measured(bench: Bench, pairs: Sequence[Mapping[str, str]], jobs: int) -> list[dict[str, Any]]:
    """Every pair with its readings, in the order given; what was measured before is read back."""
    store = bench.cache / "readings.jsonl"
    done = {(line["suspect"], line["candidate"]): line for line in lines_of(store)}
    missing = [pair for pair in pairs if (pair["suspect"], pair["candidate"]) not in done]
    names = sorted({pair[side] for pair in missing for side in ("suspect", "candidate")})
    os.environ["OMP_NUM_THREADS"] = "1"  # the jobs share the processor
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for number, name in enumerate(pool.map(sketch_one, [bench] * len(names), names), 1):
            print(f"sketched {number}/{len(names)} {name}", flush=True)
        for number, line in enumerate(pool.map(compare_one, [bench] * len(missing), missing, chunksize=4), 1):
            done[line["suspect"], line["candidate"]] = line
            add_line(store, line)
            if number % 50 == 0 or number == len(missing):
                print(f"compared {number}/{len(missing)}", flush=True)
    broken = sorted({p for line in done.values() for p, r in line["readings"].items() if failed(r)})
    if broken:
        raise SystemExit(f"probes that broke on some pair, so nothing is fitted: {', '.join(broken)}")
    # Labels come from the manifest at hand, readings from the store.
    return [{**done[pair["suspect"], pair["candidate"]], **pair} for pair in pairs]
