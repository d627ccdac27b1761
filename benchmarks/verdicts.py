"""What the verdict's rules say of every labelled pair of the zoo: `python -m benchmarks.verdicts`.

The whole way of a case behind the reading: compare, weigh, conclude. The fusion was fitted on these very pairs, so
this is a test of the rules (groups, layers, coverage, signs), not of the likelihood ratio, whose out-of-fold
figures stand in the reference file. A single unrelated pair that comes out `derived` ends it with status 1.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks.calibrate import read_manifest
from benchmarks.measure_pairs import Bench, bench_for, sketch_one
from forensics import sketches
from forensics.evidence import weighing
from forensics.records import Case, Finding, Opinion, Origin, ProbeUsed
from forensics.worker import compared


def judge(bench: Bench, pair: Mapping[str, str]) -> tuple[Mapping[str, str], Opinion]:
    """The opinion on one pair, as a case with one candidate would give it."""
    suspect, candidate = (sketches.load(bench.book(pair[side])) for side in ("suspect", "candidate"))
    origin = Origin(distribution="model-forensics", version="", sha256="", bundled=True)
    findings = []
    for probe in bench.probes():
        used = ProbeUsed(
            id=probe.id, version=probe.version, title="", measures="", parameters={}, origin=origin
        )
        outcome = compared(probe, suspect.sketches.get(probe.id), candidate.sketches.get(probe.id))
        findings.append(Finding(probe=used, candidate="candidate", outcome=outcome))
    subjects = [
        replace(suspect.subject, label="suspect", role="suspect"),
        replace(candidate.subject, label="candidate", role="candidate"),
    ]
    case = Case(id="", suspect="suspect", candidates=("candidate",))
    return pair, weighing.weigh(findings, subjects, case, weighing.load_reference()).opinions[0]


def main() -> int:
    """Prints verdicts by stratum, every pair that was missed, and every false accusation."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--zoo", type=Path, default=Path(__file__).parent / "zoo" / "checkpoints")
    arguments.add_argument("--cache", type=Path, default=None)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = arguments.parse_args()
    zoo = read_manifest(given.zoo)
    bench = bench_for(given.zoo, given.cache or given.zoo / "measured")
    os.environ["OMP_NUM_THREADS"] = "1"
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    accused = 0
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        list(pool.map(sketch_one, [bench] * len(zoo.checkpoints), zoo.checkpoints))
        for pair, opinion in pool.map(judge, [bench] * len(zoo.pairs), zoo.pairs, chunksize=4):
            counts[pair["label"], pair["stratum"]][opinion.verdict] += 1
            wrong = (pair["label"], opinion.verdict) in {("derived", "independent"), ("unrelated", "derived")}
            accused += (pair["label"], opinion.verdict) == ("unrelated", "derived")
            if wrong or (pair["label"] == "derived" and opinion.verdict != "derived"):
                mark = "WRONG" if wrong else "missed"
                print(
                    f"{mark}: {pair['suspect']} of {pair['candidate']}: {opinion.verdict}: {opinion.because}"
                )
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
