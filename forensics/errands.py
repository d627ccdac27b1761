"""One job after another for a case: what every job says, what it may read from a hub, how long it took."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from forensics import jobs
from forensics.case import Named, Request
from forensics.repositories import Repositories

Item = TypeVar("Item")
Done = TypeVar("Done")

AT_ONCE = 2
"""Workers of a case at a time: more would multiply its memory, and numpy uses the other processors."""
READ_LIMIT = 600.0
READ_SPEED = 20e6
"""Bytes per second below which a read is given up, beyond the first ten minutes."""
REMOTE_LIMIT, REMOTE_SPEED = 1200.0, 1e6
"""The same from a hub, which may also ask us to wait."""


@dataclass(slots=True, kw_only=True)
class Errands:
    """Sends workers out for one case."""

    request: Request
    hub: Repositories = field(default_factory=Repositories)
    seconds: dict[str, float] = field(default_factory=dict)
    """By what was done; not part of the record."""
    confined: dict[str, bool | str] = field(default_factory=dict)
    """What workers could give up on this machine; not part of the record."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def location(self, named: Named) -> str:
        """Where a checkpoint lies; CheckpointError where a hub cannot or will not tell."""
        return self.hub.located(named.hub) if named.hub else str(named.path)

    def job(self, task: str, probes: list[str], **rest: Any) -> dict[str, Any]:
        """A job with what all jobs of the case have in common."""
        settings = {
            "only_bundled": self.request.only_bundled,
            "parameters": dict(self.request.parameters),
            "quick": self.request.quick,
            "base": self.hub.located(self.request.base),
        }
        return {"task": task, "probes": probes, **settings, **rest}

    def run(
        self,
        job: Mapping[str, Any],
        *,
        what: str,
        limit: float,
        listen: Callable[[Mapping[str, Any]], None],
    ) -> jobs.JobEnd:
        """Runs a job, with a broker for each location that is on a hub; keeps its time under `what`."""
        locations = [job.get(key) for key in ("location", "base", "suspect", "candidate")]
        with self.hub.serving(at for at in locations if isinstance(at, str)) as (hubs, descriptors):
            end = jobs.run({**job, **hubs}, limit=limit, listen=listen, descriptors=descriptors)
        with self.lock:
            self.seconds[what[:200]] = end.seconds
            self.confined.update(end.confined)
        return end

    def reading_limit(self, location: str) -> float:
        """Seconds within which a whole reading has to be done, that of a named base included."""
        base = self.hub.located(self.request.base)
        return self._limit(location) + (self._limit(base) if base else 0.0)

    def _limit(self, location: str) -> float:
        remote = self.hub.size(location)
        if remote:
            return REMOTE_LIMIT + remote / REMOTE_SPEED
        return READ_LIMIT + _size(Path(location)) / READ_SPEED


def each(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """The work on each item, a few at a time, in their order; an interruption does not wait for workers."""
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, os.cpu_count() or 1)) as pool:
        try:
            yield from pool.map(work, list(items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            jobs.end_all()
            raise


def _size(path: Path) -> int:
    """Bytes at a place and in the folders directly in it, for the time limit; 0 where it cannot be told."""
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(f.stat().st_size for deep in ("*", "*/*") for f in path.glob(deep) if f.is_file())
    except OSError:
        return 0
