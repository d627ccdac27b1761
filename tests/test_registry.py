"""Plugins as they come: sound ones are found with their origin, broken ones are named and do no harm."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import ForensicsError, PluginError
from forensics.probe import Probe
from forensics.records import Problem
from forensics.registry import OURS, Registry, check
from tests.strangers import MEASURING, install, offer, probe
from tests.tiny import write

Install = Callable[..., Path]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a stranger's distribution into a folder on the path; its module is forgotten afterwards."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)

    def put(distribution: str, source: str, points: Mapping[str, str] | None = None) -> Path:
        module = distribution.replace("-", "_")
        monkeypatch.delitem(sys.modules, module, raising=False)
        install(folder, distribution, source, points)
        return folder / f"{module}.py"

    return put


def strangers(registry: Registry) -> list[str]:
    """Ids of probes that are not ours."""
    return [i for i, o in registry.probes.items() if not o.origin.bundled]


def problem_of(registry: Registry, distribution: str) -> Problem:
    """The one problem of a distribution."""
    (problem,) = [p for p in registry.problems if p.where.startswith(f"{distribution}:")]
    return problem


def test_bundled_probes_all_load() -> None:
    """Every bundled plugin loads without a problem, and each is bundled."""
    registry = Registry.load(only_bundled=True)
    assert registry.problems == []
    assert {o.origin.distribution for o in registry.probes.values()} == {OURS}
    assert {o.origin.sha256 for o in registry.probes.values()} == {o.sha256 for o in registry.origins}
    for offered in registry.probes.values():
        check(offered.probe)
        assert offered.origin.bundled
        assert len(offered.origin.sha256) == 64


def test_strangers_probe_has_its_origin(installed: Install) -> None:
    """A stranger's probe is offered with distribution, version and the digest of its source, after ours."""
    source = installed("sound-plugin", probe("sound", MEASURING) + offer("sound"))
    registry = Registry.load()
    origin = registry.probes["sound"].origin
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert (origin.distribution, origin.version, origin.sha256, origin.bundled) == (
        "sound-plugin", "1.5", digest, False,
    )  # fmt: skip
    assert list(registry.probes)[-1] == "sound"
    assert "sound" not in Registry.load(only_bundled=True).probes


BROKEN: dict[str, tuple[str, str]] = {
    "import of nothing": ("import no_such_module_at_all\n", "ModuleNotFoundError"),
    "import of a missing name": ("from forensics.readings import NoSuchName\n", "ImportError"),
    "syntax error": ("def broken(:\n", "SyntaxError"),
    "error": ("raise RuntimeError('at import')\n", "RuntimeError: at import"),
    "exit": ("sys.exit(3)\n", "SystemExit"),
    "misspelt hook": ("@hookimpl\ndef forensics_probs():\n    return []\n", "forensics_probs"),
    "unknown argument": ("@hookimpl\ndef forensics_probes(extra):\n    return []\n", "extra"),
    "hook that raises": ("@hookimpl\ndef forensics_probes():\n    raise ValueError('later')\n", "ValueError: later"),
    "hook that exits": ("@hookimpl\ndef forensics_probes():\n    sys.exit(1)\n", "SystemExit"),
    "hook that returns nothing": ("@hookimpl\ndef forensics_probes():\n    pass\n", "TypeError"),
    "a class instead of a probe": (
        probe("classy", MEASURING) + "@hookimpl\ndef forensics_probes():\n    return [classy]\n",
        "TypeError",
    ),
    "an object that is no probe": ("@hookimpl\ndef forensics_probes():\n    return [3]\n", "int is not a frozen"),
    "no dataclass": (
        probe("plainclass", "threshold: float = 3.0\n" + MEASURING, decorator="") + offer("plainclass"),
        "plainclass is not a frozen dataclass",
    ),
    "no title": (probe("untitled", MEASURING, head="title = None") + offer("untitled"), "title"),
    "id with a space": (probe("spaced", MEASURING, head='id = "a b"') + offer("spaced"), "hyphens"),
    "another API": (probe("ahead", MEASURING, head="api = 9") + offer("ahead"), "API 9"),
    "parameter that is a list": (probe("listing", "xs: list = None\n" + MEASURING) + "\n@hookimpl\n"
        "def forensics_probes():\n    return [listing(xs=[1])]\n", "parameter xs"),
    "parameter that is NaN": (probe("nan", 'x: float = float("nan")\n' + MEASURING) + offer("nan"), "parameter x"),
    "time limit as text": (probe("timed", MEASURING, head='time_limit = "9"') + offer("timed"), "time_limit"),
    "time limit of NaN": (probe("timed", MEASURING, head='time_limit = float("nan")') + offer("timed"), "time_limit"),
    "error without a text": (
        "class Mute(Exception):\n    def __str__(self):\n        raise KeyError\nraise Mute\n", "Mute",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "told"), BROKEN.values(), ids=BROKEN)
def test_broken_plugin_is_a_problem_and_nothing_else(source: str, told: str, installed: Install) -> None:
    """A plugin that cannot be loaded is named with its reason, without local paths, and the sound ones work."""
    installed("broken-plugin", source)
    installed("sound-plugin", probe("sound", MEASURING) + offer("sound"))
    registry = Registry.load()
    problem = problem_of(registry, "broken-plugin")
    assert problem.code == "PLUGIN_NOT_LOADED"
    assert told in problem.message
    assert "\n" not in problem.message
    assert str(Path(__file__).parents[1]) not in problem.message
    assert strangers(registry) == ["sound"]
    assert registry.calibrations() == Registry.load(only_bundled=True).calibrations()


