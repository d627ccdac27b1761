"""The suspect's claims of ancestry set against the opinions: agrees, silent, contradicts. A pure function of records.

Opinions are formed before and without it. A claim names a model by a name, a candidate bears a label that the examiner
gave; whether both mean the same model is itself no finding, so the ground is told. Where there is none, the claim is
matched to no candidate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from forensics.claims import Claim, ClaimStanding
from forensics.evidence.claim_words import said_of_name, said_of_scratch, said_of_silence, unmatched
from forensics.opinions import Opinion
from forensics.subjects import Subject

CLAIMS, CHARACTERS = 40, 400
"""Claims that are looked at, and characters of one; a sketch file may hold any number of any length."""
TELLING = 5
"""Characters of a last part, which has a digit or a hyphen as well, before it alone makes two names the same."""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^/]*/")
CACHED = re.compile(r"models--([^/]+?)--([^/]+)")
"""A folder of huggingface_hub's cache, which names owner and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """A model's name taken apart, in small letters."""

    owner: str
    """Organisation or user; empty where there is none or a path stands before the name."""
    last: str

    @classmethod
    def of(cls, text: str) -> _Name:
        """From a name, an address or a path; spaces and underscores count as hyphens."""
        plain = text[:CHARACTERS].strip().casefold().replace("\\", "/")
        address = ADDRESS.match(plain)
        path = plain[address.end() if address else 0 :].rstrip("/")
        if cached := CACHED.search(path):
            return cls(owner=cached[1], last=_hyphened(cached[2]))
        parts = [part for part in path.split("/") if part]
        if address:  # owner and name come first; what follows is a branch or a file
            parts = parts[:2]
        local = not address and (path.startswith(("/", ".", "~")) or ":" in path)
        last = _hyphened(parts[-1].split("@", 1)[0]) if parts else ""
        return cls(owner=parts[0] if len(parts) == 2 and not local else "", last=last)

    @property
    def telling(self) -> bool:
        """Whether the last part alone says which model is meant."""
        return len(self.last) >= TELLING and re.search(r"[\d-]", self.last) is not None


def _hyphened(text: str) -> str:
    return re.sub(r"[\s_]+", "-", text)


def set_against(
    suspect: Subject, others: Sequence[Subject], opinions: Sequence[Opinion]
) -> tuple[ClaimStanding, ...]:
    """Every claim of the suspect, then the candidates of which none is made; empty where claims were not read."""
    if suspect.claims is None:
        return ()
    claims = [
        replace(one, stated=one.stated[:CHARACTERS], where=one.where[:CHARACTERS])
        for one in suspect.claims[:CLAIMS]
    ]
    known = {subject.label: subject for subject in others if subject.role == "candidate"}
    told: list[ClaimStanding] = []
    own = {
        _Name.of(text).last for text in (suspect.label, *(c.stated for c in claims if c.kind == "own name"))
    }
    for claim in claims:
        if claim.kind == "trained from scratch":
            told += [said_of_scratch(claim, opinion) for opinion in opinions]
        elif claim.kind != "own name" and not (
            claim.kind == "configured name" and _Name.of(claim.stated).last in own
        ):
            told += _named(claim, known, opinions)
    spoken = {one.candidate for one in told}
    parents = any(claim.kind == "declared parent" for claim in claims)
    silent = [
        said_of_silence(opinion, others=parents) for opinion in opinions if opinion.candidate not in spoken
    ]
    return (*told, *silent)


def _named(claim: Claim, known: dict[str, Subject], opinions: Sequence[Opinion]) -> Iterator[ClaimStanding]:
    """One claim that names a model, against every candidate that may be it."""
    grounds = {label: ground for label, subject in known.items() if (ground := _same(claim.stated, subject))}
    for label, subject in known.items():
        twin = next((o for o in grounds if subject.digest and known[o].digest == subject.digest), "")
        if label not in grounds and twin and subject.form == "checkpoint":
            grounds[label] = (
                f"its files are those of {twin}, byte for byte, which is held to be the model named"
            )
    for opinion in opinions:
        if opinion.candidate in grounds:
            yield said_of_name(claim, opinion, grounds[opinion.candidate])
    if not grounds:
        yield unmatched(claim, _nearly(claim.stated, known))


def _same(stated: str, candidate: Subject) -> str:
    """The ground on which a name claimed and a candidate are held to be one model; empty where there is none."""
    if stated.strip().casefold() == candidate.label.casefold():
        return "the candidate's label is the name claimed; a label is what the examiner wrote"
    claimed = _Name.of(stated)
    if how := _alike(claimed, _Name.of(candidate.label), hub=bool(candidate.commit)):
        return f"{how} the candidate's label; a label is what the examiner wrote"
    for told in (candidate.claims or ())[:CLAIMS]:
        if told.kind in {"own name", "configured name"} and (
            how := _alike(claimed, _Name.of(told.stated), hub=True)
        ):
            return f"{how} the name in the candidate's own metadata ({told.where[:CHARACTERS]}); anyone can edit these"
    return ""


def _alike(one: _Name, other: _Name, *, hub: bool) -> str:
    """How far two names agree, in words; `hub`: what stands before the other's last part is an owner, not a folder."""
    if not one.last or one.last != other.last:
        return ""
    if one.owner and one.owner == other.owner:
        return "owner and name are those of"
    if not one.telling or (one.owner and other.owner and hub):
        return ""
    return "the last part of the name, without its owner, is that of"


def _nearly(stated: str, known: dict[str, Subject]) -> str:
    """The first candidate whose name has the same last part and did not count as the same; empty for none."""
    last = _Name.of(stated).last
    return next((label for label in known if last and _Name.of(label).last == last), "")
