"""Landlock: from a moment on, a process can open only the files below the places it named.

A security module of Linux since 5.13 that needs no privilege (Documentation/userspace-api/landlock.rst); asked for by
system calls of its own, for which libc has no wrappers.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import Any

CREATE, ADD_RULE, RESTRICT = 444, 445, 446
"""Numbers of the three system calls, the same on every architecture."""
VERSION = 1
DEVICES = ("/dev/null", "/dev/zero")
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEVICE = (
    1 << 0,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 14,
    1 << 15,
)
REFER, MAKE = 1 << 13, 0b1111111110000
"""Moving between folders; removing and making anything in a folder (bits 4 to 12), devices included."""
READING = EXECUTE | READ_FILE | READ_DIR
ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
WRITING = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REFER | (MAKE & ~(1 << 6) & ~(1 << 11))
"""All but devices (bits 6 and 11), and without execution: what a worker wrote is never run."""
KNOWN_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Every right over files by version of the interface; a right that is known and not granted is refused."""
TCP = 0b11
"""Binding and connecting, since version 4; none is granted."""
OUTSIDE = 0b11
"""Abstract sockets of, and signals to, processes outside; since version 6."""


def version(libc: Any) -> int:
    """Version of the interface that the kernel offers; 0 for none."""
    return max(0, libc.syscall(CREATE, None, ctypes.c_size_t(0), VERSION))


def restrict(readable: Iterable[str], listed: Iterable[str], scratch: str, libc: Any) -> str:
    """Confines this thread and those it starts later; says by which version, empty where there is none.

    Folders of `readable` may also be listed and what lies in them executed: shared libraries are. `listed` are only
    listed, `scratch` is the one place to write. OSError where the kernel refuses half way; nothing is confined then.
    """
    offered = version(libc)
    if not offered:
        return ""
    handled = KNOWN_FILES[min(offered, 5)]
    attributes = struct.pack("<QQQ", handled, TCP, OUTSIDE)[: 8 if offered < 4 else 16 if offered < 6 else 24]
    ruleset = _checked(libc.syscall(CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        grants = [
            (readable, READING),
            (listed, READ_DIR),
            ([scratch], WRITING),
            (DEVICES, READ_FILE | WRITE_FILE),
        ]
        for places, rights in grants:
            for place in places:
                _grant(libc, ruleset, place, rights & handled)
        _checked(libc.syscall(RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return f"landlock {offered}"


def _grant(libc: Any, ruleset: int, place: str, rights: int) -> None:
    """Lets this process do that much below a place; a place that cannot be opened is not granted."""
    try:
        fd = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ON_A_FILE
        _checked(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("<Qi", rights, fd), 0))
    finally:
        os.close(fd)


def _checked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    return answer
