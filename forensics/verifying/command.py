"""`forensics verify`: the files of a case, then its subjects where somebody names their files."""

from __future__ import annotations

import argparse
from pathlib import Path

from forensics.asking import request_of
from forensics.gather import Watch
from forensics.naming import named
from forensics.verifying.checks import Check, unchecked
from forensics.verifying.files import subjects_checked
from forensics.verifying.folder import Found, files_checked


def verified(given: argparse.Namespace, watch: Watch) -> list[Check]:
    """Every check on the case that the command line names; ReportError where there is none."""
    found = Found.at(Path(given.dossier))
    checks, dossier = files_checked(found)
    if dossier is None:
        return [*checks, unchecked("subjects", "the record cannot be read")]
    if not given.subjects:
        return [*checks, unchecked("subjects", f"{len(dossier.subjects)}; name their files with --subjects")]
    request = request_of(given, given.subjects[0])
    subjects = [named(text) for text in given.subjects]
    return [*checks, *subjects_checked(dossier, subjects, request, watch)]
