"""What was fetched from hubs during a case, and the limit that the user set for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from forensics.errors import CheckpointError

REQUESTS_LIMIT = 500_000
"""What one case may ask of hubs; a worker gone wrong must not become a flood."""


@dataclass(slots=True)
class Traffic:
    """Bytes and requests, shared by every broker of a case; safe in several threads."""

    limit_bytes: int | None = None
    """None: as many as the checkpoints have."""
    fetched: int = 0
    """Bytes of file contents received."""
    requests: int = 0
    """HTTP requests made for them, redirects included."""
    _files: dict[tuple[str, str], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def files(self) -> Mapping[tuple[str, str], int]:
        """Bytes by (repository, file name)."""
        return MappingProxyType(self._files)

    @property
    def left(self) -> int:
        """Bytes that may still be fetched."""
        return (1 << 62) if self.limit_bytes is None else max(0, self.limit_bytes - self.fetched)

    def admit(self, count: int) -> None:
        """CheckpointError (REMOTE_BUDGET) where `count` more bytes would pass the limit."""
        if count > self.left:
            raise CheckpointError(
                f"reading on would fetch more than the {self.limit_bytes} bytes allowed from the hub",
                "allow more, sample instead of reading whole files, or download the checkpoint",
                code="REMOTE_BUDGET",
            )

    def asked(self) -> None:
        """Counts a request; CheckpointError (REMOTE_BUDGET) beyond REQUESTS_LIMIT."""
        with self._lock:
            self.requests += 1
        if self.requests > REQUESTS_LIMIT:
            raise CheckpointError(f"more than {REQUESTS_LIMIT} requests to the hub", code="REMOTE_BUDGET")

    def received(self, repository: str, name: str, count: int) -> None:
        """Counts bytes of a file's content."""
        with self._lock:
            self.fetched += count
            self._files[repository, name] = self._files.get((repository, name), 0) + count
