"""The typesetter: a process of its own that turns one page into one PDF and can fetch nothing.

Run as `python -m forensics.report.typeset`. Standard input: one JSON line with lengths, then page and record.
Standard output: one JSON line (`missing`, `refused`, `warnings`), then the PDF.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forensics.report.faces import font_bytes

MEMORY = 4 << 30
"""Bytes of address space."""
LARGEST_FILE = 64 << 20
"""Bytes of a temporary file: fonts on their way into the PDF."""
FONTS = ("DejaVuSans", "DejaVuSans-Bold")
"""What figures are lettered in, and what signs and letters are taken from that the shipped fonts lack."""
KINDS = {".ttf": "font/ttf", ".woff2": "font/woff2"}


def restrain(seconds: float) -> None:
    """Limits this process's memory, processor time and files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows has no such limits; the time limit of the parent remains
        return
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, int(seconds) + 5),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def fonts() -> dict[str, bytes]:
    """The shipped fonts, and the DejaVu that comes with matplotlib, so that every installation sets alike."""
    own = font_bytes()
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return own
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    files = [folder / f"{name}.ttf" for name in FONTS]
    return own | {file.name: file.read_bytes() for file in files if file.is_file()}


def closed_fetcher(assets: Mapping[str, bytes], refused: list[str]) -> Any:
    """A fetcher that knows `data:` addresses and our own assets in memory, and refuses and records all else."""
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class ClosedFetcher(URLFetcher):  # type: ignore[misc]  # weasyprint publishes no types
        """Nothing is read from disk or network, nothing is redirected."""

        def __init__(self) -> None:
            super().__init__(allowed_protocols=("data",), allow_redirects=False, fail_on_errors=False)

        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
            """The asset or the decoded `data:` address; ValueError for anything else."""
            if url.startswith("asset:") and (body := assets.get(url.removeprefix("asset:"))) is not None:
                return URLFetcherResponse(url, body, {"Content-Type": KINDS[Path(url).suffix]})
            if url[:5].lower() == "data:":
                return super().fetch(url, headers)
            refused.append(url[:300])
            raise ValueError(f"refused to fetch {url[:100]}")

    return ClosedFetcher()


class Listener(logging.Handler):
    """Collects WeasyPrint's warnings, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the message."""
        if len(self.heard) < 100:
            self.heard[record.getMessage()[:300]] = None


def press(page: str, record: bytes, moment: datetime, refused: list[str]) -> bytes:
    """The PDF/A-3a of a page, with the record attached."""
    from weasyprint import HTML, Attachment
    from weasyprint.text.fonts import FontConfiguration

    fetcher = closed_fetcher(fonts(), refused)
    source = HTML(string=page, url_fetcher=fetcher, base_url=None)
    document = source.render(font_config=FontConfiguration())
    document.metadata.attachments = [
        Attachment(
            string=record,
            name="dossier.json",
            description="The record that this report tells",
            relationship="Data",
            created=moment,
            modified=moment,
            url_fetcher=fetcher,
        )
    ]
    pdf: bytes = document.write_pdf(pdf_variant="pdf/a-3a")
    return pdf


def main() -> None:
    """Reads the job, works under limits, answers."""
    header = json.loads(sys.stdin.buffer.readline())
    parts = {name: sys.stdin.buffer.read(length) for name, length in header["lengths"].items()}
    restrain(header["timeout"])
    listener = Listener()
    logger = logging.getLogger("weasyprint")
    logger.handlers = [listener]
    refused: list[str] = []
    told: dict[str, Any] = {"missing": "", "refused": refused}
    pdf = b""
    try:
        import weasyprint  # noqa: F401 - only to see whether it and its libraries are there
    except (ImportError, OSError) as error:
        told["missing"] = " ".join(str(error).split()) or type(error).__name__
    else:
        moment = datetime.fromtimestamp(header["epoch"], UTC)
        pdf = press(parts["page"].decode(), parts["record"], moment, refused)
    told["warnings"] = list(listener.heard)
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + pdf)


if __name__ == "__main__":
    main()
