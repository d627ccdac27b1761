"""Two texts compared piece by piece; neither is parsed or run."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

SEGMENTS = 400
"""Pieces that are compared; the cost grows with their square."""
PIECE = re.compile(r"\n|(?=\{[{%])")
"""Where a template is cut: at the end of a line and before an expression or a statement."""


def pieces_alike(first: str, second: str) -> float:
    """Share of the pieces of two templates that are the same in the same order (Ratcliff and Obershelp), 0 to 1."""
    pieces = [PIECE.split(text)[:SEGMENTS] for text in (first, second)]
    return SequenceMatcher(None, pieces[0], pieces[1], autojunk=False).ratio()
