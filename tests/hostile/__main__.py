"""Prints every hostile case, where it is tested, and how many there are."""

from __future__ import annotations

import sys

from tests.hostile.registry import LISTED, read_cases, table

if __name__ == "__main__":
    lines = table()
    for line in lines:
        sys.stdout.write(f"{line.number:>5}  {line.title:<66}  {line.node}\n")
    beyond = sum(line.place[0] for line in lines)
    numbers = {line.place[1] for line in lines if not line.place[0]}
    sys.stdout.write(
        f"\n{len(lines)} cases: {len(lines) - beyond} on {len(numbers)} of the {LISTED} listed threats, "
        f"{beyond} beyond; {len(read_cases())} are checkpoints read by a worker's own code, "
        f"{sum(c.whole for c in read_cases())} of them in one whole case by default\n"
    )
