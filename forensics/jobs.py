"""Starts a worker, listens to it, and ends it at its time limit. The parent trusts nothing a worker says."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forensics.confinement import Allowance, environment
from forensics.errors import ReportError, without_folders

LINE_LIMIT = 64 << 20

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
    confined: Mapping[str, bool | str] = field(default_factory=dict)
    """What the worker gave up before it opened anything, by name; it differs between machines."""
    peak: int = 0
    """Largest resident memory in bytes, as the worker said when it was done; 0 where it did not."""


def run(
    job: Mapping[str, Any],
    *,
    limit: float,
    listen: Callable[[Mapping[str, Any]], None],
    descriptors: tuple[int, ...] = (),
) -> JobEnd:
    """Runs one job in a fresh process; calls `listen` for every answer; kills the whole group at `limit` seconds.

    The worker writes in a folder of its own; the file that it leaves for `job["out"]` is put there afterwards. It
    inherits `descriptors`, e.g. a broker's, under their numbers.
    """
    began = time.monotonic()
    with _scratch(str(job.get("out", ""))) as scratch:
        inner = {**job, "allowance": Allowance.of(job, scratch, limit).sent()}
        if job.get("out"):
            inner["out"] = os.path.join(scratch, "out")
        end, said = _ran(inner, scratch, began + limit, listen, descriptors)
        if job.get("out"):
            _delivered(inner["out"], str(job["out"]))
    confined = {str(k)[:40]: v for k, v in said.items() if isinstance(v, bool | str)}
    return replace(end, seconds=time.monotonic() - began, confined=confined)


@contextlib.contextmanager
def _scratch(out: str) -> Iterator[str]:
    """A folder that goes away with all that the worker left; beside the file to deliver, which can then be moved."""
    folder = tempfile.mkdtemp(prefix="forensics-worker-", dir=os.path.dirname(out) or None)
    try:
        yield folder
    finally:
        with contextlib.suppress(RecursionError):  # folders nested by the thousand
            shutil.rmtree(folder, ignore_errors=True)


def _delivered(made: str, out: str) -> None:
    """Moves the worker's file to its place; anything but a regular file stays where it is, and goes away."""
    try:
        if stat.S_ISREG(os.lstat(made).st_mode):
            os.replace(made, out)
    except OSError:
        return


def _ran(
    job: Mapping[str, Any],
    scratch: str,
    deadline: float,
    listen: Callable[[Mapping[str, Any]], None],
    descriptors: tuple[int, ...],
) -> tuple[JobEnd, Mapping[str, Any]]:
    """How the worker ended, and what it said of its confinement."""
    said: dict[str, Any] = {}

    def heard(message: Mapping[str, Any]) -> None:
        if isinstance(message.get("confined"), dict):
            said.update(message["confined"])
        else:
            listen(message)

    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(  # noqa: S603 - our own module
            # -P: the current folder may be a suspect's, and its json.py is not ours
            [sys.executable, "-P", "-m", "forensics.worker", str(writing)],
            stdin=subprocess.PIPE,
            stdout=noise,
            stderr=noise,
            pass_fds=(writing, *descriptors),
            start_new_session=True,
            env=environment(scratch),
        )
        os.close(writing)
        _LIVE.add(process.pid)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as out:
                out.write(json.dumps(job).encode())
            end = _listen(reading, deadline, heard, process)
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
    return end, said


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
            return JobEnd(done=True, peak=int(message.get("peak", 0)))
        if crash := message.get("crash"):
            return JobEnd(done=False, error=str(crash["error"]), detail=str(crash["detail"]))
        listen(message)
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
        ReportError,
    ) as error:
        detail = f"the worker's answer makes no sense ({type(error).__name__})"
        return JobEnd(done=False, error="garbled", detail=detail)
    return None
