"""Starts a worker, listens to it, and ends it at its time limit. The parent trusts nothing a worker says."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LINE_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a worker ended: `done`, or why not."""

    done: bool
    error: str = ""
    """`timeout`, `killed`, or the class of an unforeseen error."""
    detail: str = ""
    seconds: float = 0.0


def run(job: Mapping[str, Any], *, limit: float, listen: Callable[[Mapping[str, Any]], None]) -> JobEnd:
    """Runs one job in a fresh process; calls `listen` for every answer; kills the whole group at `limit` seconds."""
    began = time.monotonic()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "forensics.worker", str(writing)],
            stdin=subprocess.PIPE,
            stdout=noise,
            stderr=noise,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as out:
                out.write(json.dumps(job).encode())
            end = _listen(reading, began + limit, listen)
        finally:
            os.close(reading)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if end is None:
            noise.seek(max(0, noise.tell() - 600))
            words = noise.read().decode("utf-8", "replace").strip().splitlines()
            end = JobEnd(done=False, error="killed", detail=words[-1][:300] if words else "the worker died")
    return JobEnd(done=end.done, error=end.error, detail=end.detail, seconds=time.monotonic() - began)


def _listen(source: int, deadline: float, listen: Callable[[Mapping[str, Any]], None]) -> JobEnd | None:
    """Reads answers until the worker says it is done, closes its end (None), or the deadline passes."""
    pending = bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(source, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.select(left):
                return JobEnd(done=False, error="timeout", detail="the time limit was reached")
            part = os.read(source, 1 << 20)
            if not part:
                return None
            pending += part
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            if len(pending) > LINE_LIMIT:
                return JobEnd(done=False, error="killed", detail="the worker's answer was too long")
            for line in lines:
                end = _heard(line, listen)
                if end is not None:
                    return end


def _heard(line: bytes, listen: Callable[[Mapping[str, Any]], None]) -> JobEnd | None:
    try:
        message = json.loads(line)
    except ValueError:
        return JobEnd(done=False, error="killed", detail="the worker's answer was not JSON")
    if not isinstance(message, dict):
        return JobEnd(done=False, error="killed", detail="the worker's answer was not an object")
    if message.get("done"):
        return JobEnd(done=True)
    if crash := message.get("crash"):
        return JobEnd(done=False, error=str(crash.get("error")), detail=str(crash.get("detail")))
    listen(message)
    return None
