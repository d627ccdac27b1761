"""Progress on stderr for somebody who watches; silent where nobody does."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Watching:
    """A watch that draws bars while stderr is a terminal, and nothing otherwise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: dict[str, TaskID] = {}
        self._progress: Progress | None = None

    def __enter__(self) -> Watching:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns: tuple[Any, ...] = (
                SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(),
            )  # fmt: skip
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def reading(self, label: str, done: int, total: int) -> None:
        """Moves a subject's bar."""
        self._move(f"read     {_short(label)}", done, total)

    def examining(self, probe: str, candidate: str) -> None:
        """Shows that a probe is at work on this checkpoint."""
        del probe  # a batch is announced probe by probe; one bar per checkpoint is enough
        self._move(f"probe    {_short(candidate)}", 0, None)

    def _move(self, title: str, done: int, total: int | None) -> None:
        if self._progress is None:
            return
        with self._lock:
            if title not in self._bars:
                self._bars[title] = self._progress.add_task(title, total=total)
            self._progress.update(self._bars[title], completed=done, total=total)


def _short(label: str) -> str:
    return label if len(label) <= 40 else "…" + label[-39:]
