"""Commands on a finished dossier: report, explain, check, verify, diff."""

from __future__ import annotations

import argparse
from pathlib import Path

from forensics.asking import record_at
from forensics.conducting import FIRED
from forensics.errors import ReportError
from forensics.telling import note_hubs, show, tell_policy, visible, visible_line


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
    from forensics.report import html_of, pdf_of, text_of

    source = Path(given.dossier)
    record = record_at(source)
    dossier = decode(record)
    if given.emit or given.pedigree_from is not None:
        _emit_beside(given, source, record)
        if given.to is None:
            return 0
    if given.to in {None, "text"}:
        content = text_of(dossier).encode()
        if not given.out:
            show(content.decode().rstrip("\n"))
            return 0
    else:
        content = html_of(dossier, record).encode() if given.to == "html" else pdf_of(dossier, record).pdf
    out = Path(given.out) if given.out else source.with_suffix(f".{given.to}")
    try:
        write_whole(out, content)
    except OSError as error:
        raise ReportError(f"cannot write {out}: {error.strerror}", "name another file with -o") from None
    show(str(out))
    return 0


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
