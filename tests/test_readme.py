"""README and docs say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forensics.arguments import parser
from forensics.case import Named
from tests.readme import PAGES, README, ROOT, renewed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_up_to_date(page: Path) -> None:
    """Tables of probes, formats and figures are what the program holds (`python -m tests.readme` renews them)."""
    assert renewed(page) == page.read_text(encoding="utf-8")


def test_every_command_shown_parses(capsys: pytest.CaptureFixture[str]) -> None:
    """Every `forensics …` line in README is accepted by the command line."""
    lines = re.findall(
        r"^\$ forensics (.+?)(?:\s{2,}#.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(lines) >= 4
    for line in lines:
        parser().parse_args(line.split())
    assert capsys.readouterr().err == ""


def test_commands_shown_fit_together() -> None:
    """What README asks of its finished case is asked by the labels that its first command gives."""
    lines = re.findall(
        r"^\$ (forensics .+?)(?:\s{2,}#.*)?$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    asked = [parser().parse_args(line.split()[1:]) for line in lines]
    case, *_ = (one for one in asked if one.command == "investigate")
    candidates = [Named.parse(path).label for path in case.candidates]
    assert {one.candidate for one in asked if one.command == "explain"} <= {*candidates}
    subjects = [path for one in asked if one.command == "verify" for path in one.subjects]
    assert {Named.parse(path).label for path in subjects} <= {Named.parse(case.suspect).label, *candidates}


def test_links_lead_somewhere() -> None:
    """Every relative link in README and docs names a file that exists."""
    for page in [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_specimen_in_the_docs_is_the_specimen() -> None:
    """The probe printed in docs/writing-a-probe.md is the code of the tested third-party distribution."""
    page = (ROOT / "docs" / "writing-a-probe.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- specimen:begin -->\n```python\n(.+?)```", page, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() in (ROOT / "tests" / "specimen" / "forensics_specimen.py").read_text(
        encoding="utf-8"
    )


def test_architecture_names_every_room() -> None:
    """Every module and room of the core stands in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        p.name
        for p in Path(ROOT / "forensics").iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    missing = {r for r in rooms - {"__init__.py", "__main__.py"} if r not in text}
    assert not missing
