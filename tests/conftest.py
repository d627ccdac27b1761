"""Tests keep what they read in a folder of their own; slow ones are left out when time is up."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slow import listed

STARTED = "FORENSICS_TESTS_STARTED"
"""Environment variable in which the first process of a run tells its workers when it began."""


@pytest.fixture(scope="session", autouse=True)
def _cache_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORENSICS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow-within SECONDS`: slow tests that would begin later, or by their `seconds` end later, are skipped."""
    parser.addoption(
        "--slow-within", type=float, default=None, metavar="SECONDS", help="begin no slow test later"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begins the clock, once for all workers of a run."""
    if not hasattr(config, "workerinput"):
        os.environ[STARTED] = str(time.time())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the slow tests; where time may run out, their files come in an order that differs from commit to commit."""
    slow = listed()
    for item in items:
        if not slow.isdisjoint({item.nodeid, item.nodeid.partition("::")[0]}):
            item.add_marker(pytest.mark.slow)
    if config.getoption("--slow-within") is not None:
        commit = _commit(config.rootpath)
        items.sort(
            key=lambda item: hashlib.sha256(f"{commit} {item.nodeid.partition('::')[0]}".encode()).digest()
        )


def _commit(root: Path) -> str:
    """The commit that is tested; empty outside a clone."""
    asked = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a slow test for which there is no time left."""
    within = item.config.getoption("--slow-within")
    if within is not None and item.get_closest_marker("slow"):
        gone = time.time() - float(os.environ[STARTED])
        if gone + max(mark.kwargs.get("seconds", 0) for mark in item.iter_markers("slow")) > within:
            pytest.skip(f"no time left: {gone:.0f} of {within:.0f} seconds are gone")


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases leave no page and no PDF, which take longest to make; for tests that look at neither."""
    monkeypatch.setattr("forensics.casefiles.render", lambda *_: [])
