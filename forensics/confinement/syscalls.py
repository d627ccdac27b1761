"""A filter on system calls: no sockets, no looking into other processes, and no new processes where none are needed.

Written as the few instructions of classic BPF that it takes (Documentation/userspace-api/seccomp_filter.rst); the
numbers are those of the kernel's system call tables for x86-64 and arm64. Refused calls fail, they do not kill: a
library that tries and falls back goes on.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import Any

PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOWED, FAILING = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Offsets in what the kernel hands to the filter."""
CLONE_THREAD = 0x00010000
OTHER_INTERFACE = 0x40000000
"""Numbers from here on are those of the x32 interface, by which a filter on numbers could be passed by."""

MACHINES = {
    # audit code, then: socket, io_uring_setup, ptrace, process_vm_readv, process_vm_writev; fork, vfork; clone, clone3
    "x86_64": (0xC000003E, (41, 425, 101, 310, 311), (57, 58), 56, 435),
    "aarch64": (0xC00000B7, (198, 425, 117, 270, 271), (), 220, 435),
}


def refuse(libc: Any, *, processes: bool) -> str:
    """Installs the filter for this thread and those it starts; says what is refused, empty where none can be had.

    `socket` fails whatever the family (pairs of connected ones are made by another call and stay), and so do the
    calls that could make one unseen; with `processes`, no process can be started either. OSError where the kernel
    refuses.
    """
    known = MACHINES.get(platform.machine())
    if known is None or struct.calcsize("P") != 8:
        return ""
    program = b"".join(_program(*known, processes=processes))
    held = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(held))
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    del held
    return "no sockets, no processes" if processes else "no sockets"


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _refused(number: int, error: int) -> list[bytes]:
    return [_step(EQUAL, number, 0, 1), _step(RETURN, FAILING | error)]


def _program(  # the columns of MACHINES
    audit: int, outward: tuple[int, ...], forks: tuple[int, ...], clone: int, clone3: int, *, processes: bool
) -> list[bytes]:
    steps = [_step(LOAD, ARCHITECTURE), _step(EQUAL, audit, 1, 0), _step(RETURN, FAILING | errno.EPERM)]
    steps += [_step(LOAD, NUMBER)]
    steps += [_step(AT_LEAST, OTHER_INTERFACE, 0, 1), _step(RETURN, FAILING | errno.ENOSYS)]
    for number in outward:
        steps += _refused(number, errno.EACCES)
    if processes:
        for number in forks:
            steps += _refused(number, errno.EPERM)
        steps += _refused(clone3, errno.ENOSYS)  # its flags lie in memory; libc falls back to clone
        steps += [
            _step(EQUAL, clone, 0, 4),
            _step(LOAD, FIRST_ARGUMENT),
            _step(ANY_BIT, CLONE_THREAD, 1, 0),
            _step(RETURN, FAILING | errno.EPERM),
            _step(RETURN, ALLOWED),
        ]
    return [*steps, _step(RETURN, ALLOWED)]
