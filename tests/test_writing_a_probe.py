"""docs/writing-a-probe.md tells nothing that does not run."""

from __future__ import annotations

import re
import sys
import tomllib
import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from forensics.arguments import parser

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "writing-a-probe.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """The module that a reader would be writing."""
    made = types.ModuleType("a_readers_probe")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def test_every_block_runs(module: types.ModuleType) -> None:
    """Blocks run one after another, and one before a block of text fails with exactly these words."""
    failed = 0
    for (kind, code), (following, said) in pairwise([*BLOCKS, ("", "")]):
        if kind != "python":
            continue
        if following == "text":
            with pytest.raises(AssertionError) as error:
                exec(code, vars(module))
            assert str(error.value) == " ".join(said.split())
            failed += 1
        else:
            exec(code, vars(module))
    assert failed == 1
    vars(module)["test_contract"]()
    assert vars(module)["found"].summary
    assert [probe.id for probe in vars(module)["forensics_probes"]()] == ["specimen-vocabulary-size"]


def test_the_distribution_shown_is_the_specimens() -> None:
    """The lines of pyproject.toml that the page shows stand in the specimen's."""
    (shown,) = (tomllib.loads(code) for kind, code in BLOCKS if kind == "toml")
    real = tomllib.loads((ROOT / "tests" / "specimen" / "pyproject.toml").read_text(encoding="utf-8"))
    assert shown["project"].items() <= real["project"].items()


def test_commands_shown_parse() -> None:
    """Every `forensics` line of the page is accepted by the command line."""
    lines = re.findall(r"^\$ forensics (.+)$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        parser().parse_args(line.split())
