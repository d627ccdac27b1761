"""The self-test of a case: twins of a candidate in a confined worker, judged by the rule that judges the case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forensics.archive import restored
from forensics.certificates import Certificate, Twin
from forensics.evidence.library import Reference
from forensics.evidence.twin_rules import alarms, judged_probes, tested
from forensics.gather import Gatherer, Watch
from forensics.readings import Failure, Outcome
from forensics.reads import Read
from forensics.records import Problem
from forensics.registry import Offered
from forensics.twins.kinds import KINDS, Kind

NOBODY = "no candidate was read from weights of its own, so no twins could be made"


def certify(
    gatherer: Gatherer, others: Iterable[Read], reference: Reference
) -> tuple[tuple[Certificate, ...], list[Problem]]:
    """The certificate of the first candidate that was read from weights of its own, where the case asks for one.

    One is enough: twins show whether the instruments work at this scale, and candidates of a case are of one scale or
    have little to do with each other. What could not be made is said in the certificate.
    """
    if not gatherer.request.self_test:
        return (), []
    readable = (r for r in others if r.role == "candidate" and not r.error and r.subject.form == "checkpoint")
    chosen = next(readable, None)
    if chosen is None:
        return (), [Problem(where="self-test", code="SELF_TEST", message=NOBODY)]
    made = _certificate(gatherer, chosen, reference)
    label = chosen.named.label
    return (made,), [Problem(where=label, code="SELF_TEST", message=alarm) for alarm in made.alarms]


def _certificate(gatherer: Gatherer, chosen: Read, reference: Reference) -> Certificate:
    put = [
        i for i in gatherer.sketching() if i not in chosen.absent and _is_put(gatherer.offered[i], reference)
    ]
    hearing = _heard(gatherer, chosen, put)
    twins = tuple(_judged(kind, hearing, gatherer.offered, reference) for kind in KINDS)
    label = chosen.named.label
    return Certificate(
        candidate=label,
        digest=chosen.subject.digest,
        twins=twins,
        untested=tuple(i for i in gatherer.offered if i not in put),
        alarms=alarms(label, twins),
    )


def _is_put(offered: Offered, reference: Reference) -> bool:
    """Whether a probe is put to twins: bundled, without a worker of its own, and able to speak."""
    return (
        offered.origin.bundled and not offered.probe.isolated and offered.probe.id in judged_probes(reference)
    )


def _judged(kind: Kind, hearing: _Hearing, offered: Mapping[str, Offered], reference: Reference) -> Twin:
    """One twin with every probe's answer."""
    not_made = hearing.not_made.get(kind.name, "")
    twin = Twin(name=kind.name, made=kind.made, gauges=kind.gauges, kin=kind.kin, not_made=not_made)
    if not_made:
        return twin
    versions = {} if reference.table is None else reference.table.versions
    silent = Failure(error="no-answer", detail="the worker gave no outcome")
    tests = []
    for probe in hearing.put:
        one = offered[probe]
        outcome = hearing.outcomes[kind.name].get(probe, silent)
        known = one.standard and versions.get(probe) in {None, one.probe.version}
        blind = tuple(one.probe.blind_to)
        tests.append(tested(probe, outcome, twin, blind_to=blind, reference=reference, calibrated=known))
    return replace(twin, tests=tuple(tests))


@dataclass(slots=True, kw_only=True)
class _Hearing:
    """What the worker said so far."""

    label: str
    put: list[str]
    watch: Watch
    outcomes: dict[str, dict[str, Outcome]] = field(default_factory=lambda: {k.name: {} for k in KINDS})
    """By twin, then by probe."""
    not_made: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def take(self, message: Mapping[str, Any]) -> None:
        """One answer of the worker."""
        if "error" in message:
            self.errors.append(str(message["error"].get("message")))
        name = str(message.get("twin"))
        if name not in self.outcomes:
            return
        if "progress" in message:
            at, total = message["progress"]
            self.watch.reading(f"{self.label} ({name} twin)", int(at), int(total))
        elif "not_made" in message:
            self.not_made[name] = str(message["not_made"])[:300]
        elif message.get("probe") in self.put:
            self.outcomes[name][message["probe"]] = restored(Outcome, message["outcome"])
        elif message.get("made"):
            self.done.add(name)


def _heard(gatherer: Gatherer, chosen: Read, put: list[str]) -> _Hearing:
    """Every probe's outcome on every twin, and why there is no such twin."""
    label = chosen.named.label
    hearing = _Hearing(label=label, put=put, watch=gatherer.watch)
    job = gatherer.errands.job(
        "self-test",
        put,
        location=chosen.location,
        label=label,
        candidate=[str(path) for path in chosen.sketches],
        seed=int(chosen.subject.digest[:12] or "0", 16),
    )
    why = "no probe of this case can be put to it"
    if put:
        limit = gatherer.errands.reading_limit(chosen.location) * len(KINDS)
        end = gatherer.errands.run(job, what=f"self-test {label}", limit=limit, listen=hearing.take)
        why = end.detail or "; ".join(hearing.errors) or "it gave no reason"
    for kind in KINDS:
        if kind.name not in hearing.done:
            hearing.not_made.setdefault(kind.name, f"the worker ended before it was through ({why})"[:300])
    return hearing
