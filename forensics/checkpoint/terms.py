"""Two models' papers beside each other: how licence texts differ, and what a licence asks beside what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from forensics.checkpoint.papers import Papers
from forensics.licences.difference import difference
from forensics.licences.known import Licence, published_under, tagged
from forensics.licences.obligations import asked, beside, is_listed
from forensics.readings import Scalar

DIFFERENCES = 20
"""Differences of one pair of licence texts that are shown."""
Row: TypeAlias = tuple[str | int, ...]
KINDS = (
    "licence copy", "attribution", "naming", "notice", "changes stated", "share-alike", "use restrictions",
    "non-commercial",
)  # fmt: skip
"""Kinds of obligations, in the order in which facts tell of them."""
TRAITS = ("share-alike", "non-commercial", "no-derivatives")
"""Traits of a candidate's licence that a suspect's licence may go against."""


def licence_rows(ours: Papers, theirs: Papers) -> tuple[list[Row], list[Row]]:
    """Each licence text of ours with the other's that it is most like, and where the two differ if they are related.

    Rows of (our file, their file, what it is, words in common) and of (our file, line, our words, their words, times).
    """
    compared: list[Row] = []
    spans: list[Row] = []
    for mine in ours.licence_texts:
        found = [(difference(mine.text, other.text), other.file) for other in theirs.licence_texts]
        if found:
            best, file = max(found, key=lambda entry: entry[0].common)
            compared.append((mine.file, file, best.kind, f"{100 * best.common:.1f} %"))
            spans += [(mine.file, s.line, s.ours, s.theirs, s.count) for s in best.spans[:DIFFERENCES]]
    return compared, spans


def obligation_rows(ours: Papers, theirs: Papers) -> Iterator[Row]:
    """What the candidate's licences ask, and those that a declared parent's name stands for, beside what ours show.

    Rows of (licence, whose, kind, clause, what is asked, what is shown).
    """
    whose = [(name, "the candidate") for name in theirs.own_licences]
    for lead in ours.leads:
        known = published_under(lead.text) if lead.kind == "declared parent" else None
        if known and known.id not in theirs.own_licences:
            whose.append((known.id, f"the declared parent, {lead.text}"))
    holders = _holders(theirs)
    for name, of in dict.fromkeys(whose):
        for row in beside(name, holders if of == "the candidate" else (), ours.shown):
            yield (name, of, *row)


def _holders(papers: Papers) -> tuple[str, ...]:
    """Who holds the rights, by the licence texts."""
    return tuple(dict.fromkeys(one.holder for one in papers.held if one.paper == "licence"))


def licence_facts(ours: Papers, theirs: Papers) -> tuple[str, dict[str, Scalar]]:
    """What a policy asks of licences, as a sentence (empty for nothing unmet) and as facts; None where it is not known.

    `suspect_licence`, `candidate_licence`: ids, joined by commas. `obligations_asked`, `_unmet`, `_untold`: counts of
    what the candidate's licences ask, of what was looked for and not found, of what documents cannot tell; `unmet_KIND`
    the same for one kind. `conflict_TRAIT`: the candidate's licence has the trait and the suspect's go against it.
    """
    mine, other = own_licences(ours), own_licences(theirs)
    told: dict[str, Scalar] = {
        "suspect_licence": ", ".join(one.id for one in mine or ()) or None,
        "candidate_licence": ", ".join(one.id for one in other or ()) or None,
    }
    found = [one for each in other or () for one in asked(each.id, _holders(theirs), ours.shown)]
    listed = other is not None and all(is_listed(one.id) for one in other)
    unmet = sum(one.met is False for one in found)
    told["obligations_asked"] = len(found) if listed else None
    told["obligations_unmet"] = unmet if listed else None
    told["obligations_untold"] = sum(one.met is None for one in found) if listed else None
    for kind in KINDS:
        met = [one.met for one in found if one.obligation.kind == kind]
        told[f"unmet_{_plain(kind)}"] = True if False in met else None if None in met or not listed else False
    for trait in TRAITS:
        told[f"conflict_{_plain(trait)}"] = _conflict(trait, mine, other)
    asks = f" Of {len(found)} things that the candidate's licence asks of whoever passes it on, {unmet} were not found."
    return (asks if listed and unmet else ""), told


def own_licences(papers: Papers) -> list[Licence] | None:
    """The licences that a model's card and licence files give for the model itself, not those of code or third parties.

    None where there is none, or one of them is not in the table or an expression with a choice: nothing is known then.
    """
    files = {text.file for text in papers.licence_texts}
    found: list[Licence | None] = []
    for lead in papers.leads:
        if lead.kind == "licence tag" and lead.file.lower().endswith("readme.md"):
            found.append(tagged(lead.key))
        if lead.kind == "licence" and lead.file in files and not lead.text.endswith("(named)"):
            found.append(tagged(lead.key))
    told = {
        lead.file for lead in papers.leads if lead.kind == "licence" and not lead.text.endswith("(named)")
    }
    known = [one for one in found if one is not None]
    whole = len(known) == len(found) and files <= told
    return list({one.id: one for one in known}.values()) if known and whole else None


def _plain(words: str) -> str:
    """A name that a policy can spell without quotes."""
    return words.replace(" ", "_").replace("-", "_")


def _conflict(trait: str, mine: list[Licence] | None, other: list[Licence] | None) -> bool | None:
    """Whether a trait of the candidate's licences stands against the suspect's; None where either is not known.

    Share-alike asks for the same licence: one that is only compatible counts as another. Without derivatives no
    licence of a derived model agrees. Whether a model is a derivative is not decided here.
    """
    if other is None:
        return None
    having = [one for one in other if trait in one.traits]
    if not having or trait == "no-derivatives":
        return bool(having)
    if mine is None:
        return None
    if trait == "share-alike":
        return not {one.id for one in having} <= {one.id for one in mine}
    return not any(trait in one.traits for one in mine)
