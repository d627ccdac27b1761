"""Byte ranges of a hub's files over HTTP: redirects followed by our rules, every answer checked before it is read.

Not `hf_hub_download`: that puts whole shards on disk, and follows what we must be free to refuse.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2

from forensics.errors import CheckpointError
from forensics.hub.connection import BROKEN, Connection
from forensics.hub.patience import Patience, Pauses, retry_after
from forensics.hub.repository import HubFile, HubRepository, refused_status, unreachable
from forensics.hub.traffic import Traffic

REDIRECTS = (301, 302, 303, 307, 308)
HOPS = 5
WINDOW = 256 << 20
"""Largest range asked for at once."""
CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
"""RFC 9110, 14.4; the form with an unknown length is refused, since the length is what we check."""
BUSY = (429, 500, 502, 503, 504)
EXPIRED = (401, 403, 404, 410)
"""What a signed address answers when its time is over."""
BODY_AFTER_REDIRECT = 1 << 16
USELESS = 3
"""Remembered addresses that were refused at once, after which none is remembered."""


class InterruptedTransferError(Exception):
    """The connection broke; the same bytes may be asked for again."""


@dataclass(slots=True)
class Body:
    """An open answer that holds `left` more bytes of a file."""

    response: httpx2.Response
    left: int
    total: int
    ordered: int = 0
    """Bytes of the file that were read in order before this answer."""
    _parts: Iterator[bytes] = field(init=False, repr=False)
    _rest: bytes = field(default=b"", init=False, repr=False)

    def __post_init__(self) -> None:
        self._parts = self.response.iter_raw()

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes, at most `left`; the last ones only if the answer ends with them.

        InterruptedTransferError where the connection breaks, CheckpointError (HUB_RANGE) where too much comes.
        """
        parts, missing = [], count
        while missing:
            part = self._rest or self._next()
            if not part:
                self.close()
                raise InterruptedTransferError("the body ended early")
            parts.append(part[:missing])
            self._rest = part[missing:]
            missing -= len(parts[-1])
        self.left -= count
        if not self.left:
            excess = bool(self._rest or self._next())
            self.close()
            if excess:
                raise CheckpointError("the hub sends more than it was asked for", code="HUB_RANGE")
        return b"".join(parts)

    def _next(self) -> bytes:
        """The next bytes that are not empty; empty at the end."""
        try:
            return next((part for part in self._parts if part), b"")
        except BROKEN as error:
            self.close()
            raise InterruptedTransferError(type(error).__name__) from error

    def close(self) -> None:
        """Gives the connection back, or drops it if the body was not read to its end."""
        with contextlib.suppress(*BROKEN):
            self.response.close()


