"""Resource limits of a worker: memory, processor time, size and number of files, no core dumps."""

from __future__ import annotations

import contextlib
import math
import resource

FILE_LIMIT = 1 << 30
"""Bytes of a file that a worker may write: sketches are a few megabytes."""
OPEN_FILES = 2048


def limit(memory: int, seconds: float) -> str:
    """Sets limits that nothing in this process can raise again; returns those that hold, as text.

    `memory` is in bytes and counts private memory, not mapped files (RLIMIT_DATA; no effect on macOS); `seconds`
    are of processor time over all threads. The number of processes is not limited here: the system counts it over all
    processes of a user, threads included.
    """
    held = []
    for name, what, value in (
        ("core", resource.RLIMIT_CORE, 0),
        ("file", resource.RLIMIT_FSIZE, FILE_LIMIT),
        ("files", resource.RLIMIT_NOFILE, OPEN_FILES),
        ("memory", resource.RLIMIT_DATA, memory),
        ("seconds", resource.RLIMIT_CPU, math.ceil(seconds)),
    ):
        _, hard = resource.getrlimit(what)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (allowed, allowed))
            held.append(f"{name} {allowed}")
    return ", ".join(held)


def peak_memory() -> int:
    """Largest resident memory of this program so far, in bytes; 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            found = next((line for line in status if line.startswith("VmHWM:")), "0 0")
    except OSError:
        return 0
    return int(found.split()[1]) << 10
