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

from forensics.errors import ReportError, without_folders

LINE_LIMIT = 64 << 20
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Workers run side by side, and an order of additions that does not depend on the machine gives equal records."""


_LIVE: set[int] = set()
"""Groups of the workers that run now, so that an interrupted case can end them from another thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a worker ended: `done`, or why not."""

    done: bool
    error: str = ""
    """`timeout`, `killed`, `garbled`, or the class of an unforeseen error."""
    detail: str = ""
    seconds: float = 0.0


def run(job: Mapping[str, Any], *, limit: float, listen: Callable[[Mapping[str, Any]], None]) -> JobEnd:
    """Runs one job in a fresh process; calls `listen` for every answer; kills the whole group at `limit` seconds."""
    began = time.monotonic()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(  # noqa: S603 - our own module
            # -P: the current folder may be a suspect's, and its json.py is not ours
            [sys.executable, "-P", "-m", "forensics.worker", str(writing)],
            stdin=subprocess.PIPE,
            stdout=noise,
            stderr=noise,
            pass_fds=(writing,),
            start_new_session=True,
            env=os.environ | ONE_THREAD,
        )
        os.close(writing)
        _LIVE.add(process.pid)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as out:
                out.write(json.dumps(job).encode())
            end = _listen(reading, began + limit, listen, process)
        finally:
            os.close(reading)
            _end(process.pid)
            process.wait()
            _LIVE.discard(process.pid)
        if end is None:
            noise.seek(max(0, noise.tell() - 600))
            words = without_folders(noise.read().decode("utf-8", "replace").strip()).splitlines()
            end = JobEnd(
                done=False, error="killed", detail=words[-1][:300] if words else _ending(process.returncode)
            )
    return JobEnd(done=end.done, error=end.error, detail=end.detail, seconds=time.monotonic() - began)


def end_all() -> None:
    """Ends every worker at once: the case is over."""
    for group in list(_LIVE):
        _end(group)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _ending(status: int) -> str:
    """How a process that said nothing ended."""
    if status < 0:
        return f"the worker was ended by signal {-status} ({signal.strsignal(-status)})"
    return f"the worker ended with status {status}"


def _listen(
    source: int,
    deadline: float,
    listen: Callable[[Mapping[str, Any]], None],
    process: subprocess.Popen[bytes],
) -> JobEnd | None:
    """Reads answers until the worker says it is done, is gone (None), or the deadline passes.

    A worker that died may leave children behind that hold its end of the pipe open.
    """
    pending = bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(source, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return JobEnd(done=False, error="timeout", detail="the time limit was reached")
            gone = process.poll() is not None
            if not waiting.select(0 if gone else min(left, 0.5)):
                if gone:
                    return None
                continue
            part = os.read(source, 1 << 20)
            if not part:
                return None
            pending += part
            if b"\n" not in part and len(pending) <= LINE_LIMIT:
                continue
            *lines, rest = pending.split(b"\n")
            pending = bytearray(rest)
            if len(pending) > LINE_LIMIT:
                return JobEnd(done=False, error="killed", detail="the worker's answer was too long")
            for line in lines:
                end = _heard(bytes(line), listen)
                if end is not None:
                    return end


def _heard(line: bytes, listen: Callable[[Mapping[str, Any]], None]) -> JobEnd | None:
    try:
        message = json.loads(line)
        if message.get("done"):
            return JobEnd(done=True)
        if crash := message.get("crash"):
            return JobEnd(done=False, error=str(crash["error"]), detail=str(crash["detail"]))
        listen(message)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ReportError) as error:
        detail = f"the worker's answer makes no sense ({type(error).__name__})"
        return JobEnd(done=False, error="garbled", detail=detail)
    return None
