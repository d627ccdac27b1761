"""Which tests are slow: those that took a second or more when they were last measured.

    python -m pytest -n 2 --dist loadfile -m 'slow or not slow' --junit-xml FILE
    python -m tests.slow FILE…

renews `slow.txt`; tests/conftest.py gives every test that it lists the marker `slow`. Not by hand: a list of measured
tests stays true when tests change, and a marker in sixty files does not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

LISTED = Path(__file__).parent / "slow.txt"
LEAST = 1.0
"""Seconds, with those of the fixtures that a test was the first to ask for."""
TOGETHER = ("tests/test_blind_spots.py", "tests/hostile/test_whole.py", "tests/test_first_look.py")
"""Files whose tests share one slow case: all of them or none."""
ALWAYS = (
    "tests/evidence/", "tests/report/test_pdf.py::test_hostile", "tests/report/test_paper.py",
    "tests/test_confinement.py", "tests/test_layered.py", "tests/test_cli.py",
)  # fmt: skip
"""What the default run keeps all the same, for what the tool promises hangs on it."""


def listed() -> frozenset[str]:
    """Node ids and files of slow tests."""
    return frozenset(LISTED.read_text(encoding="utf-8").splitlines())


def measured(*reports: Path) -> list[str]:
    """What JUnit reports say is slow, in order; of a test measured twice the shorter time counts."""
    seconds: dict[str, float] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            node = f"{str(case.get('classname')).replace('.', '/')}.py::{case.get('name')}"
            seconds[node] = min(float(case.get("time") or 0), seconds.get(node, float("inf")))
    kept = (*ALWAYS, *TOGETHER)
    return sorted(
        {*TOGETHER, *(n for n, took in seconds.items() if took >= LEAST and not n.startswith(kept))}
    )


if __name__ == "__main__":
    LISTED.write_text("".join(f"{node}\n" for node in measured(*map(Path, sys.argv[1:]))), encoding="utf-8")
