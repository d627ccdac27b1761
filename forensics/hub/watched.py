"""Connections to checked addresses only, whose other side must keep up a minimum pace."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from forensics.hub.endpoint import Endpoint, addresses_of
from forensics.hub.patience import Patience

ADDRESSES_TRIED = 4


class WatchedStream(httpcore2.NetworkStream):
    """A connection whose other side must deliver at a minimum rate whenever it is waited for.

    A time limit per reception does not stop a server that sends one byte each time, be it of a header.
    """

    def __init__(
        self, inner: httpcore2.NetworkStream, patience: Patience, sockets: list[socket.socket]
    ) -> None:
        self.inner = inner
        self.patience = patience
        self.sockets = sockets
        """Open ones, so that another thread can end them; TLS makes a new one of the old."""
        sockets[:] = [known for known in sockets if known.fileno() >= 0]
        sockets.append(inner.get_extra_info("socket"))
        self.waited = 0.0
        self.received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes; httpcore2.ReadTimeout where the rate over a whole window is too low."""
        began = time.monotonic()
        raw = self.inner.read(max_bytes, min(timeout or self.patience.read, self.patience.read))
        self.waited += time.monotonic() - began
        self.received += len(raw)
        if self.waited >= self.patience.window:
            if self.received < self.patience.rate * self.waited:
                raise httpcore2.ReadTimeout("the server is too slow")
            self.waited, self.received = 0.0, 0
        return raw

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends; a new request begins a new window."""
        self.waited, self.received = 0.0, 0
        self.inner.write(buffer, timeout)

    def close(self) -> None:
        """Closes the connection."""
        self.inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """The same connection, encrypted and still watched."""
        inner = self.inner.start_tls(ssl_context, server_hostname, timeout)
        return WatchedStream(inner, self.patience, self.sockets)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 wants to know about the socket."""
        return self.inner.get_extra_info(info)


class CheckedBackend(httpcore2.NetworkBackend):
    """Connects to the very address that was checked, so that a name cannot point elsewhere a moment later."""

    def __init__(self, endpoint: Endpoint, patience: Patience, trusted: tuple[str, int] | None) -> None:
        self.endpoint = endpoint
        self.patience = patience
        self.trusted = trusted
        """The user's own proxy, wherever it is."""
        self.sockets: list[socket.socket] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """A connection to the first address that answers; CheckpointError (HUB_REDIRECT) for one that is refused."""
        try:
            addresses = addresses_of(host, port)[:ADDRESSES_TRIED]
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError("the name cannot be resolved") from None
        if (host, port) != self.trusted:
            for address in addresses:
                self.endpoint.check_address(host, port, address)
        failed: Exception = httpcore2.ConnectError("no address")
        for address in addresses:
            try:
                stream = httpcore2.SyncBackend().connect_tcp(
                    address, port, timeout or self.patience.connect, local_address, socket_options
                )
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                failed = error
                continue
            return WatchedStream(stream, self.patience, self.sockets)
        raise failed

    def abort(self) -> None:
        """Ends what waits on any connection, from another thread."""
        for one in list(self.sockets):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(
                    one, socket.SHUT_RDWR
                )  # not SSLSocket's own, which forgets its session
