"""Writes the background of code-lineage, and measures how often unrelated code shares what it calls rare.

    python -m benchmarks.code_library TREE ...    writes forensics/winnowing/library.npz from trees of transformers
    python -m benchmarks.code_library --rates TREE  prints the base rates, TREE naming who copied from whom

A TREE is the folder `transformers` of a wheel, unpacked, from the oldest version to the newest. Old ones belong to the
background as well: code beside checkpoints is mostly copied from the version that was new then.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from forensics.winnowing.fingerprints import fingerprints
from forensics.winnowing.library import HOME, RARE, SHARED, bundled, library_of, written

SKIPPED = ("__init__", "convert_", "modeling_tf_", "modeling_flax_")
"""Files that no checkpoint has beside it: indices, conversions, other frameworks."""
ROOMS = ("generation", "integrations", "loss", "models")
"""Folders of a tree from which modelling code is copied; so are the files above them."""
PARENT = re.compile(r"^from \.\.(\w+)\.\w+ import", re.MULTILINE)
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


def main(arguments: list[str]) -> None:
    """Runs one of the two."""
    if arguments[:1] == ["--rates"] and len(arguments) == 2:
        rates(Path(arguments[1]))
    elif arguments and not arguments[0].startswith("-"):
        write([Path(name) for name in arguments])
    else:
        sys.exit(__doc__)


def write(trees: list[Path]) -> None:
    """Fingerprints every file of every tree and writes the table."""
    begun = time.process_time()
    found: defaultdict[int, set[str]] = defaultdict(set)
    files = characters = 0
    for document, path in (named for tree in trees for named in sources(tree)):
        text = path.read_text(encoding="utf-8", errors="replace")
        files, characters = files + 1, characters + len(text)
        for number in fingerprints(text).hashes.tolist():
            found[number].add(document)
    library = library_of(found, [version(tree) for tree in trees])
    written(library, HOME)
    print(
        f"transformers {', '.join(library.versions)}: {files} files, {characters:,} characters, "
        f"{len(library.documents)} documents, {len(library.hashes):,} fingerprints, "
        f"{HOME.stat().st_size:,} bytes, {time.process_time() - begun:.1f} s"
    )


def sources(tree: Path) -> Iterator[tuple[str, Path]]:
    """(document, file) of every Python file of a tree that counts."""
    for path in sorted(tree.rglob("*.py")):
        parts = path.relative_to(tree).parts
        if path.name.startswith(SKIPPED) or (len(parts) > 1 and parts[0] not in ROOMS):
            continue
        yield (parts[-2] if parts[0] == "models" and len(parts) > 2 else SHARED), path


def version(tree: Path) -> str:
    """What a tree calls its version."""
    found = re.search(
        r'^__version__ = "([\w.]+)"', (tree / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, f"{tree} is no transformers"
    return found[1]


def rates(tree: Path) -> None:
    """Rare fingerprints in common, over all pairs of the library's model folders, by whether one inherits code.

    What is rare is decided as if neither of the two were in the library. Inheritance is read off the newest tree's
    modular files: one names the other, or both name a third.
    """
    library = bundled()
    shared = library.documents.index(SHARED)
    counts: Counter[tuple[int, int]] = Counter()
    for index, times in Counter(library.sets.tolist()).items():
        owners = library.owners[library.starts[index] : library.starts[index + 1]].tolist()
        if shared not in owners and len(owners) <= RARE + 2:
            for pair in combinations(owners, 2):
                counts[pair] += times
    parents = inheritance(tree)
    names = [name for name in library.documents if name != SHARED]
    told: dict[str, list[int]] = {"no inheritance": [], "inheriting": []}
    for one, other in combinations(names, 2):
        kin = {one, *parents[one]} & {other, *parents[other]}
        pair = (library.documents.index(one), library.documents.index(other))
        told["inheriting" if kin else "no inheritance"].append(counts[pair])
    for kind, values in told.items():
        array = np.array(values)
        quantiles = ", ".join(f"{q:g}: {np.quantile(array, q):.0f}" for q in QUANTILES)
        print(f"{kind}: {len(array):,} pairs, {np.mean(array > 0):.2%} above 0; quantiles {quantiles}")


def inheritance(tree: Path) -> defaultdict[str, set[str]]:
    """By model folder, the folders from which its modular file takes code."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in (tree / "models").glob("*/modular_*.py"):
        found[path.parent.name] |= set(PARENT.findall(path.read_text(encoding="utf-8")))
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
