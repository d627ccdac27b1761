"""What goes wrong in a way the user can understand: a message, a hint and an exit status."""

from __future__ import annotations

import re
from typing import ClassVar

FOLDERS = re.compile(r"(?<![^\s'\"(=:\[<,])/(?:[^\s/'\"()]+/)+")
"""The folders of an absolute path."""
ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
"""A place in memory, another one at each run."""


def told(error: BaseException) -> str:
    """An error's message as it may stand in a record: bounded, without the folders of absolute paths."""
    try:
        text = str(error)
    except Exception as unprintable:  # noqa: BLE001 - a stranger's error may not even print
        text = f"a message that raises {type(unprintable).__name__}"
    return without_folders(text)


def without_folders(text: str) -> str:
    """Text as it may stand in a record: bounded, without folders of absolute paths and without addresses."""
    return ADDRESS.sub("0x\u2026", FOLDERS.sub("\u2026/", text[:4000]))[:1000]


NOT_THE_CHECKPOINT = "CASE"
"""Code by which a worker says that an error is not the checkpoint's fault, e.g. that our own disk is full."""


class ForensicsError(Exception):
    """An error that is shown in two lines, without a traceback.

    `message` says what is wrong, `hint` what to do about it; `status` is the process's exit status.
    """

    status: ClassVar[int] = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CheckpointError(ForensicsError):
    """A checkpoint cannot be opened or read; `code` is stable and machine-readable."""

    def __init__(self, message: str, hint: str = "", *, code: str = "CHECKPOINT") -> None:
        super().__init__(message, hint)
        self.code = code


class CaseError(ForensicsError):
    """The question itself does not make sense: two subjects with one name, no candidate, and the like."""


class PluginError(ForensicsError):
    """Plugins contradict each other: two probes with one id, or a requested probe that nobody offers."""


class ReportError(ForensicsError):
    """A dossier cannot be read or rendered."""


class StrictError(ForensicsError):
    """`--strict` was given and something failed although the case was completed."""

    status: ClassVar[int] = 3
