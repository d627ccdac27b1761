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
from forensics.readings import Exact
from forensics.records import Opinion, Subject

STATEMENT = "https://in-toto.io/Statement/v1"


def document(emission: Emission) -> bytes:
    """The statement; ReportError where this case hashed no weight file of the suspect: it would be about nothing.

    The digests in a sketch are the word of whoever made it, and nobody may have a statement made about others' files.
    """
    if emission.suspect.form == "sketch":
        raise ReportError(
            "the suspect was a sketch, and an in-toto statement is about weights that this case has read",
            "emit it of a case about the checkpoint itself",
        )
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


def _ratio(said: Opinion) -> LikelihoodRatio | None:
    if said.log10_lr is None:
        return None
    return LikelihoodRatio(
        log10_lr=said.log10_lr, lower=said.lower, upper=said.upper, cap=said.cap, population=said.population,
        cllr=said.cllr, words=said.band,
    )  # fmt: skip


def _exact(found: Exact | None) -> ExactTest | None:
    if found is None:
        return None
    return ExactTest(
        p=found.p, p_holm=found.p_holm, null_hypothesis=found.null_hypothesis, method=found.method
    )


def _finding(compared: Compared) -> Finding:
    said = compared.opinion
    return Finding(
        model=_model(compared.subject), verdict=said.verdict, relation=said.relation, direction=said.direction,
        likelihood_ratio=_ratio(said), exact_test=_exact(said.exact), coverage=said.coverage, because=said.because,
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
