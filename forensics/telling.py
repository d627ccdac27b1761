"""The room that prints: hostile text made visible, whatever the terminal's encoding can show."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.case import Named
    from forensics.gates import Judged
    from forensics.records import Problem


def say(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr)


def visible(text: str) -> str:
    """Hostile text on one line without control characters."""
    from forensics.report.display import display

    return display(" ".join(text.split()))


def visible_line(text: str) -> str:
    """Hostile text on one line, its spaces kept."""
    from forensics.report.display import display

    return display(text)


def show(text: str) -> None:
    """Text on stdout whatever the locale's encoding can show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def visible_lines(text: str) -> str:
    """Several lines, each without control characters."""
    return "\n".join(visible_line(line) for line in text.split("\n"))


def warn(problems: Sequence[Problem]) -> None:
    """The first twenty problems as notes on stderr."""
    for problem in problems[:20]:
        where = "" if problem.message.startswith(f"{problem.where}:") else f"{problem.where}: "
        say(f"note: {visible(f'{where}{problem.message} ({problem.code})')}")
    if len(problems) > 20:
        say(f"note: {len(problems) - 20} more in the dossier")


def note_hubs(subjects: Iterable[Named]) -> None:
    """Says of each name that is no path here that a hub is asked for it."""
    for subject in subjects:
        if subject.hub:
            say(f"note: {visible(subject.hub)} is no path here; the hub is asked for it")


def tell_policy(found: Sequence[Judged], tell: Callable[[str], None]) -> None:
    """Which rules fired, if there were any."""
    if found:
        from forensics.report.gating import policy_lines

        for line in policy_lines(found):
            tell(line)


def tell_fetched(fetched: Mapping[str, Any]) -> None:
    """How much of a hub's files was fetched."""
    if fetched:
        whole = sum(fetched["of_bytes"].values())
        say(
            f"fetched {fetched['bytes'] / 1e6:.1f} MB of {whole / 1e6:.1f} MB from {', '.join(fetched['hubs'])} in "
            f"{fetched['requests']} requests"
        )