def test_entry_point_to_a_missing_object_is_a_problem(installed: Install) -> None:
    """An entry point that names nothing is a problem."""
    installed("lost-plugin", "", {"main": "lost_plugin:absent"})
    assert "AttributeError" in problem_of(Registry.load(), "lost-plugin").message


def test_same_module_twice_is_a_problem_without_paths(installed: Install) -> None:
    """Two entry points for one module offer its probes once."""
    installed(
        "double-plugin",
        probe("once", MEASURING) + offer("once"),
        {"a": "double_plugin", "b": "double_plugin"},
    )
    registry = Registry.load()
    assert strangers(registry) == ["once"]
    assert "/" not in problem_of(registry, "double-plugin").message


def test_equal_ids_name_both_distributions(installed: Install) -> None:
    """Two probes with one id stop the run with an error that names both distributions."""
    installed("first-plugin", probe("twice", MEASURING) + offer("twice"))
    installed("second-plugin", probe("twice", MEASURING) + offer("twice"))
    with pytest.raises(PluginError) as clash:
        Registry.load()
    assert "first-plugin" in clash.value.message
    assert "second-plugin" in clash.value.message
    assert Registry.load(only_bundled=True).probes


def test_taking_a_bundled_id_names_both(installed: Install) -> None:
    """A stranger cannot take a bundled probe's id."""
    installed("thief-plugin", probe("thief", MEASURING, head='id = "weight-std"') + offer("thief"))
    with pytest.raises(PluginError) as clash:
        Registry.load()
    assert OURS in clash.value.message
    assert "thief-plugin" in clash.value.message
    assert "--only-bundled" in clash.value.hint


def test_chosen_probes_take_the_parameters_they_have(installed: Install) -> None:
    """A parameter reaches exactly the probes that have a field of that name; an unknown id is an error."""
    source = probe("tuned", 'prompts: str = "own"\n' + MEASURING) + probe("untuned", MEASURING)
    installed("tuned-plugin", source + offer("tuned", "untuned"))
    registry = Registry.load()
    chosen = registry.chosen(("untuned", "tuned"), {"prompts": "given"})
    assert list(chosen) == ["tuned", "untuned"]
    assert chosen["tuned"].probe.parameters() == {"prompts": "given"}
    assert chosen["untuned"].probe.parameters() == {}
    assert registry.chosen((), {}).keys() == registry.probes.keys()
    with pytest.raises(PluginError, match="no-such-probe"):
        registry.chosen(("no-such-probe",), {})


LAYOUT = '{"name": "toy", "model_types": ["toy"], "norm": "rms", "tensors": {"toy.{layer}.up": "up_proj"}}'


def test_layout_of_a_plugin_is_used(installed: Install, tmp_path: Path) -> None:
    """A stranger's layout lets a checkpoint of that family be read; a malformed one is a problem, not the end."""
    import numpy as np

    installed("layout-plugin", f"@hookimpl\ndef forensics_layouts():\n    return [{LAYOUT}]\n")
    installed("badlayout-plugin", "@hookimpl\ndef forensics_layouts():\n    return [{'name': 'x'}]\n")
    registry = Registry.load()
    assert problem_of(registry, "badlayout-plugin").code == "PLUGIN_FAILED"
    folder = write(tmp_path / "a", {"toy.3.up": np.ones((4, 2), np.float32)}, {"model_type": "toy"})
    checkpoint = registry.open(str(folder), "a")
    assert checkpoint.architecture.layout == "toy"
    spec = checkpoint.find("up_proj", 3)
    assert spec is not None
    assert (spec.rows, spec.columns) == (4, 2)
    checkpoint.close()


def test_opener_of_a_plugin_comes_first_and_may_fail(installed: Install, tmp_path: Path) -> None:
    """A stranger's opener may open what it knows; where it declines or breaks, our own reader does."""
    source = """
from forensics.checkpoint import open_checkpoint

@hookimpl
def forensics_open(location):
    if location.startswith("toy:"):
        return open_checkpoint(location[4:], label="opened by a stranger")
    if "breaks" in location:
        raise ValueError("no")
"""
    installed("open-plugin", source)
    registry = Registry.load()
    folder = write(tmp_path / "a")
    assert registry.open(f"toy:{folder}", "a").label == "opened by a stranger"
    assert registry.open(str(folder), "a").label == "a"
    assert registry.open(str(write(tmp_path / "breaks")), "b").label == "b"
    assert problem_of(registry, "open-plugin").code == "PLUGIN_FAILED"
    with pytest.raises(ForensicsError):
        registry.open(str(tmp_path / "none"), "c")


def test_observer_that_raises_is_told_once(installed: Install) -> None:
    """Observers get the facts they ask for; one that raises is one problem and does not stop the others."""
    install_source = """
seen = []

@hookimpl
def forensics_reading(location, done):
    seen.append((location, done))

@hookimpl
def forensics_examining():
    raise ValueError("not now")
"""
    installed("watch-plugin", install_source)
    registry = Registry.load()
    for done in range(3):
        registry.notify("forensics_reading", location="a", done=done, total=2)
        registry.notify("forensics_examining", probe="p", candidate="c")
    seen: Any = sys.modules["watch_plugin"].seen
    assert seen == [("a", 0), ("a", 1), ("a", 2)]
    assert problem_of(registry, "watch-plugin").code == "OBSERVER_FAILED"


def test_check_speaks_to_the_author() -> None:
    """A probe that forgot its attributes is told which."""
    from dataclasses import dataclass

    @dataclass(frozen=True, kw_only=True)
    class Nameless(Probe):
        """Says nothing of itself."""

    with pytest.raises(TypeError, match="`id`"):
        check(Nameless())
