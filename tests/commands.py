"""The command reference, made from the parser itself, so that it is the same whatever terminal or Python makes it."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from forensics.arguments import EXIT, parser

ROOT = Path(__file__).parent.parent
Action = argparse.Action

CODE = r"--?[a-z][a-z-]*|\$?[A-Z]+_[A-Z_]+|LABEL(?::repository)?=PATH|~/[.\w/-]+|\w+\.(?:json|html|pdf)|SHA256SUMS"
"""What stands as code in a sentence: options, variables, named paths, files."""


def reference() -> str:
    """The whole page: a table of commands, exit statuses, then one section for each command."""
    (listed,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    rows = [f"| [`{a.dest}`](#{a.dest}) | {_plain(a.help or '')} |" for a in listed._choices_actions]
    lines = ["| command | what it does |", "|---|---|", *rows, "", "## Exit status", "", *statuses()]
    for name, command in listed.choices.items():
        lines += ["", f"## {name}", "", *section(name, command)]
    return "\n".join(lines)


def statuses() -> list[str]:
    """The exit statuses as `--help` tells them, a row for each."""
    told = re.findall(r"(\d+) ([^;]+?)(?:;|\.$)", " ".join(EXIT.split()))
    return ["| status | when |", "|---|---|", *(f"| {number} | {_plain(when)} |" for number, when in told)]


def section(name: str, command: argparse.ArgumentParser) -> list[str]:
    """One command: what it does, its usage, its arguments, examples from README."""
    actions = [a for a in command._actions if a.dest != "help" and a.help != argparse.SUPPRESS]
    lines = [
        *textwrap.wrap(_plain(command.description or ""), 118, break_on_hyphens=False),
        "",
        "```text",
        *usage(name, command),
        "```",
        "",
    ]
    lines += ["| argument | what it says |", "|---|---|"]
    lines += [f"| {_names(action)} | {_told(action, command)} |" for action in actions]
    shown = [line for line in examples() if line.split()[2] == name]
    return [*lines, *(["", "```console", *shown, "```"] if shown else [])]


def usage(name: str, command: argparse.ArgumentParser) -> list[str]:
    """The usage, broken between arguments at a fixed width."""
    parts = [part for part in _parts(command) if part]
    start = f"forensics {name} "
    packed = textwrap.wrap(
        " ".join(part.replace(" ", "\0") for part in parts), 110 - len(start), break_on_hyphens=False
    )
    indent = " " * len(start)
    return [
        (indent if number else start) + line.replace("\0", " ") for number, line in enumerate(packed or [""])
    ]


def _parts(command: argparse.ArgumentParser) -> Iterator[str]:
    """Each argument as usage lines write it: those that exclude each other together, positional ones first.

    First, because an option that takes several values would swallow what comes after it.
    """
    groups = {id(a): g for g in command._mutually_exclusive_groups for a in g._group_actions}
    done: set[int] = set()
    for action in sorted(command._actions, key=lambda a: bool(a.option_strings)):
        if id(action) in done or action.dest == "help":
            continue
        together = groups[id(action)]._group_actions if id(action) in groups else [action]
        done |= {id(one) for one in together}
        written = " | ".join(_written(one) for one in together)
        yield written if action.required else f"[{written}]"


def _written(action: Action) -> str:
    """An argument with its value, by its first name."""
    value = _value(action)
    return f"{action.option_strings[0]} {value}".strip() if action.option_strings else value


def _value(action: Action) -> str:
    """How the value of an argument is written; nothing for a switch."""
    if action.nargs == 0:
        return ""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices and not action.metavar else ""
    name = choices or str(action.metavar or action.dest.upper())
    return {"+": f"{name} [{name} ...]", "*": f"[{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _names(action: Action) -> str:
    """Every name of an argument with its value, as code."""
    value = _value(action)
    shown = [f"{option} {value}".strip() for option in action.option_strings] or [value]
    return ", ".join(f"`{one}`".replace("|", "\\|") for one in shown)


def _told(action: Action, command: argparse.ArgumentParser) -> str:
    """The help of an argument with what it refers to filled in."""
    filled = {"prog": command.prog, **{k: v for k, v in vars(action).items() if v is not argparse.SUPPRESS}}
    required = "required; " if action.required and action.option_strings else ""
    return required + _plain((action.help or "") % filled)


def _plain(text: str) -> str:
    """Text in a cell of a table: options, variables and named paths as code, pages of docs/ as links."""
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    text = re.sub(r"docs/([a-z-]+)\.md", r"[\1](\1.md)", text)
    return re.sub(rf"(?<![\w`/-])({CODE})(?![\w`-])", r"`\1`", text)


def examples() -> list[str]:
    """Every `forensics` line that README shows; a test parses each."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\$ forensics .+$", readme, re.MULTILINE)
