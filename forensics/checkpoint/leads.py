"""What the text files of a checkpoint say of its origin, with file and line. Text is read, never run or rendered."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from forensics.checkpoint.texts import is_paper
from forensics.families import families_in
from forensics.licences.expressions import IDENTIFIER, normalised
from forensics.licences.matching import Match, licences_of, notices_in
from forensics.licences.words import Words

if TYPE_CHECKING:
    from forensics.checkpoint.facts import TextFile

TEXT = 200
"""Characters of a lead's text."""
LEADS, PER_FILE, REPEATED = 400, 20, 8
"""Leads kept in all, of one kind in one file, and of one claim in all files."""
TRIED = 300
"""Occurrences of one pattern that are looked at in one file."""
FRONT_MATTER, DEPTH = 32_000, 12
"""Characters of a card's YAML head, and its nesting; anything beyond is refused."""
DOCUMENT = re.compile(r"(?i)licen[cs]e|copying|notice|policy|terms|readme|\.(?:md|txt|rst)$")
PREFIX = "repository:"
"""Before the name of each text of a code repository, so that a reader sees which folder it lies in."""
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


@dataclass(slots=True)
class Leads:
    """The leads of files in the order given, within budgets."""

    kept: list[Lead] = field(default_factory=list)
    omitted: int = 0
    _of_file: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _of_claim: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)

    def add(self, leads: Iterable[Lead]) -> None:
        """Keeps what the budgets allow and counts the rest."""
        for lead in leads:
            self._of_file[lead.kind, lead.file] += 1
            self._of_claim[lead.kind, lead.key] += 1
            few = self._of_file[lead.kind, lead.file] <= PER_FILE
            few = few and self._of_claim[lead.kind, lead.key] <= REPEATED and len(self.kept) < LEADS
            if few:
                self.kept.append(lead)
            self.omitted += not few


def leads_in(texts: Iterable[TextFile]) -> tuple[list[Lead], int]:
    """The leads of all files in order, within budgets, and how many were left out."""
    found = Leads()
    for file in texts:
        found.add(leads_of(file, matches_in(file)))
    return found.kept, found.omitted


def matches_in(file: TextFile, words: Words | None = None) -> tuple[Match, ...]:
    """The licences in a document, or those that the head of any other file names; `words` are a document's own."""
    if file.name.lower().endswith(".json"):
        return ()
    if is_document(file.name):
        return licences_of(words or Words.of(file.text))
    return notices_in(file.text)


def is_document(name: str) -> bool:
    """Whether a file is searched for the texts of licences."""
    return is_paper(name) or DOCUMENT.search(name) is not None


def leads_of(file: TextFile, matches: Iterable[Match]) -> Iterator[Lead]:
    """Every lead of one file."""
    name = file.name.lower()
    if name.removeprefix(PREFIX) == "readme.md":
        yield from front_matter(file)
    if name.endswith(".json"):
        yield from configured(file)
    else:
        yield from _copyrights(file)
    for said in islice(IDENTIFIER.finditer(file.text), PER_FILE):
        yield _licence_tag(file, file.text.count("\n", 0, said.start()) + 1, said[1])
    for match in matches:
        yield _lead("licence", file, match.line, match.told(), match.licence.id)
    yield from _families(file)


def _licence_tag(file: TextFile, line: int, text: str) -> Lead:
    """A licence expression or tag, under one key however it is spelt."""
    return _lead("licence tag", file, line, text, normalised(text))


def _lead(kind: str, file: TextFile, line: int, text: str, key: str = "") -> Lead:
    """A lead with its text cut and made writable as UTF-8."""
    shown, known = (part.strip()[:TEXT].encode("utf-8", "replace").decode() for part in (text, key or text))
    return Lead(kind, file.name[:TEXT], line, shown, known.casefold())


def _line(text: str, at: int) -> tuple[int, str]:
    """Line number of an offset and the line around it, at most about `TEXT` characters."""
    start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    end = len(text) if end < 0 else end
    return text.count("\n", 0, at) + 1, text[max(start, at - TEXT // 2) : min(end, at + TEXT)]


def configured(file: TextFile) -> Iterator[Lead]:
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


def front_matter(file: TextFile) -> Iterator[Lead]:
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
                    lead = _lead(kind, file, node.start_mark.line + 1, node.value)
                    yield _licence_tag(file, lead.line, node.value) if kind == "licence tag" else lead
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
