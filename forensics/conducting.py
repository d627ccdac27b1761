"""`investigate`: a case from the question to its files, and what is said meanwhile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.asking import request_of
from forensics.errors import StrictError
from forensics.telling import note_hubs, say, show, tell_fetched, tell_policy, visible, warn

if TYPE_CHECKING:
    from forensics.case import Request
    from forensics.records import Dossier

FIRED = 1
"""Exit status where a rule of a policy fired or a check failed (decision 11)."""


def investigate(given: argparse.Namespace) -> int:
    """Runs a case, writes its files, prints the opinions."""
    from forensics import casefiles, emitting, investigation
    from forensics.gates import judged
    from forensics.policy import read_policy
    from forensics.progress import Watching
    from forensics.registry import Registry

    emitting.require_sense(given.emit, given.pedigree_from, quick=given.quick)
    request = asked(given, given.suspect).checked()
    policy = read_policy(Path(given.policy)) if given.policy else None
    folder = Path(given.out)
    casefiles.prepare(folder, request)
    registry = Registry.load(only_bundled=given.only_bundled)
    with Watching() as watch:
        done = investigation.investigate(request, registry, watch)
    with casefiles.writing(folder):
        record = casefiles.write_record(folder, done, request)
    show(record.decode().rstrip("\n") if given.json else _summary(done.dossier))
    warn((*done.notes, *done.dossier.problems))
    _tell_unused(request, done.dossier)
    tell_fetched(done.fetched)
    with casefiles.writing(folder):
        _, refusals = casefiles.emit(folder, record, given.emit, given.pedigree_from)
        warnings = casefiles.render(folder, done, record)
    for warning in warnings:
        say(f"warning: {visible(warning)}")
    if not given.json:
        show(f"dossier: {folder / 'dossier.pdf'}")
    for refusal in refusals:
        raise refusal
    found = judged(policy, done.dossier) if policy else ()
    tell_policy(found, say)
    if given.strict:
        _require_clean(done.dossier)
    return FIRED if any(one.fired for one in found) else 0


def asked(given: argparse.Namespace, suspect: str) -> Request:
    """What is asked for; says which names a hub is asked about."""
    request = request_of(given, suspect)
    note_hubs(subject for subject, _ in request.subjects())
    return request


def _tell_unused(request: Request, dossier: Dossier) -> None:
    """Which given calibrations weighed nothing."""
    weighed = {population.id for population in dossier.environment.populations}
    for unused in [str(c["id"]) for c in request.calibrations if c["id"] not in weighed]:
        say(
            f"note: {visible(unused)} weighed nothing: no probe that it knows, in the version it knows, gave a reading"
        )


def _summary(dossier: Dossier) -> str:
    from forensics.report import summary_text

    if not sys.stdout.isatty():
        return summary_text(dossier)
    from rich.console import Console

    from forensics.report import summary_table

    console = Console()
    with console.capture() as captured:
        console.print(summary_table(dossier))
    return captured.get().rstrip("\n")


def _require_clean(dossier: Dossier) -> None:
    failed = [f"{f.probe.id} on {f.candidate}" for f in dossier.findings if f.outcome.kind == "failure"]
    failed += [p.where for p in dossier.problems if p.code.startswith("PLUGIN")]
    if failed:
        raise StrictError(
            f"--strict: failed: {', '.join(failed)[:400]}", "the dossier was written all the same"
        )
