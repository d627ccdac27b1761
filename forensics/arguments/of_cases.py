"""`investigate`: the longest of all commands."""

from __future__ import annotations

import argparse

from forensics.arguments.shared import (
    EXIT,
    PATHS,
    adapted,
    choice,
    emitting,
    filled,
    hub,
    plugins,
    remembering,
    repository,
)


def investigate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `investigate` and its options."""
    command = commands.add_parser(
        "investigate",
        help="examine a suspect against candidates and write a dossier",
        description="Examines a suspect against candidates; writes dossier.json, dossier.html, dossier.pdf, SHA256SUMS "
        "and, apart from the record, run.json; prints one opinion per candidate.",
        epilog=EXIT,
    )
    command.add_argument("--suspect", required=True, metavar="PATH", help=PATHS)
    repository(command, "--suspect-repository")
    command.add_argument(
        "--candidates", required=True, nargs="+", metavar="PATH",
        help="possible ancestors, likewise; LABEL:repository=PATH among them, or among the controls, names the code "
        "repository of the one with that label",
    )  # fmt: skip
    command.add_argument(
        "--controls", nargs="+", metavar="PATH", default=[],
        help="models known to be unrelated to the suspect, examined likewise to show what the probes say of them",
    )  # fmt: skip
    command.add_argument(
        "--out",
        metavar="DIR",
        type=filled,
        default="forensics-case",
        help="where to write (default: %(default)s)",
    )
    command.add_argument(
        "--case-id", metavar="TEXT", default="", help="a name for this case, printed in the dossier"
    )
    _extent(command)
    _exhibits(command)
    adapted(command)
    hub(command)
    choice(command)
    remembering(command)
    plugins(command)
    emitting(command)
    _ending(command)


def _extent(command: argparse.ArgumentParser) -> None:
    """How much a case looks at, and by what it weighs."""
    command.add_argument(
        "--quick", "--remote", action="store_true",
        help="a first look: read only norms, biases, some embedding rows and a few layers, of a hub's files by ranges; "
        "concludes nothing",
    )  # fmt: skip
    command.add_argument(
        "--calibration", metavar="FILE", action="append", default=[],
        help="weigh the probes that this file calibrates by it, and not by the bundled references; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--self-test", action="store_true",
        help="make twins of the first candidate that is read from weights, in memory (noise, re-ordered, rotated, "
        "rounded), and certify what every probe says of them; about as long again as reading it for each of 8 twins",
    )  # fmt: skip


def _exhibits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--exhibit", metavar="FILE", action="append", dest="exhibits", default=[], type=lambda text: ("exhibit", text),
        help="a document of the parties (an accusation, a denial, a screenshot), copied beside the dossier and listed "
        "there with its digest, never weighed; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--exhibit-note", metavar="TEXT", action="append", dest="exhibits", type=lambda text: ("note", filled(text)),
        help="what the --exhibit before it is",
    )  # fmt: skip
    for side, what in (
        ("for", "that the suspect descends from a candidate"),
        ("against", "that it does not"),
    ):
        command.add_argument(
            f"--statement-{side}", metavar="FILE", action="append", default=[],
            help=f"a text in which a party says {what}; quoted side by side with the other's, never weighed",
        )  # fmt: skip


def _ending(command: argparse.ArgumentParser) -> None:
    """How a case ends: its exit status, and what it prints."""
    command.add_argument(
        "--policy", metavar="FILE", help="exit 1 if one of these rules fires on the record (docs/policy.md)"
    )
    command.add_argument(
        "--strict", action="store_true", help="exit 3 if a probe failed or a plugin did not load"
    )
    command.add_argument(
        "--json", action="store_true", help="print the record on stdout instead of the table"
    )
