"""Who a copyright line names. Plain splitting of a bounded line: a lead for a reader, no legal analysis."""

from __future__ import annotations

import re

LINE = 400
"""Characters of a line that are looked at."""
MARK = re.compile(r"(?i)copyright|\(c\)|©")
DROPPED = re.compile(
    r"(?i)copyright|\(c\)|©|all rights? reserved|\b(?:19|20)\d\d\b|\b(?:and|or) (?:its|their) affiliates\b|\bpresent\b"
)
FORM = re.compile(r"(?i)[\s,]{1,4}(inc|llc|ltd|limited|corp|corporation|gmbh|co|ag|s\.?a\.?)\b\.?")
END = re.compile(r"(?<!\([cC])\)")
"""The parenthesis that closes around a notice quoted in a sentence; not that of `(c)`."""
BREAK = re.compile(r"(?i)\s{0,3}[,;&|/]\s{0,3}|\s(?:and|by|with|for)\s")
EMPTY = frozenset({
    "the", "team", "authors", "author", "contributors", "affiliates", "project", "and", "by", "of", "inc", "llc", "ltd",
    "limited", "corp", "corporation", "gmbh", "co", "ag", "sa",
})  # fmt: skip
"""Words that do not tell one holder from another."""
EVERYBODY = frozenset(
    {"huggingface", "hugging face", "free software foundation", "apache software foundation", "eleutherai"}
)
"""Holders that stand in most repositories of models."""


def holders_of(line: str) -> tuple[str, ...]:
    """The holders that a line with a copyright notice names, as written, without years and formulas."""
    marked = MARK.search(line[:LINE])
    if marked is None:
        return ()
    rest = DROPPED.sub(" ", END.split(line[:LINE][marked.start() :], maxsplit=1)[0])
    parts = BREAK.split(FORM.sub(lambda m: f" {m[1]}", rest))
    kept = [" ".join(part.strip(" \t.,-–:#*\"'()[]<>{}").split()) for part in parts]
    return tuple(dict.fromkeys(part for part in kept if holder_key(part)))


def holder_key(holder: str) -> str:
    """The same for spellings of one holder: its telling words in small letters; empty where there are none."""
    words = re.findall(r"\w+", holder[:LINE].casefold())
    kept = [word for word in words if word not in EMPTY and not word.isdigit()]
    return " ".join(kept) if any(c.isalpha() for word in kept for c in word) else ""


def is_everybody(key: str) -> bool:
    """Whether a holder's key is one that stands in most repositories."""
    return key in EVERYBODY
