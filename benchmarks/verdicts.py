"""What the verdict's rules say of every labelled pair of the zoo: `python -m benchmarks.verdicts`.

The whole way of a case behind the comparing: weigh, conclude, from the readings that `measure_pairs` makes. They are
kept (`zoo/pairs.jsonl.gz`), so that with `--kept` the rules are put to them again without a checkpoint. The fusion was
fitted on these very pairs: this is a test of the rules (groups, layers, coverage, signs), not of the likelihood ratio,
whose out-of-fold figures stand in the reference file. A single unrelated pair that comes out `derived` ends it with
status 1.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import kept
from benchmarks.calibrate import read_manifest
from benchmarks.measure_pairs import bench_for, measured
from forensics.evidence import weighing

KEPT = Path(__file__).parent / "zoo" / "pairs.jsonl.gz"
VERDICTS = ("derived", "inconclusive", "independent")


def measured_anew(given: argparse.Namespace) -> kept.Kept:
    """Every labelled pair of a zoo, and the file of them written."""
    zoo = read_manifest(given.zoo)
    bench = bench_for(given.zoo, given.cache or given.zoo / "measured")
    found = kept.of_bench(bench, measured(bench, zoo.pairs, given.jobs))
    kept.write(KEPT, found)
    return found


def table(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """Verdicts by stratum, then the two counts that matter."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for line in judged:
        counts[line["label"], line["stratum"]][line["opinion"].verdict] += 1
    rows = [
        f"{label:10} {stratum:28} {', '.join(f'{verdict} {found[verdict]}' for verdict in VERDICTS)}"
        for (label, stratum), found in sorted(counts.items())
    ]
    for label, said in (("derived", "derived pairs found"), ("unrelated", "false accusations")):
        both = [c for (own, _), c in counts.items() if own == label]
        rows.append(f"{said}: {sum(c['derived'] for c in both)} of {sum(c.total() for c in both)}")
    return rows


def main() -> int:
    """Prints verdicts by stratum, every pair that was missed, and every false accusation."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--zoo", type=Path, default=Path(__file__).parent / "zoo" / "checkpoints")
    arguments.add_argument("--cache", type=Path, default=None)
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--kept", action="store_true", help=f"judge the pairs in {KEPT.name} anew")
    given = arguments.parse_args()
    found = kept.load(KEPT) if given.kept else measured_anew(given)
    judged = found.judged(weighing.load_reference())
    for line in judged:
        verdict = line["opinion"].verdict
        wrong = (line["label"], verdict) in {("derived", "independent"), ("unrelated", "derived")}
        if wrong or (line["label"] == "derived" and verdict != "derived"):
            mark, why = "WRONG" if wrong else "missed", line["opinion"].because
            print(f"{mark}: {line['suspect']} of {line['candidate']}: {verdict}: {why}")
    print("\n".join(table(judged)))
    accused = any((line["label"], line["opinion"].verdict) == ("unrelated", "derived") for line in judged)
    return 1 if accused else 0


if __name__ == "__main__":
    raise SystemExit(main())
