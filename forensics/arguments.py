"""What may stand on the command line. Imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import metadata

from forensics.emitting import FORMATS

DESCRIPTION = """\
Model lineage forensics: do a suspect model's weights descend from any of the candidates'?

Opens untrusted checkpoints without running anything in them, puts several independent probes to them, weighs
each finding against how often unrelated models show the same, and writes a dossier (JSON, HTML, PDF)."""

EXIT = """\
exit status: 0 completed, whatever the verdict; 1 completed, and a rule of --policy fired or a check of `verify` failed;
2 something you can put right; 3 --strict and a probe failed or a plugin did not load; 70 a bug of ours; 130
interrupted."""

PATHS = (
    "a folder or file of weights in any format that `forensics inspect` knows, an adapter, a hub id "
    "(org/name[@revision]), or a sketch file; LABEL=PATH names it"
)


def _named(text: str) -> str:
    """A name that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text


def _bound(text: str) -> float:
    """A log10 likelihood ratio that a user sets as a bound."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1000.0:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no log10 likelihood ratio of at least 0")
    return value


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
    _verify(commands)
    _diff(commands)
    return top


def _shared(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only-bundled", action="store_true", help="ignore probes of installed third-party plugins"
    )


def _repository(command: argparse.ArgumentParser, option: str) -> None:
    command.add_argument(
        option, dest="repository", metavar="PATH", type=_named,
        help="folder of the code repository that belongs to the checkpoint and lies elsewhere: its licences, notices, "
        "documents and code are read as text",
    )  # fmt: skip


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
    texts = command.add_mutually_exclusive_group()
    texts.add_argument(
        "--prompts", metavar="FILE",
        help="texts for the probes of behaviour, one per line or a JSON list, instead of the shipped set",
    )  # fmt: skip
    texts.add_argument("--more-prompts", metavar="FILE", help="the same, besides the shipped set")
    command.add_argument(
        "--thorough", action="store_true",
        help="run models of any size block by block, not only those up to 300 million parameters; hours without a GPU",
    )  # fmt: skip


def _exhibits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--exhibit", metavar="FILE", action="append", dest="exhibits", default=[], type=lambda text: ("exhibit", text),
        help="a document of the parties (an accusation, a denial, a screenshot), copied beside the dossier and listed "
        "there with its digest, never weighed; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--exhibit-note", metavar="TEXT", action="append", dest="exhibits", type=lambda text: ("note", _named(text)),
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


def _emitting(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--emit", metavar="FORMAT", action="append", choices=tuple(FORMATS), default=[],
        help=f"write the findings for other programs too: {', '.join(FORMATS)} (docs/emitting.md); may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--pedigree-from", metavar="LOG10", type=_bound,
        help="let the bill of materials and the model card assert descent where the lower end of a fused log10 "
        "likelihood ratio is at least this (default: they never do)",
    )  # fmt: skip


def _investigate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "investigate",
        help="examine a suspect against candidates and write a dossier",
        description="Examines a suspect against candidates; writes dossier.json, dossier.html, dossier.pdf, SHA256SUMS "
        "and, apart from the record, run.json; prints one opinion per candidate.",
        epilog=EXIT,
    )
    command.add_argument("--suspect", required=True, metavar="PATH", help=PATHS)
    _repository(command, "--suspect-repository")
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
        type=_named,
        default="forensics-case",
        help="where to write (default: %(default)s)",
    )
    command.add_argument(
        "--case-id", metavar="TEXT", default="", help="a name for this case, printed in the dossier"
    )
    _extent(command)
    _exhibits(command)
    _adapted(command)
    _hub(command)
    _choice(command)
    _remembering(command)
    _shared(command)
    _emitting(command)
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
    _emitting(command)


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
    _repository(command, "--repository")
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
    _repository(command, "--repository")
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


def _verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    _adapted(command)
    _hub(command)
    _shared(command)


def _diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "diff",
        help="say what changed between two examinations, and why",
        description="Compares two records: subjects, versions, parameters, calibrations, findings and opinions. Beside "
        "each change in a finding or opinion stands what else differs that it may come from, or that nothing does.",
    )
    command.add_argument("before", metavar="A", help="a dossier.json")
    command.add_argument("after", metavar="B", help="another one")
    command.add_argument("--json", action="store_true", help="as JSON")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parsed arguments; argparse itself ends the process with status 2 on misuse."""
    return parser().parse_args(arguments)
