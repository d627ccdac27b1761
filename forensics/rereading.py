"""Commands on a finished dossier: report, explain, check, verify, diff."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.asking import record_at
from forensics.conducting import FIRED
from forensics.errors import ReportError
from forensics.telling import note_hubs, say, show, tell_policy, visible, visible_line

if TYPE_CHECKING:
    from forensics.records import Dossier


def explain(given: argparse.Namespace) -> int:
    """Says which rule gave the verdict on one candidate."""
    from forensics.archive import decode
    from forensics.report import explanation

    show(explanation(decode(record_at(Path(given.dossier))), given.candidate))
    return 0


def check(given: argparse.Namespace) -> int:
    """Puts a policy's rules to a dossier."""
    from forensics.archive import decode
    from forensics.casefiles import write_whole, writing
    from forensics.gates import judged
    from forensics.policy import read_policy
    from forensics.report.gating import junit_of

    policy = read_policy(Path(given.policy))
    found = judged(policy, decode(record_at(Path(given.dossier))))
    tell_policy(found, show)
    if given.junit:
        with writing(Path(given.junit)):
            write_whole(Path(given.junit), junit_of(found))
    return FIRED if any(one.fired for one in found) else 0


def report(given: argparse.Namespace) -> int:
    """Renders a dossier again."""
    from forensics.archive import decode
    from forensics.casefiles import write_whole

    source = Path(given.dossier)
    record = record_at(source)
    dossier = decode(record)
    if given.emit or given.pedigree_from is not None:
        _emit_beside(given, source, record)
        if given.to is None:
            return 0
    if given.to in {None, "text"}:
        content = _text(given, dossier).encode()
        if not given.out:
            show(content.decode().rstrip("\n"))
            return 0
    else:
        content = _rendered(given, dossier, record)
    ending = f".summary.{given.to}" if given.summary else f".{given.to}"
    out = Path(given.out) if given.out else source.with_suffix(ending)
    try:
        write_whole(out, content)
    except OSError as error:
        raise ReportError(f"cannot write {out}: {error.strerror}", "name another file with -o") from None
    show(str(out))
    return 0


def _text(given: argparse.Namespace, dossier: Dossier) -> str:
    """The report as plain text, or its answer in short."""
    from forensics.report import summary_text, text_of

    return summary_text(dossier) if given.summary else text_of(dossier)


def _rendered(given: argparse.Namespace, dossier: Dossier, record: bytes) -> bytes:
    """The report, or its first page alone, as HTML or PDF; tells what the typesetter warns of."""
    from forensics.report import html_of, pdf_of, summary_of, summary_pdf_of

    if given.to == "html":
        page = summary_of(dossier, record, screen=True) if given.summary else html_of(dossier, record)
        return page.encode()
    made = (summary_pdf_of if given.summary else pdf_of)(dossier, record)
    for warning in (*(f"refused while rendering: {url}" for url in made.refused), *made.warnings):
        say(f"warning: {visible(warning)}")
    return made.pdf


def _emit_beside(given: argparse.Namespace, source: Path, record: bytes) -> None:
    """Writes what `--emit` asks for beside the dossier."""
    from forensics import casefiles, emitting

    emitting.require_sense(given.emit, given.pedigree_from)
    if given.out and given.to is None:
        raise ReportError(
            "-o names the file of --to, and --emit writes beside the dossier",
            "give --to as well, or leave -o out",
        )
    stem = "" if source.name == casefiles.RECORD else f"{source.stem}."
    with casefiles.writing(source.parent):
        written, refusals = casefiles.emit(source.parent, record, given.emit, given.pedigree_from, stem=stem)
    for path in written:
        show(visible(str(path)))
    for refusal in refusals:
        raise refusal


def verify(given: argparse.Namespace) -> int:
    """Checks a finished case; 1 where a check failed."""
    from forensics.naming import named
    from forensics.progress import Watching
    from forensics.verifying.command import verified

    note_hubs(named(text) for text in given.subjects)
    with Watching() as watch:
        checks = verified(given, watch)
    for check in checks:
        show(visible_line(check.line()))
    return 1 if any(check.standing == "FAILED" for check in checks) else 0


def diff(given: argparse.Namespace) -> int:
    """Says what changed between two records."""
    import json

    from forensics.archive import decode
    from forensics.differences import as_json, differences
    from forensics.report import differences_text

    before, after = (decode(record_at(Path(path))) for path in (given.before, given.after))
    found = differences(before, after)
    show(json.dumps(as_json(found), indent=1) if given.json else differences_text(found).rstrip("\n"))
    return 0
