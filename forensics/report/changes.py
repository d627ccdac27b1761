"""Two examinations held against each other, as plain text of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.differences import Change
from forensics.report.display import display
from forensics.report.plain import Writer

WIDTH = 80
MOST = 500
"""Changes of one part that are told one by one."""
VALUE = 160
"""Characters of a value that are shown."""

TITLES = {
    "case": "The question",
    "subject": "What was examined",
    "version": "Versions",
    "probe": "Instruments",
    "calibration": "Reference populations",
    "finding": "Findings",
    "opinion": "Opinions",
    "other": "Other parts of the record",
}


def differences_text(changes: Sequence[Change]) -> str:
    """Every change with what it was, what it is, and what it may come from; one sentence where there is none."""
    writer = Writer(WIDTH)
    if not changes:
        writer.paragraph("The two records say the same.")
    for part, title in TITLES.items():
        told = [change for change in changes if change.part == part]
        if not told:
            continue
        writer.chapter("", f"{title}: {len(told)} changed", rule="-")
        for change in told[:MOST]:
            _change(change, writer)
        if len(told) > MOST:
            writer.paragraph(f"{len(told) - MOST} more; --json has them all.")
    return writer.text()


def _change(change: Change, writer: Writer) -> None:
    writer.item(change.what, bullet="")
    writer.pair("was", display(change.before, VALUE) or "nothing")
    writer.pair("is", display(change.after, VALUE) or "nothing")
    for cause in change.causes:
        writer.pair("may come from" if not cause.startswith("unexplained") else "cause", cause)
