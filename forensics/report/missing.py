"""What to install where a text needs letters that no font on this machine has."""

from __future__ import annotations

import re
from collections.abc import Sequence

BEGINNING = ".notdef glyph"
"""How the typesetter's warning on a missing glyph begins; its end names the code point."""

PACKAGES = (
    ("fonts-noto-cjk", "Chinese, Japanese and Korean", ((0x1100, 0x11FF), (0x2E80, 0x9FFF), (0xAC00, 0xD7FF),
     (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x3FFFF))),
    ("fonts-noto-color-emoji", "emoji", ((0x1F000, 0x1FAFF),)),
    ("fonts-noto-core", "most other scripts", ()),
)  # fmt: skip
"""Debian and Ubuntu packages, what they bring, and the code points looked for there; the last takes the rest."""


def missing_glyphs(heard: Sequence[str]) -> tuple[str, ...]:
    """The typesetter's warnings, those on missing glyphs drawn together into one that says what to install."""
    missing = [text for text in heard if text.startswith(BEGINNING)]
    rest = tuple(text for text in heard if text not in missing)
    if not missing:
        return rest
    points = [int(code, 16) for text in missing for code in re.findall(r"\(U\+([0-9A-F]{4,6})\)$", text)]
    wanted = {_package(point) for point in points} or {name for name, _, _ in PACKAGES}
    brought = " and ".join(f"{name} ({what})" for name, what, _ in PACKAGES if name in wanted)
    told = f"{len(missing)} characters are in no installed font and show as boxes."
    return (f"{told} On Debian or Ubuntu install {brought}.", *rest)


def _package(point: int) -> str:
    found = (name for name, _, spans in PACKAGES if any(low <= point <= high for low, high in spans))
    return next(found, PACKAGES[-1][0])
