"""The opcodes of pickles: which the machine follows, and what the others are called.

Names and numbers as in CPython's Lib/pickletools.py.
"""

from __future__ import annotations

from typing import Any

STOP = ord(".")

FOLLOWED: dict[int, tuple[str, tuple[Any, ...]]] = {
    ord("N"): ("push", (None,)),
    0x88: ("push", (True,)),
    0x89: ("push", (False,)),
    ord(")"): ("push", ((),)),
    ord("K"): ("small", ()),
    ord("M"): ("unsigned", (2,)),
    ord("J"): ("signed", ()),
    0x8A: ("long", ()),
    ord("G"): ("real", ()),
    0x8C: ("text", (1, "utf-8")),
    ord("X"): ("text", (4, "utf-8")),
    0x8D: ("text", (8, "utf-8")),
    ord("U"): ("text", (1, "ascii")),  # strings of Python 2
    ord("T"): ("text", (4, "ascii")),
    ord("C"): ("blob", (1,)),
    ord("B"): ("blob", (4,)),
    0x8E: ("blob", (8,)),
    ord("("): ("mark", ()),
    0x85: ("tuple_of", (1,)),
    0x86: ("tuple_of", (2,)),
    0x87: ("tuple_of", (3,)),
    ord("t"): ("tuple_marked", ()),
    ord("]"): ("new_list", ()),
    ord("}"): ("new_dict", ()),
    0x8F: ("new_set", ()),
    0x91: ("frozenset", ()),
    ord("a"): ("append", ()),
    ord("e"): ("appends", ()),
    ord("s"): ("setitem", ()),
    ord("u"): ("setitems", ()),
    0x90: ("additems", ()),
    ord("q"): ("put1", ()),
    ord("r"): ("put4", ()),
    0x94: ("memoize", ()),
    ord("h"): ("get1", ()),
    ord("j"): ("get4", ()),
    ord("c"): ("named", ()),
    0x93: ("named_above", ()),
    ord("R"): ("called", ()),
    ord("b"): ("build", ()),
    ord("Q"): ("persistent", ()),
    0x80: ("protocol", ()),
    0x95: ("frame", ()),
}
"""Opcode to the machine's method and its arguments."""

FORBIDDEN = {
    ord("i"): "INST", ord("o"): "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4",
    ord("P"): "PERSID", 0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER", ord("I"): "INT",
    ord("L"): "LONG", 0x8B: "LONG4", ord("F"): "FLOAT", ord("S"): "STRING", ord("V"): "UNICODE", ord("l"): "LIST",
    ord("d"): "DICT", ord("p"): "PUT", ord("g"): "GET", ord("0"): "POP", ord("1"): "POP_MARK", ord("2"): "DUP",
}  # fmt: skip
"""Opcodes that make objects of a file's choice, that ask for memory, or that only protocol 0 and 1 need."""
