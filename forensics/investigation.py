"""The orchestrator: every probe to every pair; read, compare, weigh, conclude. It knows no probe by name."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from forensics.archive import decode, encode, plain, settled
from forensics.case import Request
from forensics.certificates import Certificate
from forensics.certifying import certify
from forensics.entering import finding, instrument
from forensics.errands import Errands, each
from forensics.errors import CheckpointError
from forensics.evidence import weighing
from forensics.evidence.among import CandidatePair, among
from forensics.evidence.claims import set_against
from forensics.gather import Gatherer, Watch
from forensics.joint import compare_all, compare_among
from forensics.readings import Outcome
from forensics.reads import Read
from forensics.records import Case, Dossier, Environment, Finding, JointFinding, Problem, Tool
from forensics.registry import OURS, Registry
from forensics.remembered import Memory
from forensics.repositories import Repositories

PACKAGES = (
    "numpy", "scipy", "torch", "transformers", "tokenizers", "pluggy", "pydantic",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigated:
    """A finished case: the record, and how long its parts took (not part of the record)."""

    dossier: Dossier
    seconds: Mapping[str, float]
    digests: Mapping[str, str] = field(default_factory=dict)
    """By label: whether a checkpoint was read in this run or is remembered (not part of the record)."""
    confined: Mapping[str, bool | str] = field(default_factory=dict)
    """What workers could give up on this machine (not part of the record)."""
    fetched: Mapping[str, Any] = field(default_factory=dict)
    """What was fetched from hubs (not part of the record); empty without."""
    started: str = ""
    """When, in UTC (not part of the record)."""
    notes: tuple[Problem, ...] = ()
    """What the user should know of this run and the record does not hold."""


class Silence:
    """A watch that tells nobody."""

    def reading(self, label: str, done: int, total: int) -> None:
        """Ignored."""

    def examining(self, probe: str, candidate: str) -> None:
        """Ignored."""


def version() -> str:
    """Version of the installed distribution."""
    return metadata.version(OURS)


def investigate(request: Request, registry: Registry, watch: Watch | None = None) -> Investigated:
    """Runs the whole case. CheckpointError where the suspect, or every candidate, cannot be read."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    request.checked()
    offered = registry.chosen(request.probes, request.parameters, quick=request.quick)
    offered_references, refused = weighing.accepted(registry.calibrations())
    registry.problems += [
        Problem(where="calibrations", code="PLUGIN_FAILED", message=e.message) for e in refused
    ]
    reference = weighing.load_reference(offered_references, request.calibrations)
    with tempfile.TemporaryDirectory(prefix="forensics-") as scratch:
        errands = Errands(request=request, hub=Repositories(token_env=request.token_env))
        memory = Memory.of(request, registry.readers(), offered, Path(scratch), errands.hub.see)
        gatherer = Gatherer(
            request=request,
            offered=offered,
            scratch=Path(scratch),
            watch=_Told(registry, watch or Silence()),
            errands=errands,
            memory=memory,
        )
        found = _gathered(gatherer, reference)
    for one in found.findings:
        registry.notify("forensics_finding", finding=one)
    # As it reads from the file, so that the first report and every later one are the same function of the same record.
    return Investigated(
        dossier=decode(encode(_dossier(request, registry, reference, found))),
        seconds=errands.seconds,
        digests=gatherer.digests,
        confined=errands.confined,
        fetched=errands.hub.notes(),
        started=started,
        notes=tuple(memory.notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """What the workers of a case brought."""

    probes: tuple[str, ...]
    """Ids of those that were put."""
    reads: list[Read]
    """The suspect's first."""
    findings: list[Finding]
    joint: tuple[JointFinding, ...]
    pairs: tuple[CandidatePair, ...]
    certificates: tuple[Certificate, ...]
    noted: tuple[Problem, ...]
    """What went wrong in the self-test, and candidates that were not compared with each other."""


def _gathered(gatherer: Gatherer, reference: weighing.Reference) -> _Gathered:
    """Reads every subject, compares, tries the instruments. CheckpointError as `investigate` says."""
    offered = gatherer.offered
    reads = gatherer.read_all()
    suspect, others = reads[0], reads[1:]
    _require_readable(suspect, others)
    findings = [
        finding(offered[probe], other.named.label, outcome, gatherer.precisions_of(probe, suspect, other))
        for other, outcomes in zip(
            others, each(lambda one: gatherer.compare(suspect, one), others), strict=True
        )
        for probe, outcome in outcomes.items()
    ]
    certificates, noted = certify(gatherer, others, reference)
    candidates = [other for other in others if other.role == "candidate"]
    joint: list[JointFinding] = [
        settled(JointFinding(probe=instrument(offered[probe]), candidates=labels, outcome=outcome))
        for probe, (labels, outcome) in compare_all(gatherer, suspect, candidates).items()
    ]
    compared, left = compare_among(gatherer, candidates)
    return _Gathered(
        probes=tuple(offered),
        reads=reads,
        findings=findings,
        joint=tuple(joint),
        pairs=tuple(_pair(gatherer, *one) for one in compared),
        certificates=certificates,
        noted=(*noted, *left),
    )


def _pair(gatherer: Gatherer, first: Read, second: Read, outcomes: Mapping[str, Outcome]) -> CandidatePair:
    """Two candidates with their findings, for the weighing."""
    label = second.named.label
    found = tuple(finding(gatherer.offered[probe], label, outcome) for probe, outcome in outcomes.items())
    return CandidatePair(first=first.subject, second=second.subject, findings=found)


def _dossier(
    request: Request, registry: Registry, reference: weighing.Reference, found: _Gathered
) -> Dossier:
    """The record: what was found, weighed."""
    case = Case(
        id=request.case_id,
        suspect=found.reads[0].named.label,
        candidates=tuple(n.label for n in request.candidates),
        controls=tuple(n.label for n in request.controls),
        probes=found.probes,
        generated_at=request.generated_at,
    )
    alarms = tuple(alarm for certificate in found.certificates for alarm in certificate.alarms)
    weighed = weighing.weigh(
        found.findings, [r.subject for r in found.reads], case, reference, found.joint, alarms
    )
    weighed = among(weighed, found.pairs, reference, found.joint, alarms)
    return Dossier(
        tool=Tool(name=OURS, version=version()),
        case=case,
        subjects=tuple(r.subject for r in found.reads),
        findings=weighed.findings,
        opinions=weighed.opinions,
        controls=weighed.controls,
        joint=found.joint,
        candidate_relations=weighed.candidate_relations,
        claims=set_against(found.reads[0].subject, [r.subject for r in found.reads[1:]], weighed.opinions),
        problems=(*_problems(registry, found.reads), *found.noted),
        certificates=found.certificates,
        exhibits=request.filed.exhibits,
        statements=request.filed.statements,
        environment=_environment(registry, weighed),
    )


def _environment(registry: Registry, weighed: weighing.Weighed) -> Environment:
    """What can change a reading or its weight, besides the inputs."""
    return Environment(
        python=platform.python_version(),
        packages=_packages(),
        plugins=registry.origins,
        populations=weighed.populations,
        verbal_scale=weighed.verbal_scale,
    )


class _Told:
    """Passes progress to the watch and to observing plugins."""

    def __init__(self, registry: Registry, watch: Watch) -> None:
        self._registry = registry
        self._watch = watch

    def reading(self, label: str, done: int, total: int) -> None:
        self._watch.reading(label, done, total)
        self._registry.notify("forensics_reading", location=label, done=done, total=total)

    def examining(self, probe: str, candidate: str) -> None:
        self._watch.examining(probe, candidate)
        self._registry.notify("forensics_examining", probe=probe, candidate=candidate)


def _require_readable(suspect: Read, others: list[Read]) -> None:
    if suspect.error:
        raise suspect.error
    candidates = [o for o in others if o.role == "candidate"]
    if all(c.error for c in candidates):
        error = candidates[0].error
        assert isinstance(error, CheckpointError)
        raise error


def _problems(registry: Registry, reads: list[Read]) -> tuple[Problem, ...]:
    """Plugins' problems, then each subject's, each once, in the order of the case."""
    found = list(registry.problems)
    for read in reads:
        found += [Problem(where=read.named.label, code=p.code, message=p.message) for p in read.problems]
        if read.error:
            found.append(Problem(where=read.named.label, code=read.error.code, message=read.error.message))
    return tuple({repr(plain(p)): p for p in found}.values())


def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
