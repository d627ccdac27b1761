"""A hub on this machine: enough of its protocol for huggingface_hub and our reader, and every way to misbehave."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "someone/tiny"
LFS = (".safetensors", ".bin", ".gguf")


@dataclass(slots=True)
class Seen:
    """One request as it arrived."""

    port: int
    path: str
    headers: dict[str, str]


@dataclass(slots=True)
class Hub:
    """Two servers: the hub itself, and the host of large files to which it redirects."""

    files: dict[str, bytes]
    seen: list[Seen] = field(default_factory=list)
    answer: Callable[[Call], bool] | None = None
    """Misbehaviour: returns whether it answered itself."""
    described: Any = None
    """What the API answers, if not the truth."""
    port: int = 0
    store: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Base URL of the hub."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def description(self) -> dict[str, Any]:
        """The truth about the repository."""
        siblings = []
        for name, raw in self.files.items():
            one: dict[str, Any] = {
                "rfilename": name,
                "size": len(raw),
                "blobId": hashlib.sha1(raw).hexdigest(),
            }
            if name.endswith(LFS):
                digest = hashlib.sha256(raw).hexdigest()
                one["lfs"] = {"size": len(raw), "sha256": digest, "pointerSize": 130}
            siblings.append(one)
        return {"id": NAME, "modelId": NAME, "sha": COMMIT, "tags": [], "siblings": siblings}

    def at(self, part: str) -> list[Seen]:
        """Requests whose path holds this part."""
        return [one for one in self.seen if part in one.path]


class Call(BaseHTTPRequestHandler):
    """One request to either server."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Silence."""

    @property
    def port(self) -> int:
        """Where this call came in."""
        address = self.connection.getsockname()
        return int(address[1])

    @property
    def at_store(self) -> bool:
        """Whether this came to the host of large files."""
        return self.port == self.hub.store

    def do_GET(self) -> None:
        """Records the request, lets it be spoilt, else answers."""
        self.hub.seen.append(Seen(self.port, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self.hub.answer and self.hub.answer(self):
            return
        path = unquote(urlsplit(self.path).path)
        if self.at_store:
            self.ranged(self.hub.files[path.removeprefix("/")])
        elif path.startswith("/api/models/"):
            self.send(200, json.dumps(self.hub.described or self.hub.description()).encode())
        elif (name := path.partition(f"/resolve/{COMMIT}/")[2]) in self.hub.files:
            self.resolve(name)
        else:
            self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def resolve(self, name: str) -> None:
        """Large files lie elsewhere."""
        raw = self.hub.files[name]
        if name.endswith(LFS):
            where = f"{self.hub.scheme}://127.0.0.1:{self.hub.store}/{name}?Signature=abc"
            more = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(raw)), "Location": where}
            self.send(302, b"Found", more)
        else:
            self.send(200, raw, {"X-Repo-Commit": COMMIT, "ETag": '"x"'})

    def asked(self, size: int) -> tuple[int, int]:
        """The range asked for, as begin and end."""
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        return int(first), min(int(last) + 1, size)

    def ranged(self, raw: bytes) -> None:
        """A part of a file."""
        begin, end = self.asked(len(raw))
        self.send(206, raw[begin:end], {"Content-Range": f"bytes {begin}-{end - 1}/{len(raw)}"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> bool:
        """A whole answer; True, as a misbehaviour says that it answered."""
        self.head(status, {"Content-Length": str(len(body)), **(headers or {})})
        self.write(body)
        return True

    def head(self, status: int, headers: dict[str, str]) -> None:
        """Status and headers only."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def write(self, raw: bytes) -> bool:
        """Sends bytes; False where nobody listens any longer."""
        try:
            self.wfile.write(raw)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
            return False
        return True

    def drip(self, raw: bytes, seconds: float = 30.0, step: float = 0.02) -> None:
        """One byte each `step`, for so long at most."""
        end = time.monotonic() + seconds
        for byte in raw:
            if time.monotonic() > end or not self.write(bytes([byte])):
                break
            time.sleep(step)
        self.close_connection = True


class Quiet(ThreadingHTTPServer):
    """A server to which a client that hangs up is no event."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Silence."""


@contextmanager
def serving(files: dict[str, bytes], context: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """A hub with one repository, for as long as the block lasts."""
    hub = Hub(files, scheme="https" if context else "http")
    handler = type("Bound", (Call,), {"hub": hub})
    servers = [Quiet(("127.0.0.1", 0), handler) for _ in range(2)]
    hub.port, hub.store = (int(server.server_address[1]) for server in servers)
    for server in servers:
        if context:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by name."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }
