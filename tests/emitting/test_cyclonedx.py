"""The bill of materials: strictly valid by CycloneDX's own library, and asserting no more than the bound allows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from forensics.emitting import emitted
from forensics.records import Dossier
from tests.emitting.cases import ALL, hidden, record, said
from tests.report import example

SPECS = (SchemaVersion.V1_6, SchemaVersion.V1_7)


def bom(dossier: Dossier, pedigree_from: float | None = None) -> dict[str, Any]:
    """What is emitted, read as plain JSON."""
    return json.loads(emitted("cyclonedx", record(dossier), pedigree_from))


def references(value: Any) -> list[str]:
    """Every `bom-ref` in a document."""
    if isinstance(value, dict):
        own = [value["bom-ref"]] if "bom-ref" in value else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("name", [*ALL, "bare"])
def test_cyclonedx_library_accepts_it(name: str, spec: SchemaVersion) -> None:
    """Every document is strictly valid as 1.6, and as 1.7 with that version in it."""
    raw = emitted("cyclonedx", record(ALL.get(name, example.bare())), 0.1).decode("ascii")
    version = spec.to_version()
    raw = raw.replace('"specVersion": "1.6"', f'"specVersion": "{version}"')
    raw = raw.replace("schema/bom-1.6.schema.json", f"schema/bom-{version}.schema.json")
    assert JsonStrictValidator(spec).validate_str(raw) is None
    assert JsonStrictValidator(spec).validate_str(raw.replace('"claims"', '"verdicts"')) is not None


@pytest.mark.parametrize("name", ALL)
def test_references_are_ours_unique_and_lead_somewhere(name: str) -> None:
    """No reference is made of a label; every target and piece of evidence that a claim names exists once."""
    made = bom(ALL[name], 0.1)
    known = references(made)
    assert len(known) == len(set(known))
    assert all(r.isascii() and "<" not in r for r in known)
    for claim in made["declarations"]["claims"]:
        named = [claim["target"], *claim["evidence"], *claim.get("counterEvidence", ())]
        assert set(named) <= set(known)


@pytest.mark.parametrize("pedigree_from", [None, 0.8, 5.0])
def test_no_pedigree_without_a_bound_that_is_reached(pedigree_from: float | None) -> None:
    """Unset, or above the lower end of every interval, the bound lets nothing be asserted, and targets say why."""
    made = bom(example.dossier(), pedigree_from)
    assert "pedigree" not in json.dumps(made["metadata"])
    for target in made["declarations"]["targets"]["components"]:
        told = {p["name"]: p["value"] for p in target["properties"]}
        assert told["model-forensics:pedigree"].startswith("not stated: ")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "ancestors"),
        ({"direction": "candidate-from-suspect"}, "descendants"),
        ({"direction": "undetermined"}, "variants"),
        ({"relation": "sibling-or-common-ancestor"}, "variants"),
        ({"verdict": "inconclusive"}, None),
        ({"lower": None}, None),
    ],
)
def test_pedigree_asserts_what_the_record_shows(changes: dict[str, Any], place: str | None) -> None:
    """Above the bound a derived candidate is an ancestor only where the direction is known; the notes say inferred."""
    pedigree = bom(said(example.dossier(), "meridian-8b", **changes), 0.7)["metadata"]["component"].get(
        "pedigree"
    )
    if place is None:
        assert pedigree is None
        return
    assert pedigree is not None
    assert set(pedigree) == {place, "notes"}
    assert [c["name"] for c in pedigree[place]] == ["meridian-8b"]
    assert pedigree["notes"].startswith("Inferred from weights")


def test_a_control_is_nobodys_ancestor() -> None:
    """Not even one that came out derived."""
    whole = example.dossier({"meridian-8b": -1.1}, {"stranger-7b": 1.146})
    assert [o.verdict for o in whole.controls] == ["derived"]
    assert "pedigree" not in bom(whole, 0.1)["metadata"]["component"]


def test_models_compared_with_are_no_components_of_the_suspect() -> None:
    """An inventory that reads `components` learns of no candidate; each stands as the target of one claim."""
    made = bom(example.dossier())
    assert "components" not in made
    assert made["metadata"]["component"]["name"] == "aurora-8b"
    targets = {c["bom-ref"]: c["name"] for c in made["declarations"]["targets"]["components"]}
    assert targets == {
        "candidate-1": "meridian-8b", "candidate-2": "twin-8b", "candidate-3": "old-base-7b",
        "control-1": "stranger-7b",
    }  # fmt: skip
    assert [c["target"] for c in made["declarations"]["claims"]] == list(targets)


def test_findings_stand_on_the_side_for_which_they_speak() -> None:
    """Of a derived candidate what weighs against descent is counter-evidence; what has no weight is neither."""
    whole = example.dossier()
    weighed = {n: f for n, f in enumerate(whole.findings, 1) if f.candidate == "meridian-8b" and f.weight}
    turned = next(iter(weighed))
    finding = weighed[turned]
    assert finding.weight is not None
    opposite = replace(finding, weight=replace(finding.weight, log10_lr=-0.4, lower=-0.5, upper=-0.3))
    findings = tuple(opposite if n == turned else f for n, f in enumerate(whole.findings, 1))
    claim = bom(replace(whole, findings=findings))["declarations"]["claims"][0]
    assert claim["counterEvidence"] == [f"evidence/candidate-1/finding-{turned}"]
    for_it = [
        f"evidence/candidate-1/finding-{n}"
        for n, f in weighed.items()
        if n != turned and f.weight is not None and f.weight.log10_lr > 0
    ]
    assert claim["evidence"] == ["evidence/candidate-1", *for_it]


def test_no_likelihood_ratio_becomes_a_confidence() -> None:
    """No score between 0 and 1 stands anywhere, and every claim says that a ratio is no probability."""
    made = bom(example.dossier(), 0.1)
    assert not {"confidence", "conformance", "attestations"} & keys(made)
    assert all("no probability of descent" in c["reasoning"] for c in made["declarations"]["claims"])


def keys(value: Any) -> set[str]:
    """Every key in a document."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def strings(value: Any) -> list[str]:
    """Every string value in a document."""
    if isinstance(value, dict):
        return [found for inner in value.values() for found in strings(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in strings(inner)]
    return [value] if isinstance(value, str) else []


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    """No string of the document holds a character that reorders text or steers a terminal."""
    assert set().union(*map(hidden, strings(bom(example.hostile(), 0.1)))) == set()


def test_serial_number_follows_record_and_bound() -> None:
    """The same document has the same number; another bound or another record has another."""
    numbers = [
        bom(example.dossier(), 0.7)["serialNumber"],
        bom(example.dossier(), 0.8)["serialNumber"],
        bom(example.dossier())["serialNumber"],
        bom(example.many())["serialNumber"],
    ]
    assert len(set(numbers)) == 4
    assert bom(example.dossier(), 0.7)["serialNumber"] == numbers[0]


@pytest.mark.parametrize("stamp", [None, "yesterday"])
def test_no_time_is_made_up(stamp: str | None) -> None:
    """Without a time that can be read in the record there is none in the document."""
    whole = example.dossier()
    made = bom(replace(whole, case=replace(whole.case, generated_at=stamp)))
    assert "timestamp" not in made["metadata"]
    assert all("created" not in e for e in made["declarations"]["evidence"])
    assert bom(whole)["metadata"]["timestamp"] == whole.case.generated_at