@dataclass(slots=True)
class Transfer:
    """Opens ranges of a repository's files, for one thread; remembers where each file was found to lie."""

    repository: HubRepository
    traffic: Traffic
    patience: Patience = field(default_factory=Patience)
    pauses: Pauses = field(init=False)
    connection: Connection = field(init=False, repr=False)
    _found: dict[str, httpx2.URL] = field(default_factory=dict, init=False, repr=False)
    """Signed addresses by file name; they expire, and are nobody's business."""
    _served: set[str] = field(default_factory=set, init=False, repr=False)
    """Files whose remembered address was of use."""
    _useless: int = field(default=0, init=False)
    """How often one was not: some stores sign the range too."""

    def __post_init__(self) -> None:
        self.pauses = Pauses(self.patience)
        self.connection = Connection(self.repository.endpoint, self.patience, limit=WINDOW + 1)

    def open(self, file: HubFile, offset: int, length: int) -> Body:
        """The answer that holds exactly these bytes, not yet read; InterruptedTransferError or CheckpointError."""
        tries = 0
        while True:
            known = file.name in self._found
            response = self._answered(file, offset, length)
            status = response.status_code
            if status in (200, 206):
                self._check(response, file, offset, length)
                return Body(response=response, left=length, total=length)
            asked = retry_after(response.headers)
            response.close()
            if status in BUSY:
                self.pauses.pause(tries, asked, self.repository.endpoint.host)
            elif not (known and status in EXPIRED):
                raise refused_status(self.repository.endpoint, self.repository.location, status)
            self._forget(file.name)
            tries += 1

    def _forget(self, name: str) -> None:
        self._found.pop(name, None)
        self._useless += name not in self._served
        self._served.discard(name)

    def _answered(self, file: HubFile, offset: int, length: int) -> httpx2.Response:
        """The first answer that is no redirect."""
        wanted = {} if file.whole else {"Range": f"bytes={offset}-{offset + length - 1}"}
        start = url = self._found.get(file.name) or self.repository.url(file)
        for _ in range(HOPS + 1):
            self.pauses.go_on()
            self.traffic.asked()
            try:
                response = self.connection.get(url, wanted)
            except BROKEN as error:
                self._forget(file.name)
                raise InterruptedTransferError(type(error).__name__) from error
            self._check_commit(response)
            if response.status_code not in REDIRECTS:
                if response.status_code in (200, 206):
                    self._remember(file.name, start, url)
                return response
            url = self._next_url(url, response)
        raise CheckpointError(
            f"{self.repository.endpoint.host} redirects more than {HOPS} times", code="HUB_REDIRECT"
        )

    def _remember(self, name: str, start: httpx2.URL, url: httpx2.URL) -> None:
        """Where a file was found, as long as that is of use."""
        if name in self._found and url == start:
            self._served.add(name)
        elif url != start and self._useless < USELESS:
            self._found[name] = url

    def _next_url(self, url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
        """Where a redirect leads, if it may be followed."""
        host = self.repository.endpoint.host
        try:
            if int(response.headers.get("content-length", "-1")) in range(BODY_AFTER_REDIRECT):
                response.read()  # so that the connection can be used again
            target = url.join(response.headers["location"]).copy_with(fragment=None)
        except (KeyError, ValueError, httpx2.InvalidURL):
            raise CheckpointError(f"{host} redirects to no address", code="HUB_REDIRECT") from None
        except BROKEN as error:
            raise InterruptedTransferError(type(error).__name__) from error
        finally:
            response.close()
        self.repository.endpoint.check(target)
        return target

    def _check_commit(self, response: httpx2.Response) -> None:
        """The hub says which commit it serves; only its own answers do."""
        said = response.headers.get("x-repo-commit", self.repository.commit)
        if said != self.repository.commit:
            response.close()
            raise CheckpointError(
                f"{self.repository.endpoint.host} serves another commit than the one it described",
                code="HUB_ANSWER",
            )

    def _check(self, response: httpx2.Response, file: HubFile, offset: int, length: int) -> None:
        """Refuses (HUB_RANGE) an answer that is not exactly the range, before its body is read."""
        reason = _mismatch(response, file, offset, length)
        if reason:
            response.close()
            host = self.repository.endpoint.host
            raise CheckpointError(
                f"{host} {reason}, so the file cannot be read in place",
                "download the checkpoint and name its folder",
                code="HUB_RANGE",
            )

    def broken(self, error: BaseException) -> CheckpointError:
        """What is told once every try failed."""
        return unreachable(self.repository.endpoint, error.__cause__ or error)


def _mismatch(response: httpx2.Response, file: HubFile, offset: int, length: int) -> str:
    """Why an answer with status 200 or 206 is not what was asked for; empty if it is."""
    said = response.headers.get("content-length")
    if said is not None and said.strip() != str(length):
        return "announces another length than was asked for"
    if file.whole:
        return "" if response.status_code == 200 else "sends a part where the whole was asked for"
    if response.status_code != 206:
        return "ignores the range that was asked for"
    found = CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if not found or tuple(map(int, found.groups())) != (offset, offset + length - 1, file.size):
        return "sends another range than the one asked for"
    return ""
