"""HTTP as far as we trust it: checked addresses, watched pace, bounded bodies, one place that knows the token.

The rules stand in the transport, below `httpx2.Client`, so that they hold for huggingface_hub's own requests too.
"""

from __future__ import annotations

import functools
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from forensics.errors import CheckpointError
from forensics.hub.endpoint import Endpoint, origin_of
from forensics.hub.patience import Patience
from forensics.hub.watched import CheckedBackend

AGENT = b"model-forensics"
"""All that a hub learns about us: huggingface_hub would add versions and the calling agent."""
DROPPED_REQUEST = (b"authorization", b"cookie", b"user-agent", b"accept-encoding")
DROPPED_ANSWER = (b"set-cookie",)
BROKEN = (
    httpx2.TransportError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError,
    httpcore2.TimeoutException, OSError,
)  # fmt: skip
"""A connection that failed, as opposed to an answer that we refuse."""


@dataclass(slots=True)
class _Bounded(httpx2.SyncByteStream):
    """A body that ends with an error beyond `limit` bytes."""

    inner: Any
    limit: int
    endpoint: Endpoint

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for part in self.inner:
            seen += len(part)
            if seen > self.limit:
                raise CheckpointError(
                    f"{self.endpoint.host} answers with more than {self.limit} bytes", code="HUB_ANSWER"
                )
            yield part

    def close(self) -> None:
        self.inner.close()


def _proxy_for(endpoint: Endpoint) -> httpx2.Proxy | None:
    """The user's proxy for this hub, from the environment as urllib reads it."""
    scheme, host, _ = endpoint.origin
    known = urllib.request.getproxies()
    found = known.get(scheme) or known.get("all")
    if not found or endpoint.local or urllib.request.proxy_bypass(host):
        return None
    try:
        proxy = httpx2.Proxy(found if "://" in found else f"http://{found}")
    except (ValueError, httpx2.InvalidURL):
        raise CheckpointError("the proxy in the environment is not usable", code="HUB_PROXY") from None
    if proxy.url.scheme not in ("http", "https"):
        raise CheckpointError("only HTTP proxies are supported", "set HTTPS_PROXY", code="HUB_PROXY")
    return proxy


@functools.cache
def trusted() -> ssl.SSLContext:
    """The certificates of this machine, or those of `SSL_CERT_FILE`; loading them takes a while."""
    return httpx2.create_ssl_context()


class GuardedTransport(httpx2.BaseTransport):
    """Sends a request if its address may be asked, with the token only to the endpoint, and bounds the answer."""

    def __init__(self, endpoint: Endpoint, patience: Patience, *, limit: int, home_only: bool) -> None:
        self.endpoint = endpoint
        self.limit = limit
        self.home_only = home_only
        proxy = _proxy_for(endpoint)
        context = trusted()
        if proxy is None:
            self.backend = CheckedBackend(endpoint, patience, None)
            self.pool = httpcore2.ConnectionPool(ssl_context=context, network_backend=self.backend)
            return
        _, host, port = origin_of(proxy.url)
        self.backend = CheckedBackend(endpoint, patience, (host, port))
        self.pool = httpcore2.HTTPProxy(
            proxy_url=str(proxy.url),
            proxy_auth=proxy.raw_auth,
            ssl_context=context,
            network_backend=self.backend,
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2.BaseTransport; CheckpointError where our rules forbid the address or the answer."""
        self.endpoint.check(request.url)
        if self.home_only and origin_of(request.url) != self.endpoint.origin:
            raise CheckpointError(
                f"{self.endpoint.host} sends us to another host for its own answers; not followed",
                code="HUB_REDIRECT",
            )
        headers = [(k, v) for k, v in request.headers.raw if k.lower() not in DROPPED_REQUEST]
        headers += [(b"User-Agent", AGENT), (b"Accept-Encoding", b"identity")]
        if token := self.endpoint.token_for(request.url):
            headers.append((b"Authorization", f"Bearer {token}".encode()))
        url = request.url
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        answer = self.pool.handle_request(
            httpcore2.Request(
                method=request.method, url=target, headers=headers, extensions=dict(request.extensions)
            )
        )
        kept = [(k, v) for k, v in answer.headers if k.lower() not in DROPPED_ANSWER]
        stream = _Bounded(inner=answer.stream, limit=self.limit, endpoint=self.endpoint)
        response = httpx2.Response(
            answer.status, headers=kept, stream=stream, extensions=dict(answer.extensions)
        )
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            response.close()
            raise CheckpointError(
                f"{self.endpoint.host} compresses what was asked for as it is", code="HUB_ANSWER"
            )
        return response

    def close(self) -> None:
        """Closes every connection."""
        self.pool.close()


@dataclass(slots=True)
class Connection:
    """A client under our rules; `abort` ends it from another thread."""

    endpoint: Endpoint
    patience: Patience
    limit: int
    """Largest body of any answer."""
    home_only: bool = False
    """Whether only the endpoint itself is asked."""
    client: httpx2.Client = field(init=False)
    _transport: GuardedTransport = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._transport = GuardedTransport(
            self.endpoint, self.patience, limit=self.limit, home_only=self.home_only
        )
        timeout = httpx2.Timeout(self.patience.read, connect=self.patience.connect)
        self.client = httpx2.Client(
            transport=self._transport,
            timeout=timeout,
            follow_redirects=True,
            max_redirects=5,
            trust_env=False,
        )

    def get(self, url: httpx2.URL, headers: dict[str, str]) -> httpx2.Response:
        """One GET, redirects not followed, body not yet read; raises one of BROKEN or CheckpointError."""
        request = self.client.build_request("GET", url, headers=headers)
        return self._transport.handle_request(request)  # Client.send would parse where a redirect leads

    def abort(self) -> None:
        """Ends whatever waits for the network."""
        self._transport.backend.abort()

    def close(self) -> None:
        """Closes every connection."""
        self.client.close()
