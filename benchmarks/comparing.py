"""What the compare steps of all probes cost for one pair: `python -m benchmarks.comparing FOLDER [FOLDER]`.

Reads both checkpoints once (see `benchmarks.real_shapes`), then compares their sketches with every probe in one fresh
process on one thread, as a worker does. Seconds per probe and together, beside the seconds of reading, and the peak
memory of comparing. One checkpoint alone is compared with itself, the costliest pair: nothing ends early.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from forensics import sketches
from forensics.comparing import compared
from forensics.confinement import environment
from forensics.probe import SketchProbe
from forensics.registry import Registry


def read_one(folder: Path, book: Path) -> float:
    """Sketches a checkpoint into `book`; seconds."""
    from forensics.reading import read

    started, registry = time.perf_counter(), Registry.load(only_bundled=True)
    offered = registry.chosen((), {}).values()
    probes = [o.probe for o in offered if isinstance(o.probe, SketchProbe) and not o.probe.isolated]
    done = read(registry.open(str(folder), "subject"), probes)
    sketches.save(book, sketches.SketchBook(subject=done.subject, sketches=done.sketches))
    return time.perf_counter() - started


def compare_books(first: Path, second: Path) -> dict[str, float]:
    """Seconds of every probe's compare step, `start` of loading everything, and `peak` memory in MB."""
    began = time.perf_counter()
    registry = Registry.load(only_bundled=True)
    one, other = sketches.load(first).sketches, sketches.load(second).sketches
    found = {"start": time.perf_counter() - began}
    for offered in registry.chosen((), {}).values():
        probe = offered.probe
        if isinstance(probe, SketchProbe) and not probe.isolated:
            began = time.perf_counter()
            compared(probe, one.get(probe.id), other.get(probe.id))
            found[probe.id] = time.perf_counter() - began
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main() -> None:
    """Reads, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--books", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.books:
        print(json.dumps(compare_books(given.folders[0], given.folders[-1])))
        return
    with tempfile.TemporaryDirectory(prefix="comparing-") as scratch:
        books = [Path(scratch) / f"{n}.safetensors" for n in range(len(given.folders))]
        reading = sum(read_one(f, b) for f, b in zip(given.folders, books, strict=True))
        size = sum(b.stat().st_size for b in books) / len(books)
        command = [sys.executable, "-m", "benchmarks.comparing", "--books", *map(str, books)]
        told = subprocess.run(command, env=environment(scratch), capture_output=True, text=True, check=True)
    found = json.loads(told.stdout)
    peak, start = found.pop("peak"), found.pop("start")
    for probe, seconds in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{probe:22} {seconds:6.2f} s")
    print(
        f"together {sum(found.values()):.1f} s beside {reading:.1f} s of reading; loading {start:.1f} s; "
        f"peak {peak:.0f} MB; {size / 1e6:.1f} MB of sketches a checkpoint"
    )


if __name__ == "__main__":
    main()
