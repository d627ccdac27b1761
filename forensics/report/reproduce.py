"""How to repeat a case: the command line as far as the record tells it, and whose code took part."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from forensics.records import Dossier
from forensics.report.display import Shown, display, isolate
from forensics.report.view import ProbeSection

SHOWN = 24
"""Subjects of one option that are spelt out."""


def command(dossier: Dossier) -> Shown:
    """The `forensics investigate` of this case, a line for each option; every name through the one filter."""
    case = dossier.case
    lines = ["forensics investigate"]
    if case.generated_at:
        lines = [f"SOURCE_DATE_EPOCH=$(date -u -d {_word(case.generated_at)} +%s) forensics investigate"]
    lines.append(f"--suspect {_place(case.suspect)}")
    for option, labels in (("candidates", case.candidates), ("controls", case.controls)):
        if labels:
            more = " …" if len(labels) > SHOWN else ""
            lines.append(f"--{option} {' '.join(_place(label) for label in labels[:SHOWN])}{more}")
    if case.probes:
        lines.append(f"--probes {' '.join(_word(probe) for probe in case.probes)}")
    if case.id:
        lines.append(f"--case-id {_word(case.id)}")
    if dossier.certificates:
        lines.append("--self-test")
    if any(subject.form == "first-look" for subject in dossier.subjects):
        lines.append("--quick")
    return Shown(isolate(" \\\n  ".join([*lines, "--out case"])))


def _place(label: str) -> str:
    return f"{_word(label)}=PATH"


def _word(text: str) -> str:
    return shlex.quote(display(text, 80))


def other_plugins(dossier: Dossier, sections: Sequence[ProbeSection]) -> list[tuple[str, tuple[str, ...]]]:
    """Distributions of loaded plugins whose digest stands beside no instrument of the case, with those digests."""
    told = {section.used.origin.sha256 for section in sections}
    others: dict[str, list[str]] = {}
    for plugin in dossier.environment.plugins:
        if plugin.sha256 not in told:
            words = f"{plugin.distribution} {plugin.version}{'' if plugin.bundled else ', a third party'}"
            others.setdefault(words, []).extend([plugin.sha256] if plugin.sha256 else [])
    return [(words, tuple(digests)) for words, digests in others.items()]
