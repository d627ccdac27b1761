"""Copied code: stretches of the suspect's Python files that stand in the candidate's and hardly anywhere else.

Winnowing over symbols without names (Schleimer, Wilkerson and Aiken 2003; `forensics/winnowing`), each fingerprint
weighed by how rare it is in transformers, from which everybody copies. Renamed, reformatted and re-commented copies are
found; rewritten ones are not. Code is a document: whoever copies code need not have copied weights, so this has no
weight (methods §4.3 P10). Code is read as text and never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Checkpoint,
    Measurement,
    Reason,
    Scalar,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    hookimpl,
    winnowing,
)

PASSAGES, SHOWN, TALL = 30, 8, 8
"""Passages listed, passages shown side by side, and lines of each."""
LINES, LINE, NAME = 5_000, 120, 160
"""Lines whose text a sketch keeps, characters of a line, and of a file's name."""
COLUMNS = ("file", "place", "first", "last")


@dataclass(frozen=True, kw_only=True)
class CodeLineage(SketchProbe):
    """Rare stretches of code in common, names aside."""

    id: ClassVar[str] = "code-lineage"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Copied code"
    measures: ClassVar[str] = (
        "Fingerprints of the suspect's Python code, blind to names, layout and comments, that stand in the candidate's "
        "code and in at most two model folders of transformers, none of them that of either's own architecture. Says "
        "who had whose code and nothing of weights: leads only. Rewritten code defeats it; both having copied from a "
        "third place that is not part of transformers reads the same."
    )
    needs: ClassVar[str] = "Python files beside the weights, on both sides"
    expected: ClassVar[str] = (
        "Copied: tens to hundreds of rare fingerprints in long passages. Written apart: of pairs of model folders of "
        "transformers that do not inherit from each other, 91 % share none, 95 % at most one, 99 % at most three."
    )

    def first_look(self) -> CodeLineage:
        """Takes part as it is: no weights are read."""
        return self

    def sketcher(self, checkpoint: Checkpoint) -> Reader:
        """Everything is known before the pass."""
        return Reader(probe=self, checkpoint=checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """How many different rare fingerprints stand in both; abstains where a side has no code."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        library = winnowing.bundled()
        stands = winnowing.standing(ours.code, theirs.code, (ours.model_type, theirs.model_type), library)
        if not len(ours.code.hashes):
            raise Abstain(
                Reason.MISSING_FILES, f"suspect: no Python code of {winnowing.GRAM} symbols or more"
            )
        if not len(theirs.code.hashes):
            raise Abstain(Reason.MISSING_FILES, winnowing.without_candidate(stands))
        counted = stands.numbers(stands.rare & stands.shared)
        found = winnowing.passages(ours.code, theirs.code, counted)
        own = stands.numbers(stands.theirs & stands.shared & ~stands.common)
        public = winnowing.passages(ours.code, theirs.code, own)
        words = f"transformers' own {stands.families[1]}, not counted"
        return Measurement(
            value=float(len(counted)),
            quantity="different rare fingerprints of the suspect's code that stand in the candidate's, a count",
            summary=(
                f"{len(counted)} of {int(stands.rare.sum())} rare fingerprints of the suspect's code stand in the "
                f"candidate's, in {len(found)} passages. Code can be copied without weights and weights without "
                "code: this has no weight in the opinion."
            ),
            facts={
                "width": min(ours.width, theirs.width),
                **stands.figures(),
                "background": f"transformers {', '.join(library.versions)}",
            },
            tables=(
                winnowing.kinds_of(stands),
                _listed(ours, theirs, {"rare, counted": found, words: public}),
                _side_by_side(ours, theirs, found[:SHOWN]),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Wants nothing of the pass: texts are read before it."""

    probe: CodeLineage
    checkpoint: Checkpoint

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """Arrays (n,): `hashes` uint64; `file`, `place`, `first`, `last` int32; `lines` uint8, JSON in UTF-8.

        `lines` holds (file, line, text) of the lines under rare fingerprints: so much of the code a sketch shows.
        """
        texts = {file.name: file.text for file in self.checkpoint.texts if file.name.lower().endswith(".py")}
        code = winnowing.code_of(texts.items())
        lines = json.dumps(_rare_lines(code, texts), ensure_ascii=True).encode()
        model_type = self.checkpoint.config.get("model_type")
        return self.probe.sketch(
            {
                "hashes": code.hashes,
                **{name: getattr(code, name) for name in COLUMNS},
                "lines": np.frombuffer(lines, np.uint8),
            },
            {
                "files": json.dumps([_clean(name, NAME) for name in code.files]),
                "model_type": _clean(model_type if isinstance(model_type, str) else "", NAME),
                "width": self.checkpoint.architecture.width,
            },
        )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    code: winnowing.Code
    lines: Mapping[tuple[int, int], str]
    model_type: str
    width: int

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's contents, or an abstention where they do not fit each other."""
        try:
            files = tuple(str(name)[:NAME] for name in json.loads(str(sketch.facts["files"])))
            hashes = sketch.arrays["hashes"].astype(np.uint64)
            columns = {name: sketch.arrays[name].astype(np.int32) for name in COLUMNS}
            told = json.loads(sketch.arrays["lines"].astype(np.uint8).tobytes())[:LINES]
            lines = {(int(file), int(line)): str(text)[:LINE] for file, line, text in told}
            width = int(sketch.facts["width"] or 0)
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's code cannot be read") from None
        shapes = {hashes.shape, *(column.shape for column in columns.values())}
        named = columns["file"].size == 0 or bool(
            columns["file"].min() >= 0 and columns["file"].max() < len(files)
        )
        if shapes != {hashes.shape} or hashes.ndim != 1 or not named:
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's arrays do not fit each other")
        code = winnowing.Code(files=files, hashes=hashes, **columns)
        return cls(code=code, lines=lines, model_type=str(sketch.facts.get("model_type") or ""), width=width)


def _clean(text: str, limit: int) -> str:
    """The beginning of a text, writable as UTF-8."""
    return text[:limit].encode("utf-8", "replace").decode()


def _rare_lines(code: winnowing.Code, texts: Mapping[str, str]) -> list[tuple[int, int, str]]:
    """(file, line, text) of lines under fingerprints that are rare in the library, at most `LINES`."""
    library = winnowing.bundled()
    rare = (library.frequencies(code.hashes) <= winnowing.RARE) & ~library.stand_in(
        code.hashes, {winnowing.SHARED}
    )
    wanted: set[tuple[int, int]] = set()
    for index in np.flatnonzero(rare).tolist():
        if len(wanted) >= LINES:
            break
        last = min(int(code.last[index]), int(code.first[index]) + TALL)
        wanted |= {(int(code.file[index]), line) for line in range(int(code.first[index]), last + 1)}
    split = [texts[name].split("\n") for name in code.files]
    return [
        (file, line, _clean(split[file][line - 1].rstrip(), LINE)) for file, line in sorted(wanted)[:LINES]
    ]


def _listed(ours: _Side, theirs: _Side, kinds: Mapping[str, list[winnowing.Passage]]) -> Table:
    """One row per passage."""
    rows = [
        (
            number,
            kind,
            f"{ours.code.files[p.file]}:{p.first}-{p.last}",
            f"{theirs.code.files[p.other_file]}:{p.other_first}-{p.other_last}",
            len(p.hashes),
        )
        for kind, found in kinds.items()
        for number, p in enumerate(found, 1)
    ]
    return Table(
        title="Passages in both",
        columns=("passage", "kind", "suspect", "candidate", "fingerprints"),
        rows=tuple(rows[:PASSAGES]),
        omitted=max(0, len(rows) - PASSAGES),
    )


def _side_by_side(ours: _Side, theirs: _Side, found: list[winnowing.Passage]) -> Table:
    """The first lines of the passages, line against line in order; blank and comment lines shift one side."""
    rows: list[tuple[Scalar, ...]] = []
    omitted = 0
    for number, p in enumerate(found, 1):
        tall = max(p.last - p.first, p.other_last - p.other_first) + 1
        omitted += max(0, tall - TALL)
        for step in range(min(TALL, tall)):
            here, there = p.first + step, p.other_first + step
            rows.append(
                (
                    number,
                    here if here <= p.last else None,
                    ours.lines.get((p.file, here), "") if here <= p.last else "",
                    there if there <= p.other_last else None,
                    theirs.lines.get((p.other_file, there), "") if there <= p.other_last else "",
                )
            )
    return Table(
        title="The longest passages side by side",
        columns=("passage", "line", "suspect", "line ", "candidate"),
        rows=tuple(rows),
        omitted=omitted,
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [CodeLineage()]
