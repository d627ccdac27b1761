"""A local hub that serves one tiny true checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import Hub, contents, serving
from tests.tiny import llama_tensors, write


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two shards with a card."""
    folder = write(tmp_path_factory.mktemp("hub") / "tiny", llama_tensors(3), shards=2)
    (folder / "README.md").write_text("# Tiny\n", encoding="utf-8")
    return folder


@pytest.fixture
def hub(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, named by HF_ENDPOINT; no token, no proxy."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(contents(checkpoint)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
