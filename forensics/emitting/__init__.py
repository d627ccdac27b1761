"""Emitting: a dossier in formats that other programs read; pure functions of the record, nothing is weighed anew.

What each format says and does not say stands in docs/emitting.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from forensics.errors import CaseError, ReportError

FORMATS: Mapping[str, str] = {
    "cyclonedx": "bom.cdx.json",
    "in-toto": "statement.intoto.json",
    "model-card": "model-card.md",
}
"""What may be asked for, and the file that it is written to."""

_HOMES = {
    "cyclonedx": "forensics.emitting.cyclonedx",
    "in-toto": "forensics.emitting.in_toto",
    "model-card": "forensics.emitting.model_card",
}

WITH_PEDIGREE = ("cyclonedx", "model-card")
"""Formats that can assert descent, and then only above the bound that the user sets."""


def require_sense(formats: Sequence[str], pedigree_from: float | None, *, quick: bool = False) -> None:
    """CaseError where these formats cannot be made together with what else was asked; told before a case starts."""
    if pedigree_from is not None and not set(formats) & set(WITH_PEDIGREE):
        raise CaseError(
            "--pedigree-from bounds what is emitted, and nothing is that could assert descent",
            f"give --emit {' or --emit '.join(WITH_PEDIGREE)} as well, or leave it out",
        )
    if quick and "in-toto" in formats:
        raise CaseError(
            "an in-toto statement names the suspect's weights by digest, and a first look hashes none",
            "leave out --emit in-toto or --quick",
        )


def emitted(form: str, record: bytes, pedigree_from: float | None = None) -> bytes:
    """The record as a document of one of `FORMATS`, in the same bytes for the same record, bound and version.

    `pedigree_from` is the least lower end of a fused log10 LR from which descent is asserted; None: nowhere. Raises
    ReportError where `record` is no dossier, the format unknown, or the record lacks what the format cannot do without.
    """
    from forensics.emitting.emission import Emission

    if form not in _HOMES:
        raise ReportError(f"{form[:60]!r} is no format to emit", f"one of {', '.join(FORMATS)}")
    made: bytes = import_module(_HOMES[form]).document(Emission.of(record, pedigree_from))
    return made
