"""The list of slow tests names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.slow import listed, measured

ROOT = Path(__file__).parents[1]
NODES = ("tests.test_x::test_a", "tests.test_x::test_b[1]", "tests.test_layered::test_c")


def test_listed_tests_are_there() -> None:
    """A renamed test would otherwise be quick again without a word."""
    for node in listed():
        file, _, name = node.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"def {re.escape(name.partition('[')[0])}\(", text), node


def test_what_took_long_is_listed(tmp_path: Path) -> None:
    """From a second on, by the shorter time, but for what the default run always keeps."""
    for file, times in (("first.xml", (9.0, 1.1, 9.0)), ("second.xml", (0.9, 1.2, 9.0))):
        lines = [
            '<testcase classname="{}" name="{}" time="{}"/>'.format(*node.split("::"), seconds)
            for node, seconds in zip(NODES, times, strict=True)
        ]
        (tmp_path / file).write_text(f"<suite>{''.join(lines)}</suite>")
    found = measured(tmp_path / "first.xml", tmp_path / "second.xml")
    assert [node for node in found if "test_x" in node] == ["tests/test_x.py::test_b[1]"]
    assert "tests/test_layered.py::test_c" not in found
