"""Hands a repository's bytes to one worker: it understands three numbers per request, and HTTP, and nothing else."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

from forensics.checkpoint.brokered import FRAME_LIMIT, GIVEN, REFUSED, REPLY, REQUEST, receive, transmit
from forensics.errors import CheckpointError, without_folders
from forensics.hub.ahead import Ahead
from forensics.hub.patience import Patience
from forensics.hub.repository import HubRepository
from forensics.hub.traffic import Traffic
from forensics.hub.transfer import Transfer

PATIENT = 2.0
"""Seconds that closing waits for the thread; after that it is left to end by itself."""


@dataclass(slots=True)
class Broker:
    """Serves one worker over a socket pair, from a thread of its own, until it is closed. A context manager."""

    repository: HubRepository
    traffic: Traffic = field(default_factory=Traffic)
    """Shared by all brokers of a case."""
    patience: Patience = field(default_factory=Patience)
    _ends: tuple[socket.socket, socket.socket] = field(init=False, repr=False)
    _transfer: Transfer = field(init=False, repr=False)
    _thread: threading.Thread = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._transfer = Transfer(self.repository, self.traffic, self.patience)
        self._ends = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="broker", daemon=True)

    def __enter__(self) -> Broker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def descriptor(self) -> int:
        """The worker's end: pass it on to the worker, which keeps its number."""
        return self._ends[1].fileno()

    def lead(self) -> dict[str, Any]:
        """What a job must say so that the worker can attach itself, as plain JSON."""
        return {"fd": self.descriptor, "manifest": self.repository.manifest()}

    def close(self) -> None:
        """Ends transfers, pauses and the thread, and closes both ends; safe to call twice."""
        self._transfer.pauses.stopped.set()
        self._transfer.connection.abort()
        self._hang_up()
        if self._thread.is_alive():
            self._thread.join(
                PATIENT
            )  # it closes its own end, whose number must not become another file's before
        elif self._thread.ident is None:
            self._ends[0].close()
        self._ends[1].close()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._ends[0].shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        """Answers requests until the worker or the case ends."""
        ahead = Ahead(self._transfer, self.traffic)
        fd = self._ends[0].fileno()
        try:
            while (request := receive(fd, REQUEST.size)) is not None:
                try:
                    status, raw = GIVEN, self._given(ahead, *REQUEST.unpack(request))
                except CheckpointError as error:
                    status, raw = REFUSED, _worded(error)
                except Exception as error:  # noqa: BLE001 - a thread's edge: what HTTP libraries raise is an answer too
                    failed = CheckpointError(
                        f"reading from the hub failed ({type(error).__name__})", code="HUB_FAILED"
                    )
                    status, raw = REFUSED, _worded(failed)
                if not (transmit(fd, REPLY.pack(status, len(raw))) and transmit(fd, raw)):
                    return
        finally:
            self._hang_up()  # a worker must not wait for a thread that is gone
            self._ends[0].close()
            ahead.close()
            self._transfer.connection.close()

    def _given(self, ahead: Ahead, index: int, offset: int, length: int) -> bytes:
        """The bytes asked for; CheckpointError where no such bytes exist."""
        files = self.repository.files
        if index >= len(files) or length > FRAME_LIMIT or offset + length > files[index].size:
            raise CheckpointError("the worker asks for bytes that no file has", code="HUB_REQUEST")
        return ahead.read(files[index], offset, length)


def _worded(error: CheckpointError) -> bytes:
    said = {
        "message": without_folders(error.message),
        "hint": without_folders(error.hint),
        "code": error.code,
    }
    return json.dumps(said).encode()
