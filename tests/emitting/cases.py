"""Records for the tests of what is emitted, changed in the places that decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from forensics.archive import encode
from forensics.records import Dossier
from tests.report import example

ALL = {
    "whole": example.dossier(),
    "many": example.many(),
    "sparse": example.sparse(),
    "hostile": example.hostile(),
}


def record(dossier: Dossier) -> bytes:
    """Its bytes, as a case folder holds them."""
    return encode(dossier)


def hub(dossier: Dossier, *labels: str) -> Dossier:
    """The same case with these subjects read from a hub at a commit."""
    subjects = (replace(s, commit="a" * 40) if s.label in labels else s for s in dossier.subjects)
    return replace(dossier, subjects=tuple(subjects))


def said(dossier: Dossier, label: str, **changes: Any) -> Dossier:
    """The same case with another opinion on one candidate."""
    opinions = (replace(o, **changes) if o.candidate == label else o for o in dossier.opinions)
    return replace(dossier, opinions=tuple(opinions))


def hidden(text: str) -> set[str]:
    """Characters that steer a terminal or reorder text, but our own isolates and line feeds."""
    import unicodedata

    found = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}}
    return found - {"\n", "\u2068", "\u2069"}
