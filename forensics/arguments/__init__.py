"""What may stand on the command line. Imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import metadata

from forensics.arguments import of_cases, of_checkpoints, of_dossiers
from forensics.arguments.shared import EXIT

DESCRIPTION = """\
Model lineage forensics: do a suspect model's weights descend from any of the candidates'?

Opens untrusted checkpoints without running anything in them, puts several independent probes to them, weighs
each finding against how often unrelated models show the same, and writes a dossier (JSON, HTML, PDF)."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="forensics",
        description=DESCRIPTION,
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--version", action="version", version=f"forensics {metadata.version('model-forensics')}"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    of_cases.investigate(commands)
    of_dossiers.report(commands)
    of_checkpoints.probes(commands)
    of_checkpoints.sketch(commands)
    of_checkpoints.inspect(commands)
    of_dossiers.explain(commands)
    of_dossiers.check(commands)
    of_checkpoints.calibrate(commands)
    of_dossiers.verify(commands)
    of_dossiers.diff(commands)
    return top


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parsed arguments; argparse itself ends the process with status 2 on misuse."""
    return parser().parse_args(arguments)
