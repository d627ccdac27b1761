"""Text hygiene: what comes out of a checkpoint is shown, never obeyed.

Names, tensor keys, configs and error messages of a subject are chosen by a stranger. `display` turns every
character that would be invisible, reorder its neighbours or steer a terminal into a visible escape, and cuts
what is too long with a count. Ordinary text of any script passes unchanged.
"""

from __future__ import annotations

import unicodedata

LIMIT = 600
"""Characters of one string that are shown; the record holds the whole."""

NAME = 80
"""Characters of a name within a sentence."""

ISOLATES = ("\u2068", "\u2069")
"""First-strong isolate and its end: our own, put around right-to-left names; a stranger's are escaped."""

MARKS = 3
"""Combining marks in a row that are shown as such: enough for Vietnamese, Hebrew and Thai, too few for a tower."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_INVISIBLE = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # letters and symbols without ink
        *range(0x180B, 0x1810),  # Mongolian variation selectors
        *(*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),  # variation selectors
    ]
)

_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def escape(character: str) -> str:
    r"""One character as a visible ASCII escape, e.g. `\x1b` or `\u202e`."""
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class Shown(str):
    """Text of ours into which filtered names were put; it is shown as it is."""

    __slots__ = ()


def display(text: str, limit: int = LIMIT) -> str:
    """`text` in NFC with every control, bidirectional, zero-width, unassigned or lone surrogate character escaped.

    More than `limit` characters are cut, and the number of characters left out is said. Never raises; the
    answer can be encoded as UTF-8 and holds no control character.
    """
    if isinstance(text, Shown):
        return text
    omitted = max(0, len(text) - limit)
    shown = "".join(_visible(unicodedata.normalize("NFC", text[:limit])))
    return f"{shown}… [{omitted} more characters in the record]" if omitted else shown


def _visible(text: str) -> list[str]:
    """The characters of `text`, each as itself or as its escape."""
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        hidden = category in _HIDDEN_CATEGORIES or ord(character) in _INVISIBLE or marks > MARKS
        shown.append(escape(character) if hidden else character)
    return shown


def isolate(text: str) -> str:
    """`text` between directional isolates if it holds right-to-left letters, so that its neighbours stay put."""
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return f"{ISOLATES[0]}{text}{ISOLATES[1]}"
    return text


def name(label: str) -> str:
    """A subject's name for a sentence of ours: filtered, cut, and kept from reordering the sentence."""
    return isolate(display(label, NAME))
