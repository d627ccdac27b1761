"""What a worker gives up before it opens anything hostile. Best effort: what the kernel refuses is skipped and told.

Nothing here needs a privilege, a package or Linux: on other systems, and in containers that forbid it, the limits
on memory, time and files remain, and the answer says what else was not to be had.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable
from typing import Any

from forensics.confinement.allowance import Allowance, environment
from forensics.confinement.landlock import restrict
from forensics.confinement.limits import limit, peak_memory
from forensics.confinement.places import needed
from forensics.confinement.syscalls import refuse

PR_SET_NO_NEW_PRIVS = 38
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def confine(allowance: Allowance) -> dict[str, bool | str]:
    """Gives up what the job does not need, for good, and says what was achieved, by name.

    No new privileges, no life after its parent, bounded memory, time, descriptors and file size; no network; only
    the files the job is about and those Python needs to run, and nothing to write but the scratch folder.
    """
    readable = [*needed(), *allowance.readable]
    done: dict[str, bool | str] = {"limits": limit(allowance.memory, allowance.processor_seconds)}
    if sys.platform != "linux":
        return done
    libc = _libc()
    if libc is None:
        return done
    done["dies_with_parent"] = libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    done["no_new_privileges"] = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    done["own_network"] = libc.unshare(CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0
    done["files"] = _attempted(lambda: restrict(readable, allowance.listed, allowance.scratch, libc))
    done["calls"] = _attempted(lambda: refuse(libc, processes=not allowance.processes))
    return done


def _libc() -> Any:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl, libc.unshare, libc.syscall  # noqa: B018 - AttributeError where one is missing
    except (OSError, AttributeError):
        return None
    libc.syscall.restype = ctypes.c_long
    return libc


def _attempted(restriction: Callable[[], str]) -> str:
    """What a restriction says of itself; empty where it is not to be had."""
    try:
        return restriction()
    except OSError:
        return ""


__all__ = ["Allowance", "confine", "environment", "peak_memory"]
