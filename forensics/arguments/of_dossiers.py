"""Commands on a finished dossier."""

from __future__ import annotations

import argparse

from forensics.arguments.shared import EXIT, adapted, emitting, filled, hub, plugins


def report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `report` and its options."""
    command = commands.add_parser(
        "report",
        help="render a dossier again, without any checkpoint",
        description="Renders a dossier.json again. HTML and PDF go beside it unless -o says otherwise, text to stdout; "
        "what --emit names goes beside it.",
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a dossier.json")
    command.add_argument(
        "--to", choices=("pdf", "html", "text"), help="form (default: text, or none with --emit)"
    )
    command.add_argument(
        "--summary",
        action="store_true",
        help="the first page alone: the answer on one page (text: the answer in short)",
    )
    command.add_argument("-o", "--out", metavar="FILE", help="where to write")
    emitting(command)


def explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `explain` and its options."""
    command = commands.add_parser(
        "explain",
        help="say which rule gave a verdict",
        description="Prints every condition of the verdict on one candidate or control, met or not, and how far it was "
        "from turning.",
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a dossier.json")
    command.add_argument("candidate", metavar="CANDIDATE", help="its label, as the dossier names it")


def check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `check` and its options."""
    command = commands.add_parser(
        "check",
        help="put the rules of a policy to a dossier",
        description="Puts the rules of a policy (docs/policy.md) to a dossier.json and says which fired, for builds "
        "that must stop then. Needs no checkpoint.",
        epilog=EXIT,
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a dossier.json")
    command.add_argument("--policy", required=True, metavar="FILE", help="the rules, a TOML file")
    command.add_argument("--junit", metavar="FILE", type=filled, help="also write them as JUnit XML")


def verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `verify` and its options."""
    command = commands.add_parser(
        "verify",
        help="check a finished case: its files, the copies of its record, and its subjects' files",
        description="Checks SHA256SUMS, the record against its schema and canonical form, the copies of the record in "
        "page and PDF, the parties' documents, and, where they are named, the subjects' files by hashing them again. "
        "Prints one line for each check. It says whether files are what they were, not who made them.",
        epilog=EXIT,
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a case's folder, or a dossier.json")
    command.add_argument(
        "--subjects", nargs="+", metavar="PATH", default=[],
        help="files of subjects of the record, found by their labels; LABEL=PATH where a path's name is not the label",
    )  # fmt: skip
    adapted(command)
    hub(command)
    plugins(command)


def diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `diff` and its options."""
    command = commands.add_parser(
        "diff",
        help="say what changed between two examinations, and why",
        description="Compares two records: subjects, versions, parameters, calibrations, findings and opinions. Beside "
        "each change in a finding or opinion stands what else differs that it may come from, or that nothing does.",
    )
    command.add_argument("before", metavar="A", help="a dossier.json")
    command.add_argument("after", metavar="B", help="another one")
    command.add_argument("--json", action="store_true", help="as JSON")
