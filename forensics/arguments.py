"""What may stand on the command line. Imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import metadata

DESCRIPTION = """\
Model lineage forensics: do a suspect model's weights descend from any of the candidates'?

Opens untrusted checkpoints without running anything in them, puts several independent probes to them, weighs
each finding against how often unrelated models show the same, and writes a dossier (JSON, HTML, PDF)."""

EXIT = """\
exit status: 0 completed, whatever the verdict; 1 a rule of --policy fired; 2 something you can put right; 3 --strict
and a probe failed or a plugin did not load; 70 a bug of ours; 130 interrupted."""

PATHS = (
    "a folder or file of weights in any format that `forensics inspect` knows, an adapter, a hub id "
    "(org/name[@revision]), or a sketch file; LABEL=PATH names it"
)


def _named(text: str) -> str:
    """A name that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text


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
    _investigate(commands)
    _report(commands)
    _probes(commands)
    _sketch(commands)
    _inspect(commands)
    _explain(commands)
    _check(commands)
    _calibrate(commands)
    return top


def _shared(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only-bundled", action="store_true", help="ignore probes of installed third-party plugins"
    )


def _adapted(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--base", metavar="PATH", default="",
        help="the model that adapters among the checkpoints were made for; without it an adapter is only described",
    )  # fmt: skip


def _hub(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--hub-token-env", metavar="NAME", default="",
        help="environment variable with a token for the hub that HF_ENDPOINT names (HF_TOKEN is sent to the public hub "
        "only)",
    )  # fmt: skip


def _remembering(command: argparse.ArgumentParser) -> None:
    place = command.add_mutually_exclusive_group()
    place.add_argument(
        "--cache-dir", metavar="DIR", type=_named,
        help="where sketches are kept for the next case (default: $FORENSICS_CACHE or ~/.cache/forensics)",
    )  # fmt: skip
    place.add_argument("--no-cache", action="store_true", help="read everything and keep nothing")
    trust = command.add_mutually_exclusive_group()
    trust.add_argument(
        "--trust-mtime", dest="trust", action="store_const", const="mtime", default="unchanged",
        help="take files of the same size and modification time for those read before (default: only files that "
        "cannot have been written since)",
    )  # fmt: skip
    trust.add_argument(
        "--rehash", dest="trust", action="store_const", const="rehash",
        help="hash every file again, and reuse only what still has the same digest",
    )  # fmt: skip


def _choice(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--probes", nargs="+", metavar="ID", default=[], help="only these probes (default: all)"
    )
    command.add_argument(
        "--prompts", metavar="FILE", help="texts for the activation probe, one per line or a JSON list"
    )


def _investigate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "investigate",
        help="examine a suspect against candidates and write a dossier",
        description="Examines a suspect against candidates; writes dossier.json, dossier.html, dossier.pdf, SHA256SUMS "
        "and, apart from the record, run.json; prints one opinion per candidate.",
        epilog=EXIT,
    )
    command.add_argument("--suspect", required=True, metavar="PATH", help=PATHS)
    command.add_argument(
        "--candidates", required=True, nargs="+", metavar="PATH", help="possible ancestors, likewise"
    )
    command.add_argument(
        "--controls", nargs="+", metavar="PATH", default=[],
        help="models known to be unrelated to the suspect, examined likewise to show what the probes say of them",
    )  # fmt: skip
    command.add_argument(
        "--out",
        metavar="DIR",
        type=_named,
        default="forensics-case",
        help="where to write (default: %(default)s)",
    )
    command.add_argument(
        "--case-id", metavar="TEXT", default="", help="a name for this case, printed in the dossier"
    )
    _extent(command)
    _adapted(command)
    _hub(command)
    _choice(command)
    _remembering(command)
    _shared(command)
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


def _report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "report",
        help="render a dossier again, without any checkpoint",
        description="Renders a dossier.json again. HTML and PDF go beside it unless -o says otherwise, text to stdout.",
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a dossier.json")
    command.add_argument(
        "--to", choices=("pdf", "html", "text"), default="text", help="form (default: %(default)s)"
    )
    command.add_argument("-o", "--out", metavar="FILE", help="where to write")


def _probes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "probes",
        help="list the probes, whose they are, and plugins that failed to load",
        description="Lists every probe: id, version, what it measures, whose it is, what it needs; then plugins that "
        "failed to load.",
    )
    _shared(command)
    command.add_argument("--json", action="store_true", help="as JSON")


def _sketch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "sketch",
        help="keep of a checkpoint only what the probes need",
        description="Writes the sketches of one checkpoint as one safetensors file, which stands in for the checkpoint "
        "wherever a path is asked for. It is small and no secret: norm gains and biases stand in it as they are, of "
        "other weights samples and projections, from which much of a narrow model could be rebuilt.",
    )
    command.add_argument("path", metavar="PATH", help=PATHS)
    command.add_argument("-o", "--out", required=True, metavar="FILE", help="the sketch file to write")
    _adapted(command)
    _hub(command)
    _choice(command)
    _remembering(command)
    _shared(command)


def _inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "inspect",
        help="say what would be examined of a checkpoint",
        description="Opens a checkpoint, reads headers and small files only, and prints format, architecture, "
        "precision, roles recognised and not, coverage, and oddities.",
    )
    command.add_argument("path", metavar="PATH", help=PATHS)
    _adapted(command)
    _hub(command)
    _shared(command)
    command.add_argument("--json", action="store_true", help="as JSON")


def _explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "explain",
        help="say which rule gave a verdict",
        description="Prints every condition of the verdict on one candidate or control, met or not, and how far it was "
        "from turning.",
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a dossier.json")
    command.add_argument("candidate", metavar="CANDIDATE", help="its label, as the dossier names it")


def _check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "check",
        help="put the rules of a policy to a dossier",
        description="Puts the rules of a policy (docs/policy.md) to a dossier.json and says which fired, for builds "
        "that must stop then. Needs no checkpoint.",
        epilog=EXIT,
    )
    command.add_argument("dossier", metavar="DOSSIER", help="a dossier.json")
    command.add_argument("--policy", required=True, metavar="FILE", help="the rules, a TOML file")
    command.add_argument("--junit", metavar="FILE", type=_named, help="also write them as JUnit XML")


def _calibrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
        type=_named,
        default="calibration.json",
        help="what to write (default: %(default)s)",
    )
    command.add_argument(
        "--work", metavar="DIR", type=_named, default="forensics-calibration",
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
    _hub(command)
    _shared(command)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parsed arguments; argparse itself ends the process with status 2 on misuse."""
    return parser().parse_args(arguments)
