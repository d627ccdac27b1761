"""Telling: a report is a pure function of a dossier, in HTML, PDF or plain text."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.report.changes import differences_text as differences_text
    from forensics.report.explaining import explanation as explanation
    from forensics.report.html import html_of as html_of
    from forensics.report.html import summary_of as summary_of
    from forensics.report.pdf import Rendered as Rendered
    from forensics.report.pdf import pdf_of as pdf_of
    from forensics.report.pdf import summary_pdf_of as summary_pdf_of
    from forensics.report.terminal import summary_table as summary_table
    from forensics.report.terminal import summary_text as summary_text
    from forensics.report.terminal import text_of as text_of

_HOMES = {
    "differences_text": "forensics.report.changes",
    "explanation": "forensics.report.explaining",
    "html_of": "forensics.report.html",
    "pdf_of": "forensics.report.pdf",
    "summary_of": "forensics.report.html",
    "summary_pdf_of": "forensics.report.pdf",
    "Rendered": "forensics.report.pdf",
    "text_of": "forensics.report.terminal",
    "summary_table": "forensics.report.terminal",
    "summary_text": "forensics.report.terminal",
}

__all__ = [
    "Rendered",
    "differences_text",
    "explanation",
    "html_of",
    "pdf_of",
    "summary_of",
    "summary_pdf_of",
    "summary_table",
    "summary_text",
    "text_of",
]


def __getattr__(name: str) -> Any:
    """Imports a rendering when first asked for, so that a case without a report loads none."""
    if name not in _HOMES:
        raise AttributeError(f"module 'forensics.report' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
