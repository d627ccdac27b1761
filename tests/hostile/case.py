"""What a hostile case is: a number from the list of threats, a folder that is built, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Traps:
    """What a payload would touch: a file that must not appear, one that must not be read, a server nobody may reach."""

    canary: Path
    secret: Path
    port: int

    @property
    def url(self) -> str:
        """An address of the server."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def program(self) -> str:
        """Python source that leaves a canary and calls the server."""
        return (
            f"open({str(self.canary)!r}, 'w').close()\nimport socket\n"
            f"socket.create_connection(('127.0.0.1', {self.port}))\n"
        )


Build = Callable[[Path, Traps], None]
"""Makes the checkpoint at a path that does not exist yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One hostile checkpoint. Exactly one of `refused` (the code it is refused with) and `codes` is expected."""

    number: str
    """`1` to `80` as in the list of threats, with a letter for variants; `+1` and on for what is beyond it."""
    title: str
    build: Build
    refused: str = ""
    codes: tuple[str, ...] = ()
    """Codes of problems that are all there, if it is read; empty for none at all."""
    more: bool = False
    """Whether other problems may be there too."""
    check: Callable[[Mapping[str, Any]], None] | None = None
    """Looks at the record of the subject, where it is read."""
    seconds: float = 10.0
    """Of processor time; of the clock at most five times as much."""
    megabytes: int = 300
    single: str = ""
    """Name of the one file that is handed over, instead of the folder."""
    also: Callable[[Path], list[Path]] | None = None
    """Other places that may be opened, e.g. a hub cache's blobs."""
    whole: bool = False
    """Whether it takes part in the whole case with real workers too."""
    slow: bool = False


@dataclass(slots=True)
class Collection:
    """Cases of one area, in order."""

    area: str
    cases: list[Case] = field(default_factory=list)

    def case(self, number: str, title: str, **expected: Any) -> Callable[[Build], Build]:
        """Adds the decorated builder."""

        def added(build: Build) -> Build:
            self.cases.append(Case(number=number, title=title, build=build, **expected))
            return build

        return added
