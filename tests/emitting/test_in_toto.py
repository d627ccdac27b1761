"""The statement: read by in-toto's own library, kept to its published schema, about what was examined alone."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from jsonschema import Draft202012Validator

from forensics.emitting import emitted, predicate
from forensics.errors import ReportError
from forensics.records import Dossier, FileSeen
from forensics.subjects import OTHER_WEIGHTS
from tests.emitting.cases import ALL, record
from tests.report import example

DIGEST = "5" * 64


def statement(dossier: Dossier) -> dict[str, Any]:
    """What is emitted, read as plain JSON."""
    return json.loads(emitted("in-toto", record(dossier)))


def with_files(*files: FileSeen) -> Dossier:
    """A case whose suspect consists of these files."""
    whole = example.dossier()
    suspect = replace(whole.subjects[0], files=files)
    return replace(whole, subjects=(suspect, *whole.subjects[1:]))


@pytest.mark.parametrize("name", ALL)
def test_in_totos_library_accepts_it(name: str) -> None:
    """The attestation library parses and validates every statement, hostile names and all."""
    parsed = json_format.Parse(
        emitted("in-toto", record(ALL[name])).decode("ascii"), statement_pb2.Statement()
    )
    Statement.copy_from_pb(parsed).validate()
    assert parsed.predicate_type == predicate.PREDICATE


@pytest.mark.parametrize("name", ALL)
def test_the_predicate_keeps_the_published_schema(name: str) -> None:
    """Whatever the case, the predicate validates against the schema in the package, which is the generated one."""
    published = json.loads(
        resources.files("forensics.emitting").joinpath("lineage-findings.schema.json").read_text("utf-8")
    )
    assert published == predicate.schema()
    Draft202012Validator.check_schema(published)
    made = statement(ALL[name])["predicate"]
    assert list(Draft202012Validator(published).iter_errors(made)) == []
    made["candidates"][0]["verdict"] = "guilty"
    assert list(Draft202012Validator(published).iter_errors(made))


def test_it_says_what_the_record_says() -> None:
    """Verdict, ratio with interval and cap, population and the record's digest are those of the dossier."""
    dossier = example.dossier()
    made = statement(dossier)["predicate"]
    for found, opinion in zip(made["candidates"], dossier.opinions, strict=True):
        ratio = found["likelihoodRatio"]
        assert [found["model"]["label"], found["verdict"], found["relation"], found["direction"]] == [
            opinion.candidate, opinion.verdict, opinion.relation, opinion.direction,
        ]  # fmt: skip
        assert (ratio["log10Lr"], ratio["cap"]) == (pytest.approx(opinion.log10_lr), opinion.cap)
        assert (ratio["lower"], ratio["upper"]) == (
            pytest.approx(opinion.lower),
            pytest.approx(opinion.upper),
        )
        assert ratio["population"] == opinion.population
    assert [c["model"]["label"] for c in made["controls"]] == ["stranger-7b"]
    assert made["caseId"] == dossier.case.id
    assert {p["id"] for p in made["populations"]} == {"zoo-1", "mdgbench-1"}


def test_no_ratio_is_null_and_not_zero() -> None:
    """Where no calibrated probe could speak there is no number."""
    assert statement(example.sparse())["predicate"]["candidates"][0]["likelihoodRatio"] is None


def test_subjects_are_the_weights_that_were_examined() -> None:
    """No config, no training state, no weights that were passed over, and nothing whose digest is none."""
    made = statement(
        with_files(
            FileSeen(name="config.json", size=1, sha256=DIGEST),
            FileSeen(name="model.safetensors", size=1, sha256="a" * 64),
            FileSeen(name="sub/training_args.bin", size=1, sha256=DIGEST),
            FileSeen(name="pytorch_model.bin", size=1, sha256=DIGEST, note=OTHER_WEIGHTS),
            FileSeen(name="cut.safetensors", size=1, sha256=""),
            FileSeen(name="odd.gguf", size=1, sha256="no digest"),
        )
    )
    assert made["subject"] == [{"name": "model.safetensors", "digest": {"sha256": "a" * 64}}]
    assert made["predicate"]["suspect"]["weights"] == made["subject"]


def test_a_sketchs_word_is_not_stated() -> None:
    """The digests in a sketch are claims, so no statement about these files is made of it."""
    whole = example.dossier()
    sketched = replace(whole, subjects=(replace(whole.subjects[0], form="sketch"), *whole.subjects[1:]))
    with pytest.raises(ReportError, match="the suspect was a sketch"):
        emitted("in-toto", record(sketched))


def test_a_statement_about_nothing_is_refused() -> None:
    """Without a digest of weights there is a pointed error and no statement."""
    with pytest.raises(ReportError, match="names the suspect's weights by digest"):
        emitted("in-toto", record(with_files(FileSeen(name="model.safetensors", size=1, sha256=""))))
    with pytest.raises(ReportError, match="names the suspect's weights by digest"):
        emitted("in-toto", record(example.bare()))
