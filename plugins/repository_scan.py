"""What a repository's own documents say of where the model came from: leads for a reader, never evidence.

Documents are claims. They are copied, templated and forgotten, and whoever wants to mislead edits them first, so this
probe has no calibration and no weight (methods §4.3 P10). Code found is read as text and never imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Checkpoint,
    Lead,
    Measurement,
    Papers,
    Reason,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    families,
    hookimpl,
    licence_facts,
    licence_rows,
    licences,
    obligation_rows,
    read_papers,
)

SHOWN = 100
"""Rows of a table."""
ANYTHING = frozenset({"other", "unknown", "openrail"})
"""Tags that so many cards carry that sharing one says nothing."""
NAMING = ("declared parent", "configured name", "own name")
"""Kinds of leads that give a model's name."""
Row = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class RepositoryScan(SketchProbe):
    """Licences, copyright lines, declared parents and names of model families, with file and line."""

    id: ClassVar[str] = "repository-scan"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "What the documents say"
    measures: ClassVar[str] = (
        "Leads in the suspect's card, licence, code and configuration: declared parents, licences, copyright lines, "
        "names of model families, files identical in both; how its licence texts differ from the candidate's; holders "
        "in notices and third-party lists; what the candidate's licence asks beside what the suspect shows. Documents "
        "can be copied or edited by anyone, so leads carry no weight in the opinion and their absence means nothing. "
        "Common licences (Apache-2.0, MIT and the like) are listed and not counted, nor are the class names and "
        "configuration files that an architecture requires."
    )
    needs: ClassVar[str] = "text files beside the weights or in a repository named for them"
    knows_label: ClassVar[bool] = True
    expected: ClassVar[str] = (
        "Derived and declared: the parent's name or licence, often its copyright lines. Derived and undeclared: "
        "nothing, or a forgotten line. Unrelated: nothing, or the candidate's name in a comparison."
    )

    def first_look(self) -> RepositoryScan:
        """Takes part as it is: no weights are read."""
        return self

    def sketcher(self, checkpoint: Checkpoint) -> Reader:
        """Everything is known before the pass; abstains where there is no text at all."""
        if not checkpoint.texts:
            raise Abstain(Reason.MISSING_FILES, "no readable text file beside the weights or in a repository")
        return Reader(probe=self, checkpoint=checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """How many different leads in the suspect name the candidate or stand in both word for word."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        judged = [(lead, *_judged(lead, theirs)) for lead in ours.papers.leads]
        known = set(theirs.papers.files.values())
        judged += [
            (Lead("identical file", name, 1, name, digest), "identical in both", True)
            for name, digest in ours.papers.files.items()
            if digest in known
        ]
        counted, found = (
            {(lead.kind, lead.key) for lead, _, c in judged if c or every} for every in (False, True)
        )
        judged.sort(key=lambda entry: (not entry[2], not entry[1]))
        rows: list[Row] = [(lead.kind, lead.file, lead.line, lead.text, says) for lead, says, _ in judged]
        unread = ours.papers.texts_omitted
        unmet, terms = licence_facts(ours.papers, theirs.papers)
        return Measurement(
            value=float(len(counted)),
            quantity="different leads in the suspect that name the candidate or stand in both, a count",
            summary=(
                f"In the suspect's {ours.papers.texts} text files {len(counted)} leads point to the candidate, out of "
                f"{len(found)} found.{f' {unread} text files were not read.' if unread else ''}{unmet} Documents "
                "are claims: this has no weight in the opinion."
            ),
            facts={
                "width": min(ours.width, theirs.width),
                "leads": len(judged),
                "texts": ours.papers.texts,
                "candidate_texts": theirs.papers.texts,
                "candidate_families": ", ".join(sorted(theirs.families)),
                "common_licences_not_counted": True,
                **terms,
            },
            tables=tuple(_tables(ours, theirs, rows)),
        )


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Wants nothing of the pass: texts are read before it."""

    probe: RepositoryScan
    checkpoint: Checkpoint

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """No arrays; what the documents say as JSON in the facts."""
        opened, label = self.checkpoint, self.checkpoint.label[:200]
        papers = read_papers(opened.texts, label, opened.texts_omitted)
        return self.probe.sketch(
            {}, {"width": opened.architecture.width, "label": label, "papers": papers.encoded()}
        )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    papers: Papers
    names: frozenset[str]
    """What this model is called, in small letters, where the name is telling."""
    families: frozenset[str]
    claims: frozenset[tuple[str, str]]
    """Kind and key of every lead."""
    holders: frozenset[str]
    """Keys of whoever its copyright lines name or wrote its licence, without those who stand everywhere."""
    width: int

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's papers and what they say of the model itself, or an abstention where they cannot be read."""
        try:
            papers = Papers.decoded(str(sketch.facts["papers"]))
            width = int(sketch.facts["width"] or 0)
        except (KeyError, TypeError, ValueError):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's leads cannot be read") from None
        own = [str(sketch.facts.get("label") or ""), *(x.text for x in papers.leads if x.kind in NAMING)]
        told = [lead.key for lead in papers.leads if lead.kind in {"licence", "licence tag"}]
        makers = [one.holder for name in papers.own_licences if (one := licences.licence(name))]
        keys = {licences.holder_key(maker) for maker in makers} | set(papers.shown.holders)
        return cls(
            papers=papers,
            names=frozenset(name for text in own for name in families.telling_names(text)),
            families=families.families_named("\n".join([*own, *told])),
            claims=frozenset((lead.kind, lead.key) for lead in papers.leads),
            holders=frozenset(key for key in keys if key and not licences.is_everybody(key)),
            width=width,
        )


def _tagged(key: str) -> str:
    """The licence that a lead's key stands for, by its id; empty for none on our list."""
    found = licences.tagged(key)
    return found.id if found else ""


def _judged(lead: Lead, candidate: _Side) -> tuple[str, bool]:
    """What a lead says about the candidate, and whether that counts."""
    named = families.families_named(f"{lead.text}\n{lead.key}") & candidate.families
    same = (lead.kind, lead.key) in candidate.claims
    family = f"names the candidate's family, {', '.join(sorted(named))}" if named else ""
    match lead.kind:
        case "declared parent" | "configured name" | "own name":
            if families.telling_names(lead.text) & candidate.names:
                return "names the candidate", True
            return family, bool(family)
        case "licence" | "licence tag":
            if licences.is_common(_tagged(lead.key) or licences.normalised(lead.key)) or lead.key in ANYTHING:
                return ("the same common licence, not counted" if same else ""), False
            return ("the same licence" if same else family), same or bool(family)
        case "copyright line":
            return _holder_judged(licences.holders_of(lead.text), candidate, same=same)
        case "family name":
            return family, bool(family)
    return "", False


def _holder_judged(holders: tuple[str, ...], candidate: _Side, *, same: bool = False) -> tuple[str, bool]:
    """What the holders of one line say about the candidate; those who stand in every repository say nothing."""
    own = [holder for holder in holders if not licences.is_everybody(licences.holder_key(holder))]
    if any(licences.holder_key(holder) in candidate.holders for holder in own):
        return ("identical in both" if same else "the candidate's holder"), True
    named = families.families_named("\n".join(own)) & candidate.families
    return (f"names the candidate's family, {', '.join(sorted(named))}" if named else ""), bool(named)


def _tables(ours: _Side, theirs: _Side, leads: list[Row]) -> Iterator[Table]:
    """The leads, then whatever else there is to show."""
    yield _table(
        "Leads in the suspect's documents", ("kind", "file", "line", "text", "about the candidate"), leads,
        ours.papers.omitted,
    )  # fmt: skip
    compared, spans = licence_rows(ours.papers, theirs.papers)
    held: list[Row] = [
        (one.paper, one.file, one.line, one.holder, _holder_judged((one.holder,), theirs)[0])
        for one in ours.papers.held
    ]
    held.sort(key=lambda row: (not row[-1], row[0] != "notice"))
    asked = list(obligation_rows(ours.papers, theirs.papers))
    listed = (
        ("Licence texts", ("suspect's file", "candidate's file", "what it is", "words in common"), compared),
        ("Differences of licence texts", ("suspect's file", "line", "suspect", "candidate", "times"), spans),
        ("Holders in licences, notices and third-party lists",
         ("document", "file", "line", "holder", "about the candidate"), held),
        ("What licences ask, and what the suspect shows",
         ("licence", "of", "kind", "clause", "asks for", "the suspect shows"), asked),
    )  # fmt: skip
    for title, columns, rows in listed:
        if rows:
            yield _table(title, columns, rows)


def _table(title: str, columns: tuple[str, ...], rows: list[Row], omitted: int = 0) -> Table:
    return Table(
        title=title, columns=columns, rows=tuple(rows[:SHOWN]), omitted=max(0, len(rows) - SHOWN) + omitted
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [RepositoryScan()]
