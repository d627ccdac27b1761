"""Python source as symbols: what renaming and reformatting leave alone, and what hostile text can do."""

from __future__ import annotations

import io
import re
import time
import tokenize
from pathlib import Path

import pytest

from forensics.winnowing.symbols import END, INTEGER, KEYWORDS, NAME, NUMBER, SYMBOLS, TEXT, _scanned, symbols

ROOT = Path(__file__).parents[2]
ONE = '''
"""What it does."""
import os
from a.b import (c,
    d)

def attend(query, key, scale=1.5):
    """Attends."""
    # the heart
    return softmax(query @ key.T, dim=-1) * scale
'''
OTHER = """
def f(
    a,
    b,
    z = 0.5,
):
    return (
g(a@b.U, e=-9)*z)  # another remark
"""


def row(text: str) -> list[str]:
    """The symbols without their lines."""
    return [symbol for symbol, _ in symbols(text)]


def test_names_layout_comments_and_imports_do_not_matter() -> None:
    """A function renamed and laid out anew has the same symbols, but for brackets that were added."""
    other = OTHER.replace("return (\n", "return ").replace("*z)", "*z")
    assert row(ONE) == row(other)
    assert row(ONE)[:4] == ["def", NAME, "(", NAME]


def test_lines_are_those_of_the_text() -> None:
    """Each symbol bears the line on which it stands, behind strings over several lines too."""
    text = "x = '''a\nb\nc'''\ny = 1\n"
    assert symbols(text) == [
        (NAME, 1), ("=", 1), (TEXT, 1), (END, 1), (NAME, 4), ("=", 4), (INTEGER, 4), (END, 4),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["forensics/worker.py", "plugins/tokenizer_diff.py", "tests/tiny.py"])
def test_it_reads_as_python_does(name: str) -> None:
    """On our own sources the scanner finds the names, numbers, strings and operators of the standard tokenizer."""
    text = re.sub(r"\b[fF](?=[\"'])", "", (ROOT / name).read_text(encoding="utf-8"))
    expected = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            expected.append((token.string if token.string in KEYWORDS else NAME, token.start[0]))
        elif token.type in {tokenize.NUMBER, tokenize.STRING, tokenize.OP}:
            kind = {tokenize.STRING: TEXT, tokenize.OP: token.string}.get(token.type, "")
            expected.append((kind, token.start[0]))
    found = [("" if s in {INTEGER, NUMBER} else s, line) for s, line in _scanned(text) if s != END]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "'''" + "\\'''" * 60_000,
        '"""\\' * 60_000,
        "'" * 250_001,
        "(" * 250_000,
        "0_" * 125_000,
        "1e" * 125_000,
        "\\\n" * 125_000,
        "\x00\ud800é\u2028" * 50_000,
        "a,\n" * 75_000,
        "f'{" * 75_000,
    ],
    ids=range(10),
)
def test_a_quarter_megabyte_of_hostile_text_costs_little(text: str) -> None:
    """Text made to be slow takes time in proportion to its length and gives a bounded number of symbols."""
    begun = time.process_time()
    found = symbols(text)
    assert time.process_time() - begun < 5.0
    assert len(found) <= SYMBOLS
