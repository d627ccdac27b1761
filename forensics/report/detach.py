"""What is attached to a PDF that somebody hands over, found out in a process of its own under limits.

Run as `python -m forensics.report.detach`: the PDF on standard input, one JSON line on standard output.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from typing import Any

from forensics.errors import ReportError
from forensics.report.typeset import restrain

SECONDS = 60.0
MOST = 20
"""Attachments that are looked at."""


def attachments(pdf: bytes) -> list[tuple[str, str]]:
    """(name, SHA-256) of every attachment, in the order of the file; ReportError for what is no readable PDF."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "forensics.report.detach"],
            input=pdf,
            capture_output=True,
            timeout=SECONDS + 10,
            check=False,
        )
        told = json.loads(done.stdout)
        found = [(str(name)[:120], str(digest)) for name, digest in told["attached"]]
    except subprocess.TimeoutExpired:
        raise ReportError("takes too long to be read") from None
    except (ValueError, KeyError, TypeError):
        raise ReportError("cannot be read within limits") from None
    if told["error"]:
        raise ReportError(f"is no PDF that can be read: {str(told['error'])[:200]}")
    return found


def listed(pdf: bytes) -> dict[str, Any]:
    """`attached` as pairs of name and SHA-256, and `error`, which is empty where all went well."""
    from pypdf import PdfReader

    try:
        reader = PdfReader(io.BytesIO(pdf))
        found = [
            (attached.name, hashlib.sha256(attached.content).hexdigest())
            for attached, _ in zip(reader.attachment_list, range(MOST), strict=False)
        ]
    except Exception as error:  # noqa: BLE001 - a stranger's file; whatever it causes is the answer
        return {"attached": [], "error": f"{type(error).__name__}: {error}"}
    return {"attached": found, "error": ""}


def main() -> None:
    """Gives up what it does not need, reads, answers."""
    restrain(SECONDS)
    pdf = sys.stdin.buffer.read()
    sys.stdout.write(json.dumps(listed(pdf)) + "\n")


if __name__ == "__main__":
    main()
