"""argv in, exit status out."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from forensics import conducting, rereading
from forensics.arguments import parse
from forensics.errors import ForensicsError
from forensics.streams import open_streams, unwind_on_signals
from forensics.telling import say, show, tell_fetched, visible, visible_lines, warn

BUG = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status (decision 11)."""
    open_streams()
    given = parse(arguments)
    unwind_on_signals()
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "investigate": conducting.investigate,
        "report": rereading.report,
        "probes": probes,
        "sketch": sketch,
        "inspect": inspect,
        "explain": rereading.explain,
        "check": rereading.check,
        "calibrate": calibrate,
        "verify": rereading.verify,
        "diff": rereading.diff,
    }
    try:
        return commands[given.command](given)
    except ForensicsError as error:
        say(f"error: {visible(error.message)}")
        if error.hint:
            say(f"hint: {visible(error.hint)}")
        return error.status
    except KeyboardInterrupt:
        say(
            "interrupted; checkpoints that were read to their end are remembered, the same command goes on from there"
        )
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a bug of ours: show where
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            say("error: cannot write: no space left")
            return 2
        traceback.print_exc()
        say("this is a bug in forensics; please report the lines above")
        return BUG


def probes(given: argparse.Namespace) -> int:
    """Lists the probes and the plugins that failed to load."""
    import json

    from forensics.listing import described, listing_text
    from forensics.registry import Registry

    registry = Registry.load(only_bundled=given.only_bundled)
    show(json.dumps(described(registry), indent=1) if given.json else listing_text(registry))
    return 0


def inspect(given: argparse.Namespace) -> int:
    """Says what would be examined of one checkpoint."""
    import json

    from forensics.inspecting import inspect_checkpoint
    from forensics.inspection import inspection_text

    found = inspect_checkpoint(conducting.asked(given, given.path))
    show(json.dumps(found, indent=1) if given.json else visible_lines(inspection_text(found)))
    tell_fetched(found["fetched"])
    return 0


def sketch(given: argparse.Namespace) -> int:
    """Sketches one checkpoint into one file."""
    from forensics.progress import Watching
    from forensics.registry import Registry
    from forensics.sketching import sketch_checkpoint

    registry = Registry.load(only_bundled=given.only_bundled)
    with Watching() as watch:
        book, problems = sketch_checkpoint(
            conducting.asked(given, given.path), registry, Path(given.out), watch
        )
    warn(problems)
    show(f"{given.out}: {len(book.sketches)} sketches, {Path(given.out).stat().st_size / 1e6:.1f} MB")
    return 0


def calibrate(given: argparse.Namespace) -> int:
    """Measures a list of labelled pairs and writes what the probes' readings are worth."""
    from forensics.calibrating.command import calibrated
    from forensics.progress import Watching
    from forensics.registry import Registry

    registry = Registry.load(only_bundled=given.only_bundled)
    warn(registry.problems)
    with Watching() as watch:
        lines = calibrated(given, registry, watch, lambda line: say(visible(line)))
    for line in lines:
        show(visible(line))
    return 0
