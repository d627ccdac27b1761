"""Measures a list of pairs: every checkpoint sketched once, every pair compared once, in workers as a case uses them.

What was done is kept as soon as it is done. A checkpoint or a pair that fails is told, costs itself only, and is
tried again by the next run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forensics.calibrating.keeping import Keeping, instruments, working
from forensics.calibrating.measured import Reading, add_line, failed, lines_of, reading
from forensics.calibrating.pairs import LabelledPair, LeftOut, Model, PairList
from forensics.case import Request
from forensics.errands import Errands, each
from forensics.errors import CheckpointError, ForensicsError
from forensics.evidence.library import load_reference
from forensics.gather import Gatherer, Watch
from forensics.reads import Read
from forensics.records import Subject
from forensics.registry import Offered, Registry
from forensics.repositories import Repositories
from forensics.vintage import vintage

Say = Callable[[str], None]
PERMUTATIONS_ONLY = frozenset({"draws"})
"""Fields of bundled probes that decide how finely an exact test resolves, and no reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was read of one pair."""

    pair: LabelledPair
    readings: Mapping[str, Reading]


@dataclass(slots=True, kw_only=True)
class Measured:
    """Everything that a calibration is made of."""

    lines: tuple[Line, ...]
    subjects: Mapping[str, Subject]
    """By model; only those that could be read."""
    left_out: list[LeftOut]
    offered: Mapping[str, Offered]
    insufficient: Mapping[str, str] = field(default_factory=dict)
    """Probes that cannot be calibrated from a first look, and why."""
    quick: bool = False


def instruments_for(registry: Registry, request: Request) -> tuple[dict[str, Offered], dict[str, str]]:
    """The probes to calibrate, and in a first look those that it does not suffice for.

    Without `--probes`: those that the bundled reference knows, and strangers'. What speaks of files rather than of
    weights has no calibration and gets none.
    """
    reference = load_reference()
    known = {*reference.calibrations, *(reference.table.probes if reference.table else ())}
    ids = request.probes or tuple(i for i, o in registry.probes.items() if i in known or not o.origin.bundled)
    offered, whole = registry.chosen(ids, {}, quick=request.quick), registry.chosen(ids, {})
    insufficient = {}
    for name, one in offered.items():
        if one.skipped:
            insufficient[name] = "it needs the whole reading pass"
        elif not _reads_alike(one, whole[name]):
            insufficient[name] = "its first look reads less than a case does"
    return {name: one for name, one in offered.items() if name not in insufficient}, insufficient


def _reads_alike(hurried: Offered, whole: Offered) -> bool:
    """Whether a probe's first look gives the value that its whole reading gives."""
    one, other = dict(hurried.probe.parameters()), dict(whole.probe.parameters())
    different = {name for name in {*one, *other} if one.get(name) != other.get(name)}
    return not different or (whole.origin.bundled and different <= PERMUTATIONS_ONLY)


