"""What is installed: one top-level name, every file the program reads, a command that answers at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from forensics.testing import descend, tiny_checkpoint

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGED = ("forensics", "plugins", "templates")
HEAVY = (
    "jinja2",
    "matplotlib",
    "numpy",
    "pydantic",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
    "weasyprint",
)
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must end well, in an environment without this clone on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def probes(command: Path, *arguments: str, cwd: Path) -> dict[str, str]:
    """What `forensics probes` lists: the distribution of each probe id."""
    listed = json.loads(run(command, "probes", "--json", *arguments, cwd=cwd))
    assert listed["failed"] == []
    return {probe["id"]: probe["origin"]["distribution"] for probe in listed["probes"]}


def packaged_files() -> set[str]:
    """Every file of the installed rooms, under the name it should have once installed."""
    found = set()
    for room in PACKAGED:
        for path in (REPOSITORY / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part":
                name = path.relative_to(REPOSITORY).as_posix()
                found.add(name if room == "forensics" else f"forensics/{name}")
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs, so that building leaves nothing in the clone."""
    copy = tmp_path_factory.mktemp("source")
    for room in PACKAGED:
        shutil.copytree(REPOSITORY / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel, built with the installed setuptools so that nothing is fetched."""
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", ".", cwd=source)
    (built,) = (source / "wheels").glob("*.whl")
    return built


def new_environment(parent: Path) -> Path:
    """A new virtual environment that borrows this one's packages, but not its installation of the project."""
    home = parent / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=parent)
    (site,) = home.glob("lib/python*/site-packages")
    # A directory named in a .pth is searched, but its own .pth files (an editable install's hook) are not run.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home


def install(environment: Path, *what: str | Path) -> None:
    """Installs into `environment` without fetching anything."""
    flags = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed")
    run(*PIP, "--python", environment / "bin" / "python", "install", *flags, *what, cwd=environment)


def test_wheel_adds_one_name(wheel: Path) -> None:
    """A built wheel adds the top-level name `forensics` and its own metadata, nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
    assert names == {"forensics", f"model_forensics-{PROJECT['version']}.dist-info"}


def test_wheel_holds_every_file(wheel: Path) -> None:
    """Every module, layout, reference, template and font of the tree is in the wheel, and nothing besides."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("forensics/")}
    assert names == packaged_files(), "adapt packages or package-data in pyproject.toml"


def test_every_plugin_file_is_an_entry_point() -> None:
    """A bundled probe is one file and one entry-point line, named alike."""
    modules = {f"forensics.plugins.{path.stem}" for path in (REPOSITORY / "plugins").glob("[!_]*.py")}
    entries = PROJECT["entry-points"]["forensics"]
    assert modules == set(entries.values())
    assert all(module.endswith("." + name.replace("-", "_")) for name, module in entries.items())


@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_installed_command_works_elsewhere(editable: bool, source: Path, wheel: Path, tmp_path: Path) -> None:
    """`pip install .` and `pip install -e .` both give a `forensics` that runs outside the clone."""
    environment = new_environment(tmp_path)
    install(environment, *(("-e", source) if editable else (wheel,)))
    command = environment / "bin" / "forensics"
    assert PROJECT["version"] in run(command, "--version", cwd=tmp_path)
    offered, entries = probes(command, "--only-bundled", cwd=tmp_path), PROJECT["entry-points"]["forensics"]
    named = {probe: [e for e in entries if probe == e or probe.startswith(f"{e}-")] for probe in offered}
    assert all(named.values()), "a probe is called as its file, or begins so where a file offers several"
    assert {entry for found in named.values() for entry in found} == set(entries)


@pytest.fixture(scope="module")
def with_stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment where a third party's distribution is installed beside ours."""
    parent = tmp_path_factory.mktemp("with-stranger")
    environment = new_environment(parent)
    install(environment, wheel)
    install(environment, shutil.copytree(REPOSITORY / "tests" / "specimen", parent / "specimen"))
    return environment / "bin" / "forensics"


def test_strangers_probe_is_found(with_stranger: Path, tmp_path: Path) -> None:
    """A third party's probe is listed with its distribution once that is installed, and can be left out."""
    assert probes(with_stranger, cwd=tmp_path)["specimen-vocabulary-size"] == "forensics-specimen"
    assert "specimen-vocabulary-size" not in probes(with_stranger, "--only-bundled", cwd=tmp_path)


def test_strangers_probe_is_recorded_with_its_origin(with_stranger: Path, tmp_path: Path) -> None:
    """What a stranger's probe measures is in the dossier, with whose code it was, and weighs nothing."""
    descend(tiny_checkpoint(tmp_path / "base"), tmp_path / "suspect")
    case = ("--suspect", "suspect", "--candidates", "base", "--probes", "specimen-vocabulary-size")
    run(with_stranger, "investigate", *case, "--out", "case", cwd=tmp_path)
    (finding,) = json.loads((tmp_path / "case" / "dossier.json").read_text(encoding="utf-8"))["findings"]
    assert (finding["outcome"]["kind"], finding["outcome"]["value"]) == ("measurement", 1.0)
    assert finding["weight"] is None
    source = (REPOSITORY / "tests" / "specimen" / "forensics_specimen.py").read_bytes()
    assert finding["probe"]["origin"] == {
        "bundled": False,
        "distribution": "forensics-specimen",
        "sha256": hashlib.sha256(source).hexdigest(),
        "version": "0.0.1",
    }


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["investigate", "--help"], ["--version"]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Importing the command line, asking for help and for the version load none of the large libraries."""
    program = (
        "import contextlib, io, sys\n"
        "from forensics.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({arguments!r}) if {arguments!r} else None\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    assert run(sys.executable, "-c", program, cwd=REPOSITORY).strip() == "[]"


def test_constraints_pin_what_is_required() -> None:
    """Every direct dependency has one exact version in constraints.txt, inside the range that is declared."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    listed = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = [Requirement(one) for some in listed for one in some]
    wanted = [one for one in wanted if one.name != PROJECT["name"]]  # `dev` asks for `docs`
    loose = [str(r) for r in wanted if not r.specifier.contains(versions.get(canonicalize_name(r.name), "0"))]
    assert loose == []


def test_version_is_told_once() -> None:
    """The citation file and the newest entry of the changelog name the version that pyproject.toml does."""
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^version: (\S+)$", citation) == [PROJECT["version"]]
    assert re.findall(r"(?m)^## \[(\d\S*)\]", changelog)[0] == PROJECT["version"]
