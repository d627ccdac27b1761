"""Writes docs/validation.md and its figures from the reference data in the package.

    python -m benchmarks.validation [--published FOLDER]

No checkpoint is needed. With `--published` (std_profile.csv and cluster.json) the out-of-fold figures of weight-std on
real models are computed anew and kept as numbers in `published.json` beside this file; the
measurements themselves are not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.validation.document import report
from benchmarks.validation.published import keep, summarise

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation.md"


def main() -> None:
    """Computes, writes, and removes figures that no longer exist."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--published", type=Path, help="folder with std_profile.csv and cluster.json")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    given = parser.parse_args()
    if given.published:
        keep(summarise(given.published))
    found = report()
    folder = given.out.parent / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.name not in found.figures:
            old.unlink()
    for name, drawing in found.figures.items():
        (folder / name).write_text(drawing.svg, encoding="utf-8")
    given.out.write_text(found.page, encoding="utf-8")
    print(f"{given.out}, {len(found.figures)} figures")


if __name__ == "__main__":
    main()
