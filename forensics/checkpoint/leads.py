"""What the text files of a checkpoint say of its origin, with file and line. Text is read, never run or rendered."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.families import families_in, licences_in

if TYPE_CHECKING:
    from forensics.checkpoint.facts import TextFile

TEXT = 200
"""Characters of a lead's text."""
LEADS, PER_FILE = 400, 20
"""Leads kept in all, and of one kind in one file."""
TRIED = 300
"""Occurrences of one pattern that are looked at in one file."""
FRONT_MATTER, DEPTH = 32_000, 12
"""Characters of a card's YAML head, and its nesting; anything beyond is refused."""
DOCUMENT = re.compile(r"(?i)licen[cs]e|copying|notice|policy|terms|readme|\.(?:md|txt|rst)$")
DECLARED = re.compile(
    r'"(_name_or_path|base_model_name_or_path|model_type)"\s*:\s*("(?:[^"\\\n]|\\.){1,400}")'
)
LISTED = re.compile(r'"(architectures|auto_map)"\s*:\s*[\[{]')
QUOTED = re.compile(r'"(?:[^"\\\n]|\\.){1,400}"')
CLASS_NAME = re.compile(
    r'"(?:model_type|architectures)"|"[A-Za-z0-9]+(?:For[A-Z]\w*|Model|Config|Tokenizer\w*)"'
)
"""Lines of a configuration that name the architecture, as they must."""
COPYRIGHT = re.compile(r"(?i)copyright|©")
DATED = re.compile(r"(?i)\b(?:19|20)\d\d\b|\(c\)|©")
NOTICE_END = re.compile(r"(?<!\([cC])\)")
"""The parenthesis that closes around a notice quoted in a sentence; not that of `(c)`."""
KINDS = {
    "_name_or_path": "configured name",
    "base_model_name_or_path": "declared parent",
    "base_model": "declared parent",
    "model_name": "own name",
    "license": "licence tag",
    "license_name": "licence tag",
    "model_type": "architecture",
    "architectures": "architecture",
    "auto_map": "remote code",
}
"""What a key of a config or of a card's head is a lead of."""


class Lead(NamedTuple):
    """One thing a document says."""

    kind: str
    """`declared parent`, `configured name`, `own name`, `licence`, `licence tag`, `copyright line`, `family name`,
    `architecture`, `remote code` or `unreadable head`."""
    file: str
    line: int
    text: str
    key: str
    """The same for the same claim, whatever the file."""


def leads_in(texts: Iterable[TextFile]) -> tuple[list[Lead], int]:
    """The leads of all files in order, within budgets, and how many were left out."""
    kept: list[Lead] = []
    seen: Counter[tuple[str, str]] = Counter()
    for file in texts:
        for lead in _of_file(file):
            seen[lead.kind, lead.file] += 1
            if seen[lead.kind, lead.file] <= PER_FILE and len(kept) < LEADS:
                kept.append(lead)
    return kept, seen.total() - len(kept)


def _of_file(file: TextFile) -> Iterator[Lead]:
    """Every lead of one file."""
    name = file.name.lower()
    if name == "readme.md":
        yield from _front_matter(file)
    if name.endswith(".json"):
        yield from _configured(file)
    else:
        yield from _copyrights(file)
    if DOCUMENT.search(name):
        for licence, share in licences_in(file.text).items():
            yield _lead(
                "licence", file, 1, f"{licence} ({100 * share:.0f} % of its characteristic phrases)", licence
            )
    yield from _families(file)


def _lead(kind: str, file: TextFile, line: int, text: str, key: str = "") -> Lead:
    """A lead with its text cut and made writable as UTF-8."""
    shown, known = (part.strip()[:TEXT].encode("utf-8", "replace").decode() for part in (text, key or text))
    return Lead(kind, file.name[:TEXT], line, shown, known.casefold())


def _line(text: str, at: int) -> tuple[int, str]:
    """Line number of an offset and the line around it, at most about `TEXT` characters."""
    start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    end = len(text) if end < 0 else end
    return text.count("\n", 0, at) + 1, text[max(start, at - TEXT // 2) : min(end, at + TEXT)]


def _configured(file: TextFile) -> Iterator[Lead]:
    """Names, classes and remote code in JSON files, found as text so that a broken file still speaks."""
    for match in islice(DECLARED.finditer(file.text), TRIED):
        yield _lead(KINDS[match[1]], file, file.text.count("\n", 0, match.start()) + 1, _unquoted(match[2]))
    for match in islice(LISTED.finditer(file.text), TRIED):
        line = file.text.count("\n", 0, match.start()) + 1
        inside = re.split(r"[\]}]", file.text[match.end() : match.end() + 600], maxsplit=1)[0]
        for quoted in QUOTED.findall(inside)[:PER_FILE]:
            yield _lead(KINDS[match[1]], file, line, _unquoted(quoted))


def _unquoted(quoted: str) -> str:
    """A JSON string's text; where its escapes are broken, as written."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted.strip('"')


def _copyrights(file: TextFile) -> Iterator[Lead]:
    """Lines with a copyright notice that has a year or a sign, so not licences speaking about copyright."""
    last = 0
    for match in islice(COPYRIGHT.finditer(file.text), TRIED):
        if match.start() < last:
            continue
        number, line = _line(file.text, match.start())
        last = match.start() + len(line)
        if DATED.search(line):
            notice = NOTICE_END.split(line[line.find(match[0]) :], maxsplit=1)[0]
            yield _lead("copyright line", file, number, line, " ".join(re.findall(r"\w+", notice)))


def _families(file: TextFile) -> Iterator[Lead]:
    """The first lines that name each model family."""
    raw = file.text.encode("utf-8", "replace")
    told: Counter[str] = Counter()
    for family, at in families_in(file.text):
        told[family] += 1
        if told[family] <= 3:
            start = max(raw.rfind(b"\n", 0, at) + 1, at - TEXT // 2)
            line = raw[start : at + TEXT].split(b"\n", 1)[0].decode("utf-8", "replace")
            if not (file.name.lower().endswith(".json") and CLASS_NAME.search(line)):
                yield _lead("family name", file, raw.count(b"\n", 0, at) + 1, line, family)


def _front_matter(file: TextFile) -> Iterator[Lead]:
    """Declared parent, licence and name in a model card's YAML head; nothing is constructed from it."""
    if not file.text.startswith("---"):
        return
    end = file.text.find("\n---", 3)
    head = file.text[3 : end if end >= 0 else None]
    if len(head) > FRONT_MATTER:
        yield _lead("unreadable head", file, 1, "the card's head is too long")
        return
    try:
        for key, value in _entries(head):
            kind = KINDS.get(str(key.value))
            for node in value.value if isinstance(value.value, list) else [value]:
                if kind and isinstance(getattr(node, "value", None), str) and node.value:
                    yield _lead(kind, file, node.start_mark.line + 1, node.value)
    except (ValueError, RecursionError) as error:
        yield _lead("unreadable head", file, 1, f"the card's head is no plain YAML ({error})")


def _entries(head: str) -> list[tuple[Any, Any]]:
    """Key and value nodes of the top mapping; ValueError for anchors, aliases, deep nesting or broken YAML."""
    import yaml

    depth = 0
    try:
        for event in yaml.parse(head, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ValueError("anchors and aliases are refused")
            if depth > DEPTH:
                raise ValueError("nested too deeply")
        node = yaml.compose(head, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(type(error).__name__) from None
    return list(node.value) if isinstance(node, yaml.MappingNode) else []
