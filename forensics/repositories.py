"""The hub's repositories of one case: each asked for once, pinned to a commit, served to workers by brokers."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forensics.checkpoint.brokered import BrokeredPlace
from forensics.errors import CheckpointError
from forensics.hub.location import HubLocation
from forensics.sighting import Sighting, repository_facts, sighting

if TYPE_CHECKING:
    from forensics.hub.repository import HubRepository
    from forensics.hub.traffic import Traffic

PREFIX = "hub:"
"""How a location that is on a hub begins; no path of a user's reaches a worker in this form."""


@dataclass(slots=True, kw_only=True)
class Repositories:
    """Hub repositories by location, and what was fetched of them. Used from several threads."""

    token_env: str = ""
    known: dict[str, HubRepository] = field(default_factory=dict)
    failed: dict[str, CheckpointError] = field(default_factory=dict)
    traffic: Traffic | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def located(self, text: str) -> str:
        """The location of what a user named: a path that exists as it is, a hub id pinned to its commit.

        CheckpointError where the hub cannot or will not tell. Anything else is given back for the opener to refuse.
        """
        where = None if not text or os.path.exists(text) else HubLocation.parse(text)
        if where is None:
            return text
        with self.lock:
            if text in self.failed:
                raise self.failed[text]
            known = next((at for at, one in self.known.items() if str(one.location) == str(where)), "")
            return known or self._asked(text, where)

    def _asked(self, text: str, where: HubLocation) -> str:
        from forensics.hub.repository import HubRepository

        try:
            repository = HubRepository.open(where, token_env=self.token_env)
        except CheckpointError as error:
            self.failed[text] = error
            raise
        location = f"{PREFIX}{repository.location.name}@{repository.commit}"
        self.known[location] = repository
        return location

    @contextlib.contextmanager
    def serving(self, locations: Iterable[str]) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
        """What a job must say and inherit to read these locations; both are empty where all are on this machine."""
        with contextlib.ExitStack() as stack:
            leads: dict[str, Any] = {}
            descriptors = []
            for location in dict.fromkeys(at for at in locations if at in self.known):
                from forensics.hub.broker import Broker
                from forensics.hub.traffic import Traffic

                with self.lock:
                    self.traffic = self.traffic or Traffic()
                broker = stack.enter_context(Broker(self.known[location], self.traffic))
                leads[location] = broker.lead()
                descriptors.append(broker.descriptor)
            yield ({"hubs": leads} if leads else {}), tuple(descriptors)

    def commit(self, location: str) -> str:
        """The commit that a location is pinned to; empty for what is on this machine."""
        return self.known[location].commit if location in self.known else ""

    def size(self, location: str) -> int:
        """Bytes of all files of a repository; 0 for what is on this machine."""
        return sum(f.size for f in self.known[location].files) if location in self.known else 0

    def see(self, location: str, base: str, beside: str = "") -> Sighting | None:
        """What is known of a location's files without reading them: a commit never changes, a folder `beside` may."""
        if location not in self.known:
            return sighting(location, base, beside)
        if base:
            return None
        repository = self.known[location]
        names, problems = BrokeredPlace.attached(-1, repository.manifest()).names()
        if any(p.code == "TOO_MANY_FILES" for p in problems):
            return None
        sizes = {file.name: file.size for file in repository.files}
        taken, apart = time.time_ns(), repository_facts(beside)
        if apart is None:
            return None
        return Sighting(
            place=f"{repository.endpoint.url} {location}{apart[0]}",
            taken=taken,
            single=False,
            repository=apart[1],
            files={name[:500]: (sizes[name], 0, 0, 0, 0) for name in names},
        )

    def notes(self) -> Mapping[str, Any]:
        """What was fetched, for the run's notes; empty without a hub."""
        if self.traffic is None:
            return {}
        return {
            "bytes": self.traffic.fetched,
            "requests": self.traffic.requests,
            "of_bytes": {location: self.size(location) for location in sorted(self.known)},
            "hubs": sorted({repository.endpoint.url for repository in self.known.values()}),
        }