def measure(
    listed: PairList, work: Path, request: Request, registry: Registry, watch: Watch, say: Say
) -> Measured:
    """Runs through the list. CaseError where the working folder cannot be used; checkpoints and pairs only fail."""
    offered, insufficient = instruments_for(registry, request)
    made_by = instruments(offered, vintage(registry.readers()), quick=request.quick)
    with working(work, made_by) as keeping, tempfile.TemporaryDirectory(prefix="forensics-") as scratch:
        errands = Errands(request=request, hub=Repositories(token_env=request.token_env))
        gatherer = Gatherer(
            request=request, offered=offered, scratch=Path(scratch), watch=watch, errands=errands
        )
        run = _Run(gatherer=gatherer, keeping=keeping, say=say)
        reads = run.read_all(listed.models)
        lines, failures = run.compare_all(listed.pairs, reads)
    return Measured(
        lines=tuple(lines),
        subjects={name: read.subject for name, (_, read) in reads.items() if read.error is None},
        left_out=[*listed.left_out, *failures],
        offered=offered,
        insufficient=insufficient,
        quick=request.quick,
    )


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run through a list."""

    gatherer: Gatherer
    keeping: Keeping
    say: Say

    def read_all(self, models: Mapping[str, Model]) -> dict[str, tuple[str, Read]]:
        """Every model with the name under which it is kept."""
        found: dict[str, tuple[str, Read]] = {}
        for (name, model), (kept, read) in zip(
            models.items(), each(self._read, models.values()), strict=True
        ):
            found[name] = kept, read
            told = f"not read: {read.error.message}" if read.error else f"read {model.named.label}"
            self.say(f"{len(found)}/{len(models)} {told}")
        return found

    def _read(self, model: Model) -> tuple[str, Read]:
        """A model as it was read before, or by a worker now; whatever goes wrong becomes its error."""
        named, read = model.named, Read.of(model.named, "suspect")
        try:
            location = self.gatherer.errands.location(named)
            if not named.hub and not os.path.exists(named.path):
                raise CheckpointError(f"{named.label}: no such file or folder", code="MISSING")
            name = self.keeping.name(named, self.gatherer.errands.hub.see(location, ""))
            earlier = self.keeping.kept(name, named, location)
            if earlier is not None:
                return name, earlier
            folder = self.keeping.place(name) if name else Path(tempfile.mkdtemp(dir=self.gatherer.scratch))
            read = replace(self.gatherer, scratch=folder).read(0, (named, "suspect"))
            self.keeping.keep(name, read)
        except (ForensicsError, OSError) as error:
            message = (
                error.message if isinstance(error, ForensicsError) else f"{named.label}: {error.strerror}"
            )
            read.error = CheckpointError(message, code=getattr(error, "code", "FAILED"))
            name = ""
        return name, read

    def compare_all(
        self, pairs: Iterable[LabelledPair], reads: Mapping[str, tuple[str, Read]]
    ) -> tuple[list[Line], list[LeftOut]]:
        """What every pair gave, in the order of the list, and the pairs that gave nothing."""
        known = {(str(line.get("suspect")), str(line.get("candidate"))): line.get("readings")
                 for line in lines_of(self.keeping.readings)}  # fmt: skip
        lines, left = [], []
        able = []
        for pair in pairs:
            error = next((e for m in (pair.suspect, pair.candidate) if (e := reads[m][1].error)), None)
            if error:
                left.append(LeftOut(suspect=pair.suspect, candidate=pair.candidate, reason=error.message))
            else:
                able.append(pair)

        def compared(pair: LabelledPair) -> tuple[bool, Any]:
            (mine, suspect), (theirs, candidate) = reads[pair.suspect], reads[pair.candidate]
            earlier = known.get((mine, theirs)) if mine and theirs else None
            return (
                (True, earlier)
                if _whole(earlier, self.gatherer.offered)
                else (False, self._compare(suspect, candidate))
            )

        for number, (pair, (before, found)) in enumerate(zip(able, each(compared, able), strict=True), 1):
            broken = [f"{p}: {r['none']}" for p, r in found.items() if failed(r)]
            names = [reads[m][0] for m in (pair.suspect, pair.candidate)]
            if not before and not broken and all(names):
                add_line(
                    self.keeping.readings, {"suspect": names[0], "candidate": names[1], "readings": found}
                )
            told = f"; failed: {'; '.join(broken)[:300]}" if broken else ""
            self.say(f"{number}/{len(able)} compared {pair.suspect} with {pair.candidate}{told}")
            lines.append(Line(pair=pair, readings=found))
        return lines, left

    def _compare(self, suspect: Read, candidate: Read) -> dict[str, Reading]:
        """What every probe says of a pair."""
        try:
            outcomes = self.gatherer.compare(suspect, candidate)
        except (ForensicsError, OSError) as error:
            return {i: {"none": f"failure: {error}"} for i in self.gatherer.offered}
        return {probe: reading(outcome) for probe, outcome in outcomes.items()}


def _whole(found: Any, offered: Mapping[str, Offered]) -> bool:
    """Whether kept readings are of the form that was written, for every probe."""
    return isinstance(found, dict) and all(isinstance(found.get(i), dict) for i in offered)
