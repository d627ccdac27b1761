"""Commands on probes, checkpoints and sketches, and calibrating."""

from __future__ import annotations

import argparse

from forensics.arguments.shared import (
    EXIT,
    PATHS,
    adapted,
    choice,
    filled,
    hub,
    plugins,
    remembering,
    repository,
)


def probes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `probes` and its options."""
    command = commands.add_parser(
        "probes",
        help="list the probes, whose they are, and plugins that failed to load",
        description="Lists every probe: id, version, what it measures, whose it is, what it needs; then plugins that "
        "failed to load.",
    )
    plugins(command)
    command.add_argument("--json", action="store_true", help="as JSON")


def sketch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `sketch` and its options."""
    command = commands.add_parser(
        "sketch",
        help="keep of a checkpoint only what the probes need",
        description="Writes the sketches of one checkpoint as one safetensors file, which stands in for the checkpoint "
        "wherever a path is asked for. It is small and no secret: norm gains and biases stand in it as they are, of "
        "other weights samples and projections, from which much of a narrow model could be rebuilt.",
    )
    command.add_argument("path", metavar="PATH", help=PATHS)
    command.add_argument("-o", "--out", required=True, metavar="FILE", help="the sketch file to write")
    repository(command, "--repository")
    adapted(command)
    hub(command)
    choice(command)
    remembering(command)
    plugins(command)


def inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `inspect` and its options."""
    command = commands.add_parser(
        "inspect",
        help="say what would be examined of a checkpoint",
        description="Opens a checkpoint, reads headers and small files only, and prints format, architecture, "
        "precision, roles recognised and not, coverage, and oddities.",
    )
    command.add_argument("path", metavar="PATH", help=PATHS)
    repository(command, "--repository")
    adapted(command)
    hub(command)
    plugins(command)
    command.add_argument("--json", action="store_true", help="as JSON")


def calibrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `calibrate` and its options."""
    command = commands.add_parser(
        "calibrate",
        help="learn from labelled pairs of real checkpoints what the probes' readings are worth",
        description="Sketches every checkpoint of a list of labelled pairs, compares every pair, and writes what each "
        "probe's readings are worth as a file for `forensics investigate --calibration`. Goes on where it was "
        "interrupted. Needs 11 independent families for a probe to get a weight.",
        epilog=EXIT,
    )
    command.add_argument(
        "--pairs", required=True, metavar="FILE",
        help="the list (docs/calibrating.md), with paths relative to it or hub ids; `bundled` for the reviewed list of "
        "public models that comes with the package",
    )  # fmt: skip
    command.add_argument(
        "--out",
        metavar="FILE",
        type=filled,
        default="calibration.json",
        help="what to write (default: %(default)s)",
    )
    command.add_argument(
        "--work", metavar="DIR", type=filled, default="forensics-calibration",
        help="where sketches and readings are kept (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--probes", nargs="+", metavar="ID", default=[],
        help="only these probes (default: all that have a calibration, and those of installed plugins)",
    )  # fmt: skip
    command.add_argument(
        "--quick", "--remote", action="store_true",
        help="read only what a first look reads, of a hub's files by ranges; calibrates the probes whose first look "
        "reads all that they read",
    )  # fmt: skip
    hub(command)
    plugins(command)
