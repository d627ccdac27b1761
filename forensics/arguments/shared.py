"""Options that several commands have, and what kinds of values there are."""

from __future__ import annotations

import argparse

from forensics.emitting import FORMATS

EXIT = """\
exit status: 0 completed, whatever the verdict; 1 completed, and a rule of --policy fired or a check of `verify` failed;
2 something you can put right; 3 --strict and a probe failed or a plugin did not load; 70 a bug of ours; 130
interrupted."""

PATHS = (
    "a folder or file of weights in any format that `forensics inspect` knows, an adapter, a hub id "
    "(org/name[@revision]), or a sketch file; LABEL=PATH names it"
)


def filled(text: str) -> str:
    """A name that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text


def bound(text: str) -> float:
    """A log10 likelihood ratio that a user sets as a bound."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1000.0:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no log10 likelihood ratio of at least 0")
    return value


def plugins(command: argparse.ArgumentParser) -> None:
    """Whether third-party probes take part."""
    command.add_argument(
        "--only-bundled", action="store_true", help="ignore probes of installed third-party plugins"
    )


def repository(command: argparse.ArgumentParser, option: str) -> None:
    """Names a code repository that lies apart."""
    command.add_argument(
        option, dest="repository", metavar="PATH", type=filled,
        help="folder of the code repository that belongs to the checkpoint and lies elsewhere: its licences, notices, "
        "documents and code are read as text",
    )  # fmt: skip


def adapted(command: argparse.ArgumentParser) -> None:
    """Names what an adapter stands on."""
    command.add_argument(
        "--base", metavar="PATH", default="",
        help="the model that adapters among the checkpoints were made for; without it an adapter is only described",
    )  # fmt: skip


def hub(command: argparse.ArgumentParser) -> None:
    """How a hub is asked."""
    command.add_argument(
        "--hub-token-env", metavar="NAME", default="",
        help="environment variable with a token for the hub that HF_ENDPOINT names (HF_TOKEN is sent to the public hub "
        "only)",
    )  # fmt: skip


def remembering(command: argparse.ArgumentParser) -> None:
    """What is kept between cases."""
    place = command.add_mutually_exclusive_group()
    place.add_argument(
        "--cache-dir", metavar="DIR", type=filled,
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


def emitting(command: argparse.ArgumentParser) -> None:
    """Which other documents are written."""
    command.add_argument(
        "--emit", metavar="FORMAT", action="append", choices=tuple(FORMATS), default=[],
        help=f"write the findings for other programs too: {', '.join(FORMATS)} (docs/emitting.md); may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--pedigree-from", metavar="LOG10", type=bound,
        help="let the bill of materials and the model card assert descent where the lower end of a fused log10 "
        "likelihood ratio is at least this (default: they never do)",
    )  # fmt: skip


def choice(command: argparse.ArgumentParser) -> None:
    """Which probes run, and on which texts."""
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
