"""argv in, exit status out; the only room that prints."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.arguments import parse
from forensics.asking import record_at, request_of
from forensics.errors import ForensicsError, ReportError, StrictError
from forensics.streams import open_streams, unwind_on_signals

if TYPE_CHECKING:
    from forensics.case import Named, Request
    from forensics.gates import Judged
    from forensics.records import Dossier, Problem

FIRED, BUG = 1, 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status (decision 11)."""
    open_streams()
    given = parse(arguments)
    unwind_on_signals()
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "investigate": investigate,
        "report": report,
        "probes": probes,
        "sketch": sketch,
        "inspect": inspect,
        "explain": explain,
        "check": check,
        "calibrate": calibrate,
        "verify": verify,
        "diff": diff,
    }
    try:
        return commands[given.command](given)
    except ForensicsError as error:
        _say(f"error: {_visible(error.message)}")
        if error.hint:
            _say(f"hint: {_visible(error.hint)}")
        return error.status
    except KeyboardInterrupt:
        _say(
            "interrupted; checkpoints that were read to their end are remembered, the same command goes on from there"
        )
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a bug of ours: show where
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _say("error: cannot write: no space left")
            return 2
        traceback.print_exc()
        _say("this is a bug in forensics; please report the lines above")
        return BUG


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _visible(text: str) -> str:
    """Hostile text on one line without control characters."""
    from forensics.report.display import display

    return display(" ".join(text.split()))


def _visible_line(text: str) -> str:
    """Hostile text on one line, its spaces kept."""
    from forensics.report.display import display

    return display(text)


