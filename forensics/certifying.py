"""The self-test of a case: twins of a candidate in a confined worker, judged by the rule that judges the case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from forensics.archive import restored
from forensics.certificates import Certificate, Twin
from forensics.evidence.library import Reference
from forensics.evidence.twin_rules import alarms, judged_probes, tested
from forensics.gather import Gatherer
from forensics.readings import Failure, Outcome
from forensics.reads import Read
from forensics.records import Problem
from forensics.registry import Offered
from forensics.twins.kinds import KINDS

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
    heard, not_made = _heard(gatherer, chosen, put)
    twins = tuple(
        _judged(heard.get(k.name, {}), not_made.get(k.name, ""), k.name, gatherer.offered, put, reference)
        for k in KINDS
    )
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


def _judged(
    outcomes: Mapping[str, Outcome],
    not_made: str,
    name: str,
    offered: Mapping[str, Offered],
    put: list[str],
    reference: Reference,
) -> Twin:
    kind = next(kind for kind in KINDS if kind.name == name)
    twin = Twin(name=name, made=kind.made, gauges=kind.gauges, kin=kind.kin, not_made=not_made)
    if not_made:
        return twin
    versions = {} if reference.table is None else reference.table.versions
    silent = Failure(error="no-answer", detail="the worker gave no outcome")
    tests = []
    for probe in put:
        one = offered[probe]
        known = one.standard and versions.get(probe) in {None, one.probe.version}
        outcome = outcomes.get(probe, silent)
        blind = tuple(one.probe.blind_to)
        tests.append(tested(probe, outcome, twin, blind_to=blind, reference=reference, calibrated=known))
    return replace(twin, tests=tuple(tests))


def _heard(
    gatherer: Gatherer, chosen: Read, put: list[str]
) -> tuple[dict[str, dict[str, Outcome]], dict[str, str]]:
    """By twin: every probe's outcome, and why there is no such twin."""
    label, names = chosen.named.label, [kind.name for kind in KINDS]
    heard: dict[str, dict[str, Outcome]] = {name: {} for name in names}
    not_made: dict[str, str] = {}
    done: set[str] = set()
    errors: list[str] = []

    def listen(message: Mapping[str, Any]) -> None:
        name = message.get("twin")
        if "error" in message:
            errors.append(str(message["error"].get("message")))
        if name not in names:
            return
        if "progress" in message:
            at, total = message["progress"]
            gatherer.watch.reading(f"{label} ({name} twin)", int(at), int(total))
        elif "not_made" in message:
            not_made[name] = str(message["not_made"])[:300]
        elif message.get("probe") in put:
            heard[name][message["probe"]] = restored(Outcome, message["outcome"])
        elif message.get("made"):
            done.add(name)

    job = gatherer.errands.job(
        "self-test",
        put,
        location=chosen.location,
        label=label,
        candidate=[str(path) for path in chosen.sketches],
        seed=int(chosen.subject.digest[:12] or "0", 16),
    )
    limit = gatherer.errands.reading_limit(chosen.location) * len(KINDS)
    end = gatherer.errands.run(job, what=f"self-test {label}", limit=limit, listen=listen) if put else None
    why = "no probe of this case can be put to it" if end is None else end.detail or "; ".join(errors)
    for name in names:
        if name not in done and name not in not_made:
            not_made[name] = f"the worker ended before it was through ({why or 'it gave no reason'})"[:300]
    return heard, not_made
