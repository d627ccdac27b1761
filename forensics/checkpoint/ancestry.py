"""What a checkpoint's metadata claim of its ancestry: parents, names, "trained from scratch". Hostile text, never run.

Only what claims something is kept, each claim once, with its first place. Which of it holds is not judged here
(`evidence/claims.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from forensics.checkpoint.leads import PREFIX, configured, front_matter
from forensics.claims import Claim, ClaimKind

if TYPE_CHECKING:
    from forensics.checkpoint.facts import TextFile
    from forensics.checkpoint.opened import Checkpoint

CLAIMS, CHARACTERS = 40, 160
"""Claims of one checkpoint, and characters of one."""
READ, TRIED = 200_000, 50
"""Characters of a card that are searched for sentences, and occurrences looked at."""
KINDS: Mapping[str, ClaimKind] = {
    "declared parent": "declared parent",
    "configured name": "configured name",
    "own name": "own name",
}
"""Leads of documents that are claims of ancestry or tell what a name stands for."""
BASE = re.compile(r"general\.base_model\.(\d{1,3})\.(name|organization|repo_url)")
"""GGUF's keys on the models that a file was made from."""
STATED: Mapping[str, ClaimKind] = {
    "general.name": "own name",
    "general.basename": "own name",
    "general.source.repo_url": "declared parent",
    "general.source.huggingface.repository": "declared parent",
    "safetensors: base_model": "declared parent",
    "safetensors: base_model_name_or_path": "declared parent",
    "safetensors: modelspec.merged_from": "declared parent",
    "safetensors: modelspec.title": "own name",
    "safetensors: _name_or_path": "configured name",
}
"""Keys in the metadata of weight files."""
SCRATCH = re.compile(r"(?i)from[ -]scratch|从零开始|从头(?:开始)?(?:预)?训练")
END = re.compile("[.!?](?=\\s)|[\n\u3002\uff01\uff1f]")
TRAINED = re.compile(r"(?i)\b(?:pre-?)?trained\b|\bbuilt\b|\bdeveloped\b|\binitiali[sz]ed\b|训练")
OTHERWISE = re.compile(
    r"(?i)\bnot\b|n't\b|\bnever\b|\bwithout\b|\binstead\b|\brather\b|\bthan\b|\bunlike\b|\bcompar|\bcost|\bcan\b|"
    r"\bcould\b|\bmay\b|\bif\b|\bhow to\b|\byou\b|不是|而非|并非|无需|如何|可以|如果"
)
"""Words by which a sentence denies it, compares, or explains how it is done."""
PART = re.compile(
    r"(?i)tokeni[sz]er|encoder|projector|adapter|\bheads?\b|router|embedding|classifier|vocabular|分词"
)
"""Words by which it speaks of a part."""


def claims_of(checkpoint: Checkpoint) -> tuple[Claim, ...]:
    """Every claim once, names before sentences, at most `CLAIMS`."""
    found: dict[tuple[str, str], Claim] = {}
    for claim in (
        *_in_texts(checkpoint.texts),
        *_in_weight_files(checkpoint.stated),
        *_sentences(checkpoint.texts),
    ):
        if claim.stated and len(found) < CLAIMS:
            found.setdefault((claim.kind, claim.stated.casefold()), claim)
    return tuple(found.values())


def _in_texts(texts: tuple[TextFile, ...]) -> Iterator[Claim]:
    """Of the card's head and of configurations that lie beside the weights, not in folders for other things."""
    for file in texts:
        name = file.name.lower()
        leads = front_matter(file) if _is_card(file) else configured(file) if _is_config(name) else ()
        for lead in leads:
            if lead.kind in KINDS:
                yield _claim(KINDS[lead.kind], lead.text, f"{lead.file}:{lead.line}")


def _is_card(file: TextFile) -> bool:
    return file.name.lower().removeprefix(PREFIX) == "readme.md"


def _is_config(name: str) -> bool:
    return name.endswith(".json") and "/" not in name and not name.startswith(PREFIX)


def _in_weight_files(stated: Mapping[str, str]) -> Iterator[Claim]:
    """Keys of GGUF and safetensors files; of several that name one base model, the one that tells most."""
    bases: dict[int, dict[str, str]] = {}
    for key, value in stated.items():
        if match := BASE.fullmatch(key):
            bases.setdefault(int(match[1]), {})[match[2]] = value
        elif key in STATED:
            yield _claim(STATED[key], value, key)
    for number, told in sorted(bases.items()):
        named = told.get("name", "")
        whole = f"{told['organization']}/{named}" if named and "organization" in told else named
        key = "repo_url" if "repo_url" in told else "name"
        yield _claim("declared parent", told.get("repo_url") or whole, f"general.base_model.{number}.{key}")


def _sentences(texts: tuple[TextFile, ...]) -> Iterator[Claim]:
    """The first sentence of a card that says that something was trained from scratch."""
    for file in texts:
        text = file.text[:READ] if _is_card(file) else ""
        for _, match in zip(range(TRIED), SCRATCH.finditer(text), strict=False):
            sentence = _around(text, match.start(), match.end())
            if TRAINED.search(sentence) and not OTHERWISE.search(sentence) and not PART.search(sentence):
                line = text.count("\n", 0, match.start()) + 1
                yield _claim("trained from scratch", sentence, f"{file.name}:{line}")
                return


def _around(text: str, start: int, stop: int) -> str:
    """The sentence around a place, at most about `CHARACTERS` long."""
    half = CHARACTERS // 2
    before, behind = text[max(0, start - half) : start], text[stop : stop + half]
    ends = [match.end() for match in END.finditer(before)]
    end = END.search(behind)
    return before[ends[-1] if ends else 0 :] + text[start:stop] + behind[: end.end() if end else None]


def _claim(kind: ClaimKind, stated: str, where: str) -> Claim:
    """A claim that can be written: cut, on one line, UTF-8."""
    shown, place = (" ".join(text[:CHARACTERS].split()) for text in (stated, where))
    return Claim(
        kind=kind,
        stated=shown.encode("utf-8", "replace").decode(),
        where=place.encode("utf-8", "replace").decode(),
    )
