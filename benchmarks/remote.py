"""A first look at a checkpoint on a hub: how much is fetched, in how many requests, how long it takes.

`python -m benchmarks.remote FOLDER [FOLDER]` serves a checkpoint (see `benchmarks.real_shapes`) on this machine in the
hub's protocol, with redirects and ranges, and looks at it against itself or against the second folder.
Files are mapped, so that 15 GB need no memory. Local servers answer at once: over a network add the round trips.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.hub.server import COMMIT, LFS, NAME, serving


def mapped(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, mapped; a map answers to `len` and slices as bytes do."""
    found = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.stat().st_size):
        with path.open("rb") as file:
            found[path.name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return found  # type: ignore[return-value]


def described(files: dict[str, bytes]) -> dict[str, object]:
    """What the hub would say; its digests are not looked at, for nothing is read whole."""
    siblings: list[dict[str, object]] = []
    for name, raw in files.items():
        lfs = (
            {"lfs": {"size": len(raw), "sha256": "0" * 64, "pointerSize": 130}} if name.endswith(LFS) else {}
        )
        siblings.append({"rfilename": name, "size": len(raw), "blobId": "0" * 40, **lfs})
    return {"id": NAME, "modelId": NAME, "sha": COMMIT, "tags": [], "siblings": siblings}


def main() -> None:
    """Looks once and prints what was fetched."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("served", type=Path)
    arguments.add_argument("local", type=Path, nargs="?")
    given = arguments.parse_args()
    files = mapped(given.served)
    with serving(files) as hub, tempfile.TemporaryDirectory() as out:
        hub.described = described(files)
        began = time.perf_counter()
        subprocess.run(
            [
                sys.executable, "-m", "forensics", "investigate", "--remote", "--suspect", NAME,
                "--candidates", str(given.local or given.served), "--out", out, "--json",
            ],
            check=True, stdout=subprocess.DEVNULL, env=os.environ | {"HF_ENDPOINT": hub.url},
        )  # fmt: skip
        seconds = time.perf_counter() - began
        notes = json.loads((Path(out) / "run.json").read_text(encoding="utf-8"))
    fetched = notes["fetched"]
    whole = sum(fetched["of_bytes"].values())
    print(
        f"{fetched['bytes'] / 1e6:.1f} MB of {whole / 1e6:.1f} MB ({fetched['bytes'] / whole:.2%}) in "
        f"{fetched['requests']} requests, {seconds:.1f} s with start-up and report"
    )


if __name__ == "__main__":
    main()
