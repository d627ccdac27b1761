"""Writes the worked example as PDF, whole and as a summary: `python -m tests.report.sample FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from forensics.report import pdf_of, summary_pdf_of
from tests.report import example


def main(folder: Path) -> None:
    """Two files, for a validator."""
    dossier = example.dossier()
    record = example.record_of(dossier)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dossier.pdf").write_bytes(pdf_of(dossier, record).pdf)
    (folder / "summary.pdf").write_bytes(summary_pdf_of(dossier, record).pdf)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
