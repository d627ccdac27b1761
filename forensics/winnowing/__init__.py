"""Copied code: fingerprints that survive renaming, and how common each is in the public library. Text is never run."""

from forensics.winnowing.fingerprints import GRAM, WINDOW, fingerprints
from forensics.winnowing.fragments import Code, Passage, code_of, passages
from forensics.winnowing.library import RARE, SHARED, Library, bundled, library_of
from forensics.winnowing.standing import Standing, standing
from forensics.winnowing.symbols import symbols
from forensics.winnowing.told import kinds_of, without_candidate

__all__ = [
    "GRAM",
    "RARE",
    "SHARED",
    "WINDOW",
    "Code",
    "Library",
    "Passage",
    "Standing",
    "bundled",
    "code_of",
    "fingerprints",
    "kinds_of",
    "library_of",
    "passages",
    "standing",
    "symbols",
    "without_candidate",
]
