"""The reading pass beside one plain SHA-256 pass over the same files: ratio of times, and peak memory.

`python -m benchmarks.reading [--sizes 1 3 15] [--profile]` writes checkpoints of real shapes, then, in turns and in
fresh processes with a worker's environment: a `hashlib.sha256` pass with 8 MB reads over the weight files,
and the whole pass with every bundled sketcher that takes part in it. Files are in the page cache. Figures are ratios
taken in one run, because machines differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from forensics.confinement import environment

SIZES = {"1": ("0.5b", 0), "3": ("1.5b", 0), "15": ("7b", 0), "moe": ("30b-a3b", 3), "wide": ("wide", 0)}
"""What each size is: a shape and how many of its layers, 0 for all."""
GB = 1e9

Figures = dict[str, Any]


def hash_pass(folder: Path) -> Figures:
    """Seconds and bytes of one plain pass over the weight files."""
    started, began, size = time.process_time(), time.perf_counter(), 0
    for path in sorted(folder.glob("*.safetensors")):
        whole = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while block := file.read(8 << 20):
                whole.update(block)
                size += len(block)
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - started, "bytes": size}


def read_pass(folder: Path, *, profile: bool) -> Figures:
    """Seconds of opening and reading with all sketchers, of which CPU in the thread that computes; peak memory."""
    from forensics.probe import SketchProbe
    from forensics.reading import read
    from forensics.registry import Registry

    registry = Registry.load(only_bundled=True)
    probes = [o.probe for o in registry.chosen((), {}).values() if isinstance(o.probe, SketchProbe)]
    spent: dict[str, float] = defaultdict(float)
    taking = [timed(one, spent) if profile else one for one in probes if not one.isolated]
    started, began, computing = time.process_time(), time.perf_counter(), time.thread_time()
    checkpoint = registry.open(str(folder), "subject")
    spent["opening"] = time.thread_time() - computing
    done = read(checkpoint, taking)
    assert not any(sketch.absent and "Failure" in repr(sketch.absent) for sketch in done.sketches.values())
    return {
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - started,
        "computing": time.thread_time() - computing,
        "startup": started,
        "peak": peak_memory(),
        "sketchers": [one.id for one in taking],
        "left_out": [one.id for one in probes if one.isolated],
        "spent": spent,
    }


def peak_memory() -> int:
    """Most bytes of this process that were resident; `ru_maxrss` would count those of the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def timed(probe: Any, spent: dict[str, float]) -> Any:
    """The same probe, whose sketcher's CPU seconds are added up in `spent`."""

    def clocked(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            began = time.thread_time()
            try:
                return action(*given)
            finally:
                spent[f"{probe.id} {name}"] += time.thread_time() - began

        return run

    class Timed:
        def __init__(self, sketcher: Any) -> None:
            self.wants, self.see = sketcher.wants, clocked("see", sketcher.see)
            self.finish = clocked("finish", sketcher.finish)

    making = clocked("start", type(probe).sketcher)
    kind = type(type(probe).__name__, (type(probe),), {"sketcher": lambda self, c: Timed(making(self, c))})
    copy = replace(probe)
    object.__setattr__(copy, "__class__", kind)
    return copy


def alone(what: str, folder: Path, *, profile: bool) -> Figures:
    """One pass in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.reading", "--pass", what, "--folder", str(folder)]
    command += ["--profile"] if profile else []
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment(scratch))
    return dict(json.loads(done.stdout))


def measured(size: str, home: Path, *, keep: bool, profile: bool, repeats: int) -> None:
    """Writes the checkpoint of that size, runs both passes in turns and prints what they took."""
    from benchmarks.real_shapes import SHAPES, write

    name, layers = SIZES[size]
    folder = home / f"{name}-{layers}"
    if not (folder / "tokenizer.json").exists():
        write(folder, replace(SHAPES[name], layers=layers or SHAPES[name].layers))
    rounds = repeats or (2 if size == "15" else 3)
    alone("hash", folder, profile=False)  # fills the page cache
    pairs = [
        (alone("hash", folder, profile=False), alone("read", folder, profile=profile)) for _ in range(rounds)
    ]
    ratios = [reading["wall"] / hashing["wall"] for hashing, reading in pairs]
    print(f"\n{size}: {name}, {pairs[0][0]['bytes'] / GB:.2f} GB")
    for (hashing, reading), ratio in zip(pairs, ratios, strict=True):
        print(
            f"  sha256 {hashing['wall']:6.2f} s, CPU {hashing['cpu']:6.2f} s   "
            f"reading {reading['wall']:6.2f} s, CPU {reading['cpu']:6.2f} s of which computing "
            f"{reading['computing']:5.2f} s, start-up {reading['startup']:.2f} s   ratio {ratio:.2f}   "
            f"peak {reading['peak'] / 1e6:.0f} MB"
        )
    peak = max(reading["peak"] for _, reading in pairs)
    print(f"  median ratio {statistics.median(ratios):.2f}, peak {peak / GB:.2f} GB")
    if profile:
        for what, seconds in sorted(pairs[-1][1]["spent"].items(), key=lambda item: -item[1]):
            print(f"    {seconds:7.3f} s  {what}")
    print(f"  sketchers: {', '.join(pairs[0][1]['sketchers'])}")
    print(f"  not in the pass, read in workers of their own: {', '.join(pairs[0][1]['left_out']) or 'none'}")
    if not keep:
        shutil.rmtree(folder)


def main() -> None:
    """Measures each size asked for; in a child, one pass."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=["1", "3", "15"])
    arguments.add_argument(
        "--folder", type=Path, help="where checkpoints are written (default: a temporary one)"
    )
    arguments.add_argument("--keep", action="store_true", help="leave the checkpoints there")
    arguments.add_argument("--profile", action="store_true", help="CPU seconds by sketcher")
    arguments.add_argument("--repeats", type=int, default=0)
    arguments.add_argument("--pass", dest="one", choices=["hash", "read"], help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.one:
        figures = (
            hash_pass(given.folder) if given.one == "hash" else read_pass(given.folder, profile=given.profile)
        )
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as elsewhere:
        for size in given.sizes:
            home = given.folder or Path(elsewhere)
            measured(size, home, keep=given.keep, profile=given.profile, repeats=given.repeats)


if __name__ == "__main__":
    main()
