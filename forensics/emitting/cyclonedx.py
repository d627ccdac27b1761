"""A CycloneDX 1.6 bill of materials of the suspect: opinions as declarations, pedigree only above the user's bound.

The suspect is what the document describes; candidates and controls are targets of claims and no part of it, so they do
not stand among its components. Labels and file names pass through the display filter: such documents are looked at in
other people's programs. Opinions map to no score between 0 and 1, so attestations and identity confidence are absent.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from forensics.emitting.declarations import declarations
from forensics.emitting.descent import Descent, descent
from forensics.emitting.emission import RECORD, Compared, Emission, as_json, hashed, is_sha256
from forensics.records import Subject
from forensics.report import numbers
from forensics.report.display import display

SPEC = "1.6"
PLACES = {"ancestor": "ancestors", "descendant": "descendants", "variant": "variants"}
OURS = "model-forensics:"
"""What our property names begin with; the CycloneDX property taxonomy does not know it."""


def document(emission: Emission) -> bytes:
    """The bill of materials, valid under the JSON Schemas of CycloneDX 1.6 and (with that version in it) 1.7."""
    dossier, compared = emission.dossier, list(emission.compared())
    allowed = {c.reference: _allowed(c, emission) for c in compared}
    described = _model(emission.suspect, "suspect")
    pedigree = _pedigree(emission, compared, allowed)
    if pedigree:
        described["pedigree"] = pedigree
    tool = {
        "type": "application",
        "name": display(dossier.tool.name),
        "version": display(dossier.tool.version),
    }
    metadata: dict[str, Any] = {
        "tools": {"components": [tool]},
        "component": described,
        "properties": _properties({"case-id": dossier.case.id, "record-sha256": emission.digest}),
    }
    if emission.moment:
        metadata["timestamp"] = emission.moment
    record = {
        "type": "evidence",
        "url": RECORD,
        "comment": "the record of the case, of which this document is an extract",
        "hashes": [{"alg": "SHA-256", "content": emission.digest}],
    }
    targets = [_target(c, allowed[c.reference]) for c in compared]
    whole = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": serial_number(emission),
        "version": 1,
        "metadata": metadata,
        "externalReferences": [record],
        "declarations": {"targets": {"components": targets}, **declarations(emission, compared)},
    }
    return as_json(whole)


def serial_number(emission: Emission) -> str:
    """A name-based UUID of the record's digest, the bound, and the program: the same document has the same number."""
    tool = emission.dossier.tool
    bound = "none" if emission.pedigree_from is None else repr(emission.pedigree_from)
    name = f"urn:model-forensics:bom:{SPEC}:{emission.digest}:{bound}:{tool.version}"
    return uuid.uuid5(uuid.NAMESPACE_URL, name.encode("ascii", "backslashreplace").decode()).urn


def _allowed(compared: Compared, emission: Emission) -> Descent:
    """What may be asserted; of a control nothing, for it is there as a stranger."""
    if compared.reference.startswith("control"):
        return Descent(place=None, why="it is a control")
    return descent(compared.opinion, emission.pedigree_from)


def _target(compared: Compared, allowed: Descent) -> dict[str, Any]:
    """A candidate or control, with what is asserted of it, or why nothing is."""
    told = f"stated among {PLACES[allowed.place]}" if allowed.place else "not stated"
    return _model(compared.subject, compared.reference, {"pedigree": f"{told}: {allowed.why}"})


def _pedigree(emission: Emission, compared: list[Compared], allowed: Mapping[str, Descent]) -> dict[str, Any]:
    """The suspect's relatives as far as descent may be asserted; empty where of none."""
    found: dict[str, Any] = {}
    notes = []
    for one in compared:
        place = allowed[one.reference].place
        if place is None:
            continue
        found.setdefault(PLACES[place], []).append(_model(one.subject, None))
        low = numbers.bans(one.opinion.lower or 0.0)
        notes.append(f"{one.reference}: {allowed[one.reference].why}; lower end of log10 LR {low}.")
    if not found or emission.pedigree_from is None:
        return {}
    said = (
        f"Inferred from weights by {display(emission.dossier.tool.name)}, not declared by whoever made the model; "
        f"stated because the user set the bound log10 LR {numbers.bans(emission.pedigree_from)}."
    )
    return {**found, "notes": " ".join((said, *notes))}


def _model(subject: Subject, reference: str | None, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A machine-learning model with the files of it that were hashed; without `reference` a copy nobody refers to."""
    made: dict[str, Any] = {"type": "machine-learning-model", "name": display(subject.label)}
    told = {
        "form": subject.form,
        "files-digest": subject.digest if is_sha256(subject.digest) else "",
        "commit": subject.commit,
        "precision": ", ".join(subject.dtypes),
        **(more or {}),
    }
    made["properties"] = _properties({name: text for name, text in told.items() if text})
    files = hashed(subject)
    if files:
        made["components"] = [
            {"type": "file", "name": display(f.name), "hashes": [{"alg": "SHA-256", "content": f.sha256}]}
            for f in files
        ]
    if subject.architecture is not None and subject.architecture.declared:
        made["modelCard"] = {
            "modelParameters": {"modelArchitecture": display(subject.architecture.declared)},
        }
    if reference is None:
        return made
    for number, part in enumerate(made.get("components", ()), 1):
        part["bom-ref"] = f"{reference}/file-{number}"
    return {**made, "bom-ref": reference}


def _properties(told: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": OURS + name, "value": display(text)} for name, text in told.items()]
