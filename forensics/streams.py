"""Standard streams and signals as a long-running command needs them."""

from __future__ import annotations

import os
import signal
import sys


def open_streams() -> None:
    """Gives closed standard streams a sink, so that no file of ours is opened in their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+" if number else "r", encoding="utf-8"))  # noqa: SIM115


def _unwind(number: int, _: object) -> None:
    """A signal to end unwinds like an interrupt, so that workers and scratch files go with us."""
    raise SystemExit(128 + number)


def unwind_on_signals() -> None:
    """Lets SIGTERM and SIGHUP end the command as an interrupt does, unless they are ignored (nohup)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)
