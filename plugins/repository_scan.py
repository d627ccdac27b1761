"""What a repository's own documents say of where the model came from: leads for a reader, never evidence.

Documents are claims. They are copied, templated and forgotten, and whoever wants to mislead edits them first, so this
probe has no calibration and no weight (methods §4.3 P10). Code found is read as text and never imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Checkpoint,
    Lead,
    Measurement,
    Reason,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    families,
    hookimpl,
    leads_in,
)

LEADS, SHOWN = 400, 100
"""Leads of a sketch that are looked at, and rows of the table."""
BOILERPLATE = re.compile(
    r"(?:^|/)(?:\.gitattributes|(?:(?:generation_|tokenizer_)?config|special_tokens_map)\.json)$"
)
"""Written by common tools from architecture and tokenizer, so often identical in unrelated repositories."""
SHORTEST = 64
"""Characters below which an identical file says nothing."""
EVERYBODY = ("hugging face", "huggingface", "free software foundation", "apache software foundation")
"""Holders whose copyright line stands in most repositories."""
COMMON_TAGS = frozenset(
    {
        "apache-2.0",
        "mit",
        "bsd-3-clause",
        "cc-by-4.0",
        "cc-by-nc-4.0",
        "gpl-3.0",
        "openrail",
        "other",
        "unknown",
    }
)
NAMING = ("declared parent", "configured name", "own name")
"""Kinds of leads that give a model's name."""


@dataclass(frozen=True, kw_only=True)
class RepositoryScan(SketchProbe):
    """Licences, copyright lines, declared parents and names of model families, with file and line."""

    id: ClassVar[str] = "repository-scan"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "What the documents say"
    measures: ClassVar[str] = (
        "Leads in the suspect's card, licence, code and configuration: declared parents, licences, copyright lines, "
        "names of model families, files identical in both. Documents can be copied or edited by anyone, so leads carry "
        "no weight in the opinion and their absence means nothing. Common licences (Apache-2.0, MIT and the like) are "
        "listed and not counted, nor are the class names and configuration files that an architecture requires."
    )
    needs: ClassVar[str] = "text files beside the weights"
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
            raise Abstain(Reason.MISSING_FILES, "no readable text file beside the weights")
        return Reader(probe=self, checkpoint=checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """How many different leads in the suspect name the candidate or stand in both word for word."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        judged = [(lead, *_judged(lead, theirs)) for lead in ours.leads]
        for name, digest in ours.files.items():
            if digest in theirs.files.values():
                judged.append((Lead("identical file", name, 1, name, digest), "identical in both", True))
        counted = {(lead.kind, lead.key) for lead, _, counts in judged if counts}
        judged.sort(key=lambda entry: (not entry[2], not entry[1]))
        rows = tuple((lead.kind, lead.file, lead.line, lead.text, says) for lead, says, _ in judged)
        table = Table(
            title="Leads in the suspect's documents",
            columns=("kind", "file", "line", "text", "about the candidate"),
            rows=rows[:SHOWN],
            omitted=max(0, len(rows) - SHOWN) + ours.omitted,
        )
        return Measurement(
            value=float(len(counted)),
            quantity="different leads in the suspect that name the candidate or stand in both, a count",
            summary=(
                f"In the suspect's documents {len(counted)} leads point to the candidate, out of "
                f"{len({(lead.kind, lead.key) for lead, _, _ in judged})} found. Documents are claims: this has no "
                "weight in the opinion."
            ),
            facts={
                "width": min(ours.width, theirs.width),
                "leads": len(judged),
                "candidate_families": ", ".join(sorted(theirs.families)),
                "common_licences_not_counted": True,
            },
            tables=(table,),
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
        """No arrays; leads and file digests as JSON in the facts."""
        texts = self.checkpoint.texts
        found, omitted = leads_in(texts)
        common = {
            lead.file
            for lead in found
            if lead.kind == "licence" and _licence(lead) in families.COMMON_LICENCES
        }
        files = {
            file.name[:200].encode("utf-8", "replace").decode(): hashlib.sha256(
                file.text.encode("utf-8", "replace")
            ).hexdigest()
            for file in texts
            if len(file.text) >= SHORTEST and not BOILERPLATE.search(file.name) and file.name not in common
        }
        return self.probe.sketch(
            {},
            {
                "width": self.checkpoint.architecture.width,
                "label": self.checkpoint.label[:200],
                "leads": json.dumps(found),
                "omitted": omitted,
                "files": json.dumps(files),
            },
        )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    leads: list[Lead]
    files: dict[str, str]
    names: frozenset[str]
    """What this model is called, in small letters, where the name is telling."""
    families: frozenset[str]
    holders: frozenset[str]
    width: int
    omitted: int

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's leads and what they say of the model itself, or an abstention where they cannot be read."""
        facts = sketch.facts
        try:
            found = [
                Lead(str(kind)[:40], str(file)[:200], int(line), str(text)[:200], str(key)[:200])
                for kind, file, line, text, key in json.loads(str(facts["leads"]))[:LEADS]
            ]
            files = {str(name)[:200]: str(digest) for name, digest in json.loads(str(facts["files"])).items()}
            width, omitted = int(facts["width"] or 0), int(facts["omitted"] or 0)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's leads cannot be read") from None
        own = [str(facts.get("label") or ""), *(lead.text for lead in found if lead.kind in NAMING)]
        licences = [lead.key for lead in found if lead.kind in {"licence", "licence tag"}]
        return cls(
            leads=found,
            files=files,
            names=frozenset(name for text in own for name in families.telling_names(text)),
            families=families.families_named("\n".join([*own, *licences])),
            holders=frozenset(_holder(lead.key) for lead in found if lead.kind == "copyright line") - {""},
            width=width,
            omitted=omitted,
        )


def _licence(lead: Lead) -> str:
    """The licence's name out of a lead of kind `licence`."""
    return lead.text.rsplit(" (", 1)[0]


def _holder(key: str) -> str:
    """Who a copyright line names: the line without years and formulas."""
    kept = re.sub(
        r"\b(?:copyright|c|by|the|and|all rights reserved|inc|team|authors|(?:19|20)\d\d)\b", " ", key
    )
    return " ".join(kept.split())


def _judged(lead: Lead, candidate: _Side) -> tuple[str, bool]:
    """What a lead says about the candidate, and whether that counts."""
    named = families.families_named(f"{lead.text}\n{lead.key}") & candidate.families
    same = any(lead.kind == other.kind and lead.key == other.key for other in candidate.leads)
    family = f"names the candidate's family, {', '.join(sorted(named))}" if named else ""
    match lead.kind:
        case "declared parent" | "configured name" | "own name":
            if families.telling_names(lead.text) & candidate.names:
                return "names the candidate", True
            return family, bool(family)
        case "licence" | "licence tag":
            common = _licence(lead) in families.COMMON_LICENCES or lead.key in COMMON_TAGS
            if common:
                return ("the same common licence, not counted" if same else ""), False
            return ("the same licence" if same else family), same or bool(family)
        case "copyright line":
            if any(everybody in lead.key for everybody in EVERYBODY):
                return "", False
            holder = _holder(lead.key)
            told = holder in candidate.holders and bool(holder)
            return ("identical in both" if same else "the candidate's holder" if told else ""), same or told
        case "family name":
            return family, bool(family)
    return "", False


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [RepositoryScan()]
