"""The repository scan of a tree of 2,000 files: time to walk, read and search it, and to compare it with another.

    python -m benchmarks.repository [--files 2000]

Writes two trees: code of a transformers file's length with a licence header, documents, settings, licence texts and
notices, in nested folders. Prints wall and processor seconds of each step; the aim is under 20 s for everything.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from forensics.checkpoint.paper_reading import read_papers
from forensics.checkpoint.papers import Papers
from forensics.checkpoint.repository import read_repository
from forensics.probe import Sketch
from plugins.repository_scan import RepositoryScan

LICENCE = (Path(__file__).parents[1] / "LICENSE").read_text("utf-8")
HEADER = (
    "# Copyright {year} {holder}. All rights reserved.\n"
    '# Licensed under the Apache License, Version 2.0 (the "License");\n'
)
WORDS = (
    "self", "hidden_states", "attention", "query", "key", "value", "torch", "nn", "config", "return", "def", "if",
    "none", "layer", "forward", "output", "states", "model", "tensor", "mask", "position", "embeddings", "head", "size",
)  # fmt: skip
HOLDERS = (
    "The Qwen team, Alibaba Group",
    "Acme Research",
    "EleutherAI and the HuggingFace Inc. team",
    "Nobody GmbH",
)
Done = TypeVar("Done")


def plant(root: Path, files: int, seed: int) -> int:
    """Writes a tree and returns its bytes."""
    drawn, written = random.Random(seed), 0
    for number in range(files):
        folder = root.joinpath(*(f"part{drawn.randrange(6)}" for _ in range(drawn.randrange(5))))
        folder.mkdir(parents=True, exist_ok=True)
        kind = number % 10
        name, text = f"f{number}.py", _code(drawn)
        if kind == 8:
            name, text = f"page{number}.md", _prose(drawn)
        elif kind == 9:
            name, text = (
                f"LICENSE-{number}.txt",
                LICENCE.replace("[yyyy]", str(2000 + number % 26)) + _prose(drawn),
            )
        (folder / name).write_text(text, "utf-8")
        written += len(text)
    return written


def _code(drawn: random.Random) -> str:
    lines = [
        " " * 4 * drawn.randrange(4) + " ".join(drawn.choices(WORDS, k=drawn.randrange(3, 12)))
        for _ in range(600)
    ]
    return HEADER.format(year=drawn.randrange(2018, 2026), holder=drawn.choice(HOLDERS)) + "\n".join(lines)


def _prose(drawn: random.Random) -> str:
    lines = [" ".join(drawn.choices(WORDS, k=14)) + f" Llama-{drawn.randrange(2, 5)}" for _ in range(200)]
    return "\n".join(lines)


def timed(what: str, action: Callable[[], Done]) -> tuple[Done, float]:
    """What an action gives, and its processor seconds, which are printed with the wall clock's."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = action()
    spent = time.process_time() - cpu
    print(f"{what:34} {time.perf_counter() - wall:7.2f} s, {spent:6.2f} s of processor")
    return done, spent


def main() -> None:
    """Plants the trees and runs the scan as a worker does."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--files", type=int, default=2000)
    files = given.parse_args().files
    probe, total = RepositoryScan(), 0.0
    papers: list[Papers] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed, side in enumerate(("suspect", "candidate")):
            root = Path(folder) / side
            size = plant(root, files, seed)
            print(f"{side}: {files} files, {size / 1e6:.1f} MB")
            found, spent = timed("walk, read and hash", lambda root=root: read_repository(root))  # type: ignore[misc]
            total += spent
            read, spent = timed(
                "search",
                lambda found=found, side=side: read_papers(found.texts, side),  # type: ignore[misc]
            )
            total += spent
            papers.append(read)
    sides: list[Sketch] = [
        probe.sketch({}, {"width": 64, "label": label, "papers": read.encoded()})
        for label, read in zip(("suspect", "candidate"), papers, strict=True)
    ]
    _, spent = timed("compare", lambda: probe.compare(*sides))
    print(f"{total + spent:.1f} s of processor for two trees and their comparison")


if __name__ == "__main__":
    main()
