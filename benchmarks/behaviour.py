"""Hidden states of a model that does not fit: `python -m benchmarks.behaviour --shape 7b`.

Writes a checkpoint of a real shape and random weights under a temporary folder, then, each in a process of its own with
one thread: reads and hashes its files, and runs made-up texts of the default prompts' size through it block by block.
Prints seconds and peak memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.real_shapes import SHAPES, write

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TOKENS = 48
"""Tokens of a made-up text: about what a default prompt has."""


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e6


def hashed(folder: Path, texts: int) -> dict[str, float]:  # noqa: ARG001 - alike to call
    """One pass over every weight file."""
    begun = time.perf_counter()
    for path in sorted(folder.glob("*.safetensors")):
        whole = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while block := file.read(8 << 20):
                whole.update(block)
    return {"seconds": time.perf_counter() - begun, "peak_gb": peak()}


def streamed(folder: Path, texts: int) -> dict[str, float]:
    """The layer-streamed pass over made-up texts, then the likeliest tokens behind each."""
    import numpy as np

    from forensics.checkpoint import open_checkpoint
    from forensics.hollow import Bounds
    from forensics.layered import FINAL, Layered
    from forensics.predicted import predictions

    checkpoint = open_checkpoint(folder)
    model = Layered.of(checkpoint, Bounds(parameters=10**12, block_bytes=64 << 30))
    ready = peak()
    random = np.random.default_rng(0)
    ids = random.integers(0, 100_000, (texts, TOKENS)).tolist()
    begun = time.perf_counter()
    (states,) = model.states(ids, [range(8, TOKENS, 4)] * texts, [FINAL])
    between = time.perf_counter()
    predictions(model, states, 64)
    return {
        "seconds": between - begun,
        "head_seconds": time.perf_counter() - between,
        "ready_gb": ready,
        "peak_gb": peak(),
        "tokens": texts * TOKENS,
    }


def main() -> None:
    """Prints one line of JSON per measurement."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    arguments.add_argument("--layers", type=int, help="keep so many layers of the shape")
    arguments.add_argument("--texts", type=int, default=24)
    arguments.add_argument("--only", choices=("hashed", "streamed"), help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.only:
        print(json.dumps({"hashed": hashed, "streamed": streamed}[given.only](given.folder, given.texts)))
        return
    shape = replace(SHAPES[given.shape], layers=given.layers or SHAPES[given.shape].layers)
    with tempfile.TemporaryDirectory(prefix="behaviour-") as scratch:
        folder = write(Path(scratch) / "model", shape)
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        print(json.dumps({"shape": given.shape, "layers": shape.layers, "gb": size / 1e9}), flush=True)
        for only in ("hashed", "streamed"):
            command = [sys.executable, "-m", "benchmarks.behaviour", "--only", only, "--folder", str(folder)]
            command += ["--texts", str(given.texts)]
            done = subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | dict.fromkeys(ONE_THREAD, "1"),
            )
            print(only, done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
