"""A dossier as PDF/A-3 with its record embedded, typeset in a worker that can be killed.

The page is made here; the typesetter (`forensics.report.typeset`) gets it on standard input, with limits on
time, memory and files, and can fetch nothing. Two renderings under one installation are equal byte for byte.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.errors import ReportError
from forensics.records import Dossier
from forensics.report.html import html_for_paper, summary_of
from forensics.report.missing import missing_glyphs

LIBRARIES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
"""Debian and Ubuntu packages with the system libraries that WeasyPrint loads."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A finished PDF and what the typesetter had to say."""

    pdf: bytes
    refused: tuple[str, ...] = ()
    """Addresses that the page asked for and did not get; anything here is a finding about a subject or a bug."""
    warnings: tuple[str, ...] = ()


def pdf_of(dossier: Dossier, record: bytes, *, timeout: float = 300) -> Rendered:
    """The report as PDF with `record` attached as `dossier.json`.

    Raises `ReportError` where WeasyPrint or its system libraries are missing, the worker takes more than
    `timeout` seconds, or it dies.
    """
    return typeset(html_for_paper(dossier, record), record, made_at(dossier), timeout=timeout)


def summary_pdf_of(dossier: Dossier, record: bytes, *, timeout: float = 120) -> Rendered:
    """The first page alone as PDF, with the record attached; see `pdf_of` for the errors."""
    return typeset(summary_of(dossier, record, screen=False), record, made_at(dossier), timeout=timeout)


def made_at(dossier: Dossier) -> datetime:
    """When the record says it was made, in UTC; 1970 where it does not say or says it unreadably."""
    try:
        stated = datetime.fromisoformat(dossier.case.generated_at or "")
    except ValueError:
        return EPOCH
    try:
        moment = stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    except OverflowError:
        return EPOCH
    return moment.replace(microsecond=0) if moment >= EPOCH else EPOCH


def typeset(page: str, record: bytes, moment: datetime, *, timeout: float) -> Rendered:
    """Sends a page to the worker and takes the PDF back; see `pdf_of` for the errors."""
    parts = {"page": page.encode(), "record": record}
    epoch = int(moment.timestamp())
    header = {
        "epoch": epoch,
        "timeout": timeout,
        "lengths": {name: len(part) for name, part in parts.items()},
    }
    job = json.dumps(header).encode() + b"\n" + b"".join(parts.values())
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "forensics.report.typeset"],
            input=job,
            capture_output=True,
            timeout=timeout,
            env=_surroundings(epoch),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReportError(
            f"typesetting the PDF took more than {timeout:g} s and was stopped",
            "the record is complete; `forensics report --to html` shows the same without typesetting",
        ) from None
    return _answer(done)


def _surroundings(epoch: int) -> dict[str, str]:
    """The worker's environment: ours, the same modules, and a fixed clock, hash seed and language."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    fixed = {
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": path,
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }
    return {**os.environ, **fixed}


def _answer(done: subprocess.CompletedProcess[bytes]) -> Rendered:
    """The worker's answer: one JSON line, then the PDF."""
    line, _, body = done.stdout.partition(b"\n")
    try:
        told = json.loads(line)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
        raise ReportError(
            f"the typesetting worker ended with status {done.returncode}: {last[0][:300]}",
            "the record is complete; `forensics report --to html` shows the same without typesetting",
        ) from None
    if told["missing"]:
        raise ReportError(
            f"WeasyPrint cannot be used: {told['missing'][:300]}",
            f"on Debian or Ubuntu: apt-get install {LIBRARIES}; `--to html` needs none of it",
        )
    if not body.startswith(b"%PDF-"):
        raise ReportError("the typesetting worker answered with something that is not a PDF")
    return Rendered(pdf=body, refused=tuple(told["refused"]), warnings=missing_glyphs(told["warnings"]))
