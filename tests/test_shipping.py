"""The example workflow and the container file, as far as they can be checked without running either."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from forensics.arguments import parser
from forensics.policy import read_policy
from forensics.testing import descend, tiny_checkpoint

ROOT = Path(__file__).parent.parent
CONTAINER = (ROOT / "Containerfile").read_text(encoding="utf-8")
TESTS_ONLY = {"poppler-utils"}
"""System packages of script/setup that only tests need."""


def workflow() -> dict[str, Any]:
    """The example, as YAML."""
    text = (ROOT / "examples" / "lineage-check.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def steps() -> list[dict[str, Any]]:
    """Its steps."""
    return list(workflow()["jobs"]["lineage"]["steps"])


def libraries() -> set[str]:
    """The system packages that script/setup installs."""
    found = re.search(
        r"^libraries=\((.+)\)$", (ROOT / "script" / "setup").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found is not None
    return set(found[1].split())


def commands(script: str) -> list[list[str]]:
    """Every `forensics` command of a shell script as words, with the workflow's variables put in."""
    filled = script.replace("\\\n", " ")
    for name, value in workflow()["env"].items():
        filled = filled.replace(f"${name}", value)
    return [shlex.split(line)[1:] for line in filled.splitlines() if line.startswith("forensics ")]


def instructions() -> list[tuple[str, str]]:
    """The container file's instructions and their arguments, comments left out and lines joined."""
    lines = [line for line in CONTAINER.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines()]


def copied() -> set[str]:
    """What the container file copies from the repository."""
    arguments = [rest.split() for word, rest in instructions() if word == "COPY"]
    return {name for words in arguments if not words[0].startswith("--from") for name in words[:-1]}


def test_the_workflow_calls_commands_that_there_are() -> None:
    """Every command of a step parses; candidates and controls are several words, and the rules are the example's."""
    found = [command for step in steps() for command in commands(step.get("run", ""))]
    asked = [parser().parse_args(command) for command in found]
    assert [one.command for one in asked] == ["investigate", "check"]
    assert (len(asked[0].candidates), len(asked[0].controls)) == (2, 1)
    assert {one.policy for one in asked} == {"rules.toml"}
    labels = {label for rule in read_policy(ROOT / "examples" / "rules.toml").rule for label in rule.labels}
    assert labels == {name.partition("=")[0] for name in asked[0].candidates}


def test_the_workflow_keeps_the_dossier_of_a_case_that_fails() -> None:
    """The dossier is uploaded whatever the status, and no expression stands inside a script."""
    (upload,) = (step for step in steps() if "upload-artifact" in step.get("uses", ""))
    assert "!cancelled()" in upload["if"]
    assert "case/" in upload["with"]["path"]
    assert not any("${{" in step.get("run", "") for step in steps()), (
        "put it under env: it could be a command"
    )
    assert workflow()["permissions"] == {"contents": "read"}


def test_scripts_are_shell() -> None:
    """Every script of the workflow and every RUN of the container file is what a shell accepts."""
    scripts = [step["run"] for step in steps() if "run" in step]
    scripts += [rest for word, rest in instructions() if word == "RUN"]
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stderr}"


@pytest.mark.parametrize("where", ["workflow", "container"])
def test_system_packages_are_those_of_setup(where: str) -> None:
    """Both install the libraries of script/setup, but what only tests need."""
    text = CONTAINER if where == "container" else "\n".join(step.get("run", "") for step in steps())
    lists = re.findall(r"apt-get install((?:\\\n|[^&\n])+)", text)
    named = {word for words in lists for word in words.split() if word[0] not in "-\\"}
    assert named - {"python3", "python3-venv"} == libraries() - TESTS_ONLY


def test_the_container_copies_what_a_build_needs() -> None:
    """What is copied exists, is all that the package is built from, and all that an engine is shown."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = {package.split(".")[0] for package in project["tool"]["setuptools"]["packages"]}
    rooms |= set(project["tool"]["setuptools"]["package-dir"].values())
    files = {project["project"]["readme"], *project["project"]["license-files"]}
    assert copied() == rooms | files | {"pyproject.toml", "constraints.txt"}
    assert all((ROOT / name).exists() for name in copied())
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignore if line.startswith("!")} == copied()


def test_the_container_runs_as_nobody_in_particular() -> None:
    """Known instructions only; the last stage has a user without a name and ends in our command."""
    words = [word for word, _ in instructions()]
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert set(words) == known
    last = dict(instructions()[len(words) - words[::-1].index("FROM") :])
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert last["ENTRYPOINT"] == '["forensics"]'


@pytest.mark.parametrize("page", ["index", "shipping", "calibrating"])
def test_commands_shown_parse(page: str) -> None:
    """Every `forensics` line of these pages, and what a container is asked to do, is accepted by the command line."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ )?(?:podman run .+ model-)?forensics +([a-z-]+ .+)$", text, re.MULTILINE)
    shown = [line.split("#")[0].split() for line in lines]
    assert len(shown) >= 2
    for line in shown:
        parser().parse_args(line)


@pytest.mark.slow
def test_the_quick_start_runs(tmp_path: Path) -> None:
    """The commands of the first page end well, on a tiny family in the places where script/demo puts its own."""
    home = tmp_path / "demo" / "checkpoints"
    home.mkdir(parents=True)
    base = tiny_checkpoint(home / "base", seed=1)
    descend(base, home / "suspect", noise=0.02, permute=True, seed=2)
    tiny_checkpoint(home / "twin", seed=3)
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- quick-start:begin -->(.+)<!-- quick-start:end -->", page, re.DOTALL)
    assert shown is not None
    lines = re.findall(r"^\$ forensics (.+)$", shown[1].replace("\\\n", " "), re.MULTILINE)
    assert len(lines) == 5
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for line in lines:
        command = [sys.executable, "-m", "forensics", *line.split()]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
