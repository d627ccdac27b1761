"""Python source as a row of symbols that survive renaming and reformatting, each with its line. Nothing is compiled.

Identifiers become one symbol, literals one per kind; keywords, operators and ends of statements stay. Comments,
docstrings, import statements, indentation and trailing commas are dropped. An own scanner and not `tokenize`: the same
text gives the same symbols under every version of Python (fingerprints are stored), broken text is read on to its end,
and every match consumes what it looked at (possessive quantifiers), so that the time is linear whatever the text.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator

SYMBOLS = 400_000
"""Symbols kept of one file; the largest file of transformers has a tenth of it."""
NAME, INTEGER, NUMBER, TEXT, END, STRANGE = "n", "0", "0.", "s", ";", "?"
"""An identifier, a whole number, another number, a string, the end of a statement, and what no Python has."""
KEYWORDS = frozenset(keyword.kwlist)
STRING = r"""
    (?i:[rbuf]{0,2})(?:
        \"\"\"(?:[^"\\]|\\.|"(?!""))*+(?:\"\"\"|\\?\Z)
      | '''(?:[^'\\]|\\.|'(?!''))*+(?:'''|\\?\Z)
      | "(?:[^"\\\n]|\\.)*+"?
      | '(?:[^'\\\n]|\\.)*+'?
    )"""
"""A string; one that is never closed goes on to the end of its line, or of the text."""
SCANNER = re.compile(
    rf"""
    (?P<space>[^\S\n]++|\\\r?\n|\#[^\n]*+)
  | (?P<line>\n)
  | (?P<string>{STRING})
  | (?P<number>
        0[xXoObB][0-9a-fA-F_]++
      | (?:[0-9][0-9_]*+(?:\.[0-9_]*+)?|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9][0-9_]*+)?[jJ]?
    )
  | (?P<name>[^\W\d]\w*+)
  | (?P<operator>\.\.\.|\*\*=?|//=?|>>=?|<<=?|->|[-+*/%@&|^=<>!:]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
HEXADECIMAL = ("0x", "0X", "0o", "0O", "0b", "0B")
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
Placed = tuple[str, int]
"""A symbol and the number of its line, from 1."""


def symbols(text: str) -> list[Placed]:
    """The symbols of a Python file in order, at most `SYMBOLS`, each with the line on which it begins."""
    found: list[Placed] = []
    for statement in _statements(_scanned(text)):
        if statement[0][0] in {"import", "from"} or all(symbol == TEXT for symbol, _ in statement):
            continue
        found.extend(_tidied(statement))
        if len(found) >= SYMBOLS:
            break
    return found[:SYMBOLS]


def _scanned(text: str) -> Iterator[Placed]:
    """Every symbol of the text, an `END` for each line that ends outside brackets."""
    line, depth = 1, 0
    for match in SCANNER.finditer(text):
        kind, token = match.lastgroup or "", match[0]
        depth = max(0, depth + (token in OPENING) - (token in CLOSING))
        if kind == "line":
            if not depth:
                yield END, line
        elif kind != "space":
            yield _symbol(kind, token), line
        line += token.count("\n")


def _symbol(kind: str, token: str) -> str:
    """What a token that is no space stands for."""
    match kind:
        case "string":
            return TEXT
        case "name":
            return token if token in KEYWORDS else NAME
        case "number":
            whole = token[:2] in HEXADECIMAL or token.replace("_", "").isdecimal()
            return INTEGER if whole else NUMBER
    return token if token.isascii() else STRANGE


def _statements(scanned: Iterable[Placed]) -> Iterator[list[Placed]]:
    """Logical lines without their ends; empty ones are left out."""
    statement: list[Placed] = []
    for symbol, line in scanned:
        if symbol != END:
            statement.append((symbol, line))
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def _tidied(statement: list[Placed]) -> Iterator[Placed]:
    """A statement with its end, adjacent strings as one, and without commas in front of a closing bracket."""
    last = ""
    for index, (symbol, line) in enumerate(statement):
        following = statement[index + 1][0] if index + 1 < len(statement) else ""
        if (symbol == TEXT and last == TEXT) or (symbol == "," and following in CLOSING):
            continue
        yield symbol, line
        last = symbol
    yield END, statement[-1][1]
