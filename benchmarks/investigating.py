"""Time and peak memory of a whole case beside one plain SHA-256 pass over the same files.

`python -m benchmarks.investigating BASE DESCENDANT`: the figures are ratios taken in one run, because machines differ.
Peak memory is the largest single process of the case, as the operating system accounts it.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def hash_pass(folders: list[Path]) -> tuple[float, int]:
    """Seconds and bytes of one `hashlib.sha256` pass over every file."""
    began, size = time.perf_counter(), 0
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.is_file()):
        whole = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 23):
                whole.update(block)
                size += len(block)
    return time.perf_counter() - began, size


def case(suspect: Path, candidate: Path, extra: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of `forensics investigate` on one pair."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "forensics", "investigate", "--suspect", f"suspect={suspect}"]
        command += ["--candidates", f"candidate={candidate}", "--out", out, "--no-cache", *extra]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        print((Path(out) / "run.json").read_text())
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Prints both and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("base", type=Path)
    arguments.add_argument("descendant", type=Path)
    arguments.add_argument("extra", nargs="*", help="more arguments for `forensics investigate`")
    given = arguments.parse_args()
    hash_pass([given.base, given.descendant])
    hashed, size = hash_pass([given.base, given.descendant])
    seconds, peak = case(given.descendant, given.base, given.extra)
    print(f"sha256 pass  {hashed:8.2f} s  {size / 1e9:.2f} GB  {size / 1e9 / hashed:.2f} GB/s")
    print(f"investigate  {seconds:8.2f} s  ratio {seconds / hashed:.2f}  peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