def _print(text: str) -> None:
    """Text on stdout whatever the locale's encoding can show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def _asked(given: argparse.Namespace, suspect: str) -> Request:
    request = request_of(given, suspect)
    _note_hubs(subject for subject, _ in request.subjects())
    return request


def _note_hubs(subjects: Iterable[Named]) -> None:
    for subject in subjects:
        if subject.hub:
            _say(f"note: {_visible(subject.hub)} is no path here; the hub is asked for it")


def investigate(given: argparse.Namespace) -> int:
    """Runs a case, writes its files, prints the opinions."""
    from forensics import casefiles, emitting, investigation
    from forensics.gates import judged
    from forensics.policy import read_policy
    from forensics.progress import Watching
    from forensics.registry import Registry

    emitting.require_sense(given.emit, given.pedigree_from, quick=given.quick)
    request = _asked(given, given.suspect).checked()
    policy = read_policy(Path(given.policy)) if given.policy else None
    folder = Path(given.out)
    casefiles.prepare(folder, request)
    registry = Registry.load(only_bundled=given.only_bundled)
    with Watching() as watch:
        done = investigation.investigate(request, registry, watch)
    with casefiles.writing(folder):
        record = casefiles.write_record(folder, done, request)
    _print(record.decode().rstrip("\n") if given.json else _summary(done.dossier))
    _warn((*done.notes, *done.dossier.problems))
    weighed = {population.id for population in done.dossier.environment.populations}
    for unused in [str(c["id"]) for c in request.calibrations if c["id"] not in weighed]:
        _say(
            f"note: {_visible(unused)} weighed nothing: no probe that it knows, in the version it knows, gave a reading"
        )
    _tell_fetched(done.fetched)
    with casefiles.writing(folder):
        _, refusals = casefiles.emit(folder, record, given.emit, given.pedigree_from)
        warnings = casefiles.render(folder, done, record)
    for warning in warnings:
        _say(f"warning: {_visible(warning)}")
    if not given.json:
        _print(f"dossier: {folder / 'dossier.pdf'}")
    for refusal in refusals:
        raise refusal
    found = judged(policy, done.dossier) if policy else ()
    _tell_policy(found, _say)
    if given.strict:
        _require_clean(done.dossier)
    return FIRED if any(one.fired for one in found) else 0


def _tell_policy(found: Sequence[Judged], tell: Callable[[str], None]) -> None:
    """Which rules fired, if there were any."""
    if found:
        from forensics.report.gating import policy_lines

        for line in policy_lines(found):
            tell(line)


def _tell_fetched(fetched: Mapping[str, Any]) -> None:
    """How much of a hub's files was fetched."""
    if fetched:
        whole = sum(fetched["of_bytes"].values())
        _say(
            f"fetched {fetched['bytes'] / 1e6:.1f} MB of {whole / 1e6:.1f} MB from {', '.join(fetched['hubs'])} in "
            f"{fetched['requests']} requests"
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


def _warn(problems: Sequence[Problem]) -> None:
    for problem in problems[:20]:
        where = "" if problem.message.startswith(f"{problem.where}:") else f"{problem.where}: "
        _say(f"note: {_visible(f'{where}{problem.message} ({problem.code})')}")
    if len(problems) > 20:
        _say(f"note: {len(problems) - 20} more in the dossier")


def _require_clean(dossier: Dossier) -> None:
    failed = [f"{f.probe.id} on {f.candidate}" for f in dossier.findings if f.outcome.kind == "failure"]
    failed += [p.where for p in dossier.problems if p.code.startswith("PLUGIN")]
    if failed:
        raise StrictError(
            f"--strict: failed: {', '.join(failed)[:400]}", "the dossier was written all the same"
        )


def explain(given: argparse.Namespace) -> int:
    """Says which rule gave the verdict on one candidate."""
    from forensics.archive import decode
    from forensics.report import explanation

    _print(explanation(decode(record_at(Path(given.dossier))), given.candidate))
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
    _tell_policy(found, _print)
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
            _print(content.decode().rstrip("\n"))
            return 0
    else:
        content = _rendered(given, dossier, record)
    ending = f".summary.{given.to}" if given.summary else f".{given.to}"
    out = Path(given.out) if given.out else source.with_suffix(ending)
    try:
        write_whole(out, content)
    except OSError as error:
        raise ReportError(f"cannot write {out}: {error.strerror}", "name another file with -o") from None
    _print(str(out))
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
        _say(f"warning: {_visible(warning)}")
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
        _print(_visible(str(path)))
    for refusal in refusals:
        raise refusal


def probes(given: argparse.Namespace) -> int:
    """Lists the probes and the plugins that failed to load."""
    import json

    from forensics.listing import described, listing_text
    from forensics.registry import Registry

    registry = Registry.load(only_bundled=given.only_bundled)
    _print(json.dumps(described(registry), indent=1) if given.json else listing_text(registry))
    return 0


def inspect(given: argparse.Namespace) -> int:
    """Says what would be examined of one checkpoint."""
    import json

    from forensics.inspecting import inspect_checkpoint
    from forensics.inspection import inspection_text

    found = inspect_checkpoint(_asked(given, given.path))
    _print(json.dumps(found, indent=1) if given.json else _lines(inspection_text(found)))
    _tell_fetched(found["fetched"])
    return 0


def _lines(text: str) -> str:
    """Several lines, each without control characters."""
    return "\n".join(_visible_line(line) for line in text.split("\n"))


def sketch(given: argparse.Namespace) -> int:
    """Sketches one checkpoint into one file."""
    from forensics.progress import Watching
    from forensics.registry import Registry
    from forensics.sketching import sketch_checkpoint

    registry = Registry.load(only_bundled=given.only_bundled)
    with Watching() as watch:
        book, problems = sketch_checkpoint(_asked(given, given.path), registry, Path(given.out), watch)
    _warn(problems)
    _print(f"{given.out}: {len(book.sketches)} sketches, {Path(given.out).stat().st_size / 1e6:.1f} MB")
    return 0


def calibrate(given: argparse.Namespace) -> int:
    """Measures a list of labelled pairs and writes what the probes' readings are worth."""
    from forensics.calibrating.command import calibrated
    from forensics.progress import Watching
    from forensics.registry import Registry

    registry = Registry.load(only_bundled=given.only_bundled)
    _warn(registry.problems)
    with Watching() as watch:
        lines = calibrated(given, registry, watch, lambda line: _say(_visible(line)))
    for line in lines:
        _print(_visible(line))
    return 0


def verify(given: argparse.Namespace) -> int:
    """Checks a finished case; 1 where a check failed."""
    from forensics.naming import named
    from forensics.progress import Watching
    from forensics.verifying.command import verified

    _note_hubs(named(text) for text in given.subjects)
    with Watching() as watch:
        checks = verified(given, watch)
    for check in checks:
        _print(_visible_line(check.line()))
    return 1 if any(check.standing == "FAILED" for check in checks) else 0


def diff(given: argparse.Namespace) -> int:
    """Says what changed between two records."""
    import json

    from forensics.archive import decode
    from forensics.differences import as_json, differences
    from forensics.report import differences_text

    before, after = (decode(record_at(Path(path))) for path in (given.before, given.after))
    found = differences(before, after)
    _print(json.dumps(as_json(found), indent=1) if given.json else differences_text(found).rstrip("\n"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
