"""An in-toto Statement (v1) about the suspect's weight files, with a predicate of our own.

No predicate of the in-toto attestation framework fits: verification summaries and test results say that something
passed. Nothing is signed.
"""

from __future__ import annotations

from forensics.emitting.emission import RECORD, Compared, Emission, as_json, is_sha256, weights
from forensics.emitting.predicate import (
    PREDICATE,
    Digest,
    ExactTest,
    Finding,
    LikelihoodRatio,
    Model,
    Predicate,
    Program,
    ReferencePopulation,
    Resource,
    plain,
)
from forensics.errors import ReportError
from forensics.records import Subject

STATEMENT = "https://in-toto.io/Statement/v1"


def document(emission: Emission) -> bytes:
    """The statement; ReportError where no weight file of the suspect was hashed, since it would be about nothing."""
    examined = _weights(emission.suspect)
    if not examined:
        raise ReportError(
            "an in-toto statement names the suspect's weights by digest, and the record holds no digest of a file "
            "of weights",
            "emit it of a case in which the suspect was read whole, from its files",
        )
    predicate = plain(_predicate(emission))
    subjects = [{"name": f.name, "digest": {"sha256": f.digest.sha256}} for f in examined]
    return as_json(
        {"_type": STATEMENT, "subject": subjects, "predicateType": PREDICATE, "predicate": predicate}
    )


def _weights(subject: Subject) -> tuple[Resource, ...]:
    return tuple(Resource(name=f.name, digest=Digest(sha256=f.sha256)) for f in weights(subject))


def _model(subject: Subject) -> Model:
    return Model(
        label=subject.label,
        form=subject.form,
        files_digest=subject.digest if is_sha256(subject.digest) else "",
        commit=subject.commit,
        weights=_weights(subject),
    )


def _finding(compared: Compared) -> Finding:
    said, ratio, exact = compared.opinion, None, None
    if said.log10_lr is not None:
        ratio = LikelihoodRatio(
            log10_lr=said.log10_lr, lower=said.lower, upper=said.upper, cap=said.cap, population=said.population,
            cllr=said.cllr, words=said.band,
        )  # fmt: skip
    if said.exact is not None:
        exact = ExactTest(
            p=said.exact.p, p_holm=said.exact.p_holm, null_hypothesis=said.exact.null_hypothesis,
            method=said.exact.method,
        )  # fmt: skip
    return Finding(
        model=_model(compared.subject), verdict=said.verdict, relation=said.relation, direction=said.direction,
        likelihood_ratio=ratio, exact_test=exact, coverage=said.coverage, because=said.because,
        not_meaning=said.not_meaning,
    )  # fmt: skip


def _predicate(emission: Emission) -> Predicate:
    dossier = emission.dossier
    found = {c.reference: _finding(c) for c in emission.compared()}
    populations = (
        ReferencePopulation(
            id=p.id, description=p.description, digest=Digest(sha256=p.sha256), families=p.families,
            derived_pairs=p.derived_pairs, unrelated_pairs=p.unrelated_pairs,
        )
        for p in dossier.environment.populations
    )  # fmt: skip
    return Predicate(
        tool=Program(name=dossier.tool.name, version=dossier.tool.version),
        case_id=dossier.case.id,
        generated_at=emission.moment,
        record=Resource(name=RECORD, digest=Digest(sha256=emission.digest)),
        suspect=_model(emission.suspect),
        candidates=tuple(f for name, f in found.items() if name.startswith("candidate")),
        controls=tuple(f for name, f in found.items() if name.startswith("control")),
        populations=tuple(populations),
        verbal_scale=dossier.environment.verbal_scale,
    )
