"""What the verdict's rules say of every labelled pair of the zoo: `python -m benchmarks.verdicts`.

The whole way of a case behind the comparing: weigh, conclude, from the readings that `measure_pairs` keeps. The fusion
was fitted on these very pairs, so this is a test of the rules (groups, layers, coverage, signs), not of the likelihood
ratio, whose out-of-fold figures stand in the reference file. A single unrelated pair that comes out `derived` ends
it with status 1.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.calibrate import read_manifest
from benchmarks.measure_pairs import Bench, bench_for, measured
from forensics import sketches
from forensics.evidence import weighing
from forensics.readings import Abstention, Exact, Group, Measurement, Outcome, Reason, Sign, SignKind
from forensics.records import Case, Finding, Opinion, Origin, ProbeUsed, Subject


@lru_cache(maxsize=256)
def subject_of(book: Path) -> Subject:
    """The record of a sketched checkpoint."""
    return sketches.load(book).subject


def judge(bench: Bench, line: Mapping[str, Any], reference: weighing.Reference) -> Opinion:
    """The opinion on one measured pair, as a case with one candidate would give it."""
    suspect, candidate = (subject_of(bench.book(line[side])) for side in ("suspect", "candidate"))
    origin = Origin(distribution="model-forensics", version="", sha256="", bundled=True)
    width = min(s.architecture.width for s in (suspect, candidate) if s.architecture is not None)
    findings = []
    for probe in bench.probes():
        used = ProbeUsed(
            id=probe.id, version=probe.version, title="", measures="", parameters={}, origin=origin
        )
        outcome = _outcome(line["readings"][probe.id], width)
        findings.append(Finding(probe=used, candidate="candidate", outcome=outcome))
    subjects = [
        replace(suspect, label="suspect", role="suspect"),
        replace(candidate, label="candidate", role="candidate"),
    ]
    case = Case(id="", suspect="suspect", candidates=("candidate",))
    return weighing.weigh(findings, subjects, case, reference).opinions[0]


def _outcome(reading: Mapping[str, Any], width: int) -> Outcome:
    """As much of a measurement as the weighing looks at, or an abstention."""
    if "none" in reading:
        return Abstention(reason=Reason.NOT_COMPARABLE, detail=str(reading["none"]))
    p = reading["p"]
    return Measurement(
        value=reading["value"],
        quantity="",
        summary="",
        group=None if reading["group"] is None else Group(reading["group"]),
        layers=tuple(reading["layers"]),
        exact=None if p is None else Exact(p=p, null_hypothesis="", method=""),
        facts={"width": width},
        signs=tuple(Sign(sign=SignKind(kind), detail="seen when measured") for kind in reading["signs"]),
    )


def main() -> int:
    """Prints verdicts by stratum, every pair that was missed, and every false accusation."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--zoo", type=Path, default=Path(__file__).parent / "zoo" / "checkpoints")
    arguments.add_argument("--cache", type=Path, default=None)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = arguments.parse_args()
    zoo = read_manifest(given.zoo)
    bench = bench_for(given.zoo, given.cache or given.zoo / "measured")
    reference = weighing.load_reference()
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    accused = 0
    for line in measured(bench, zoo.pairs, given.jobs):
        opinion = judge(bench, line, reference)
        counts[line["label"], line["stratum"]][opinion.verdict] += 1
        wrong = (line["label"], opinion.verdict) in {("derived", "independent"), ("unrelated", "derived")}
        accused += (line["label"], opinion.verdict) == ("unrelated", "derived")
        if wrong or (line["label"] == "derived" and opinion.verdict != "derived"):
            mark = "WRONG" if wrong else "missed"
            print(f"{mark}: {line['suspect']} of {line['candidate']}: {opinion.verdict}: {opinion.because}")
    for (label, stratum), verdicts in sorted(counts.items()):
        told = ", ".join(
            f"{verdict} {verdicts[verdict]}" for verdict in ("derived", "inconclusive", "independent")
        )
        print(f"{label:10} {stratum:28} {told}")
    print(
        f"false accusations: {accused} of {sum(sum(c.values()) for (k, _), c in counts.items() if k == 'unrelated')}"
    )
    return 1 if accused else 0


if __name__ == "__main__":
    raise SystemExit(main())
