"""What the metadata of two models claim, field by field: agrees, silent, contradicts. Leads, never evidence.

Declared parents, names, GGUF's and safetensors' metadata, class names, settings that no shape decides, sentences of
chat templates, versions. Whoever wants to mislead edits these first, and tools fill them in unasked, so this has no
weight (methods §4.3 P10). Declared parents and names are counted by repository-scan and not again here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

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
    families,
    hookimpl,
    statements_of,
    telling_setting,
)

FIELDS, VALUES, SHOWN, CELL = 120, 24, 100, 200
"""Fields of a sketch and values of each that are looked at, rows of the table, characters of a cell."""
PARENTS = ("declared base model", "configured name")
"""Fields that name a parent; `_name_or_path` often names the model itself."""
BASE = re.compile(r"general\.base_model\.\d+\.(?:name|repo_url)")
"""GGUF's way to name a parent."""
NAMES = ("own name", "general.name", "general.basename")
"""Fields that give a model's own name; its label does as well."""
REQUIRED = ("architectures", "model_type")
"""What any model of an architecture has to say."""
COMMON_SENTENCES = ("must alternate", "only user", "roles are supported", "system role not supported")
"""In the templates of many families: the checks that chat templates begin with."""
AGREES, SILENT, CONTRADICTS = "agrees", "silent", "contradicts"


class Row(NamedTuple):
    """One field of the comparison."""

    field: str
    suspect: str
    candidate: str
    says: str
    """`agrees`, `silent` or `contradicts`."""
    counts: bool


@dataclass(frozen=True, kw_only=True)
class MetadataLineage(SketchProbe):
    """Claims of two models' metadata set against each other."""

    id: ClassVar[str] = "metadata-lineage"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "What the metadata claim"
    measures: ClassVar[str] = (
        "Fields of configuration, weight files and chat template in which suspect and candidate say the same unusual "
        "thing, and what each declares of its parent. Anyone can edit or copy them and tools fill them in, so they "
        "carry no weight, and silence means nothing. Architecture names, usual settings and what repository-scan "
        "counts are listed and not counted."
    )
    needs: ClassVar[str] = "config.json, metadata in weight files, or documents"
    knows_label: ClassVar[bool] = True
    expected: ClassVar[str] = (
        "Derived and untouched: the parent declared, unusual settings and template sentences the same. Unrelated, or "
        "cleaned: nothing, or what a common recipe or tool brings."
    )

    def first_look(self) -> MetadataLineage:
        """Takes part as it is: no weights are read."""
        return self

    def sketcher(self, checkpoint: Checkpoint) -> Reader:
        """Everything is known before the pass; abstains where nothing is stated."""
        said = statements_of(checkpoint)
        if not said:
            raise Abstain(Reason.MISSING_FILES, "no metadata that state anything")
        return Reader(probe=self, checkpoint=checkpoint, said=said)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """How many fields say the same unusual thing, not counting what repository-scan counts."""
        ours, theirs = _Side.of(suspect), _Side.of(candidate)
        rows = sorted(_rows(ours, theirs), key=lambda row: (not row.counts, row.says == SILENT))
        claimed = any(row.says == AGREES for row in rows if row.field == "the suspect's parent")
        counted = sum(row.counts for row in rows)
        contradicting = sum(row.says == CONTRADICTS for row in rows)
        told = (
            " The suspect declares the candidate to be its parent; should the weights say otherwise, one of them is "
            "wrong."
            if claimed
            else ""
        )
        return Measurement(
            value=float(counted),
            quantity="fields in which both say the same unusual thing, a count",
            summary=(
                f"The metadata agree in {counted} unusual fields and contradict each other in {contradicting}.{told} "
                "Metadata are claims: this has no weight in the opinion."
            ),
            facts={
                "width": min(ours.width, theirs.width),
                "suspect_declares_candidate": claimed,
                "contradictions": contradicting,
            },
            tables=(
                Table(
                    title="Claims side by side",
                    columns=("field", "suspect", "candidate", "says", "counted"),
                    rows=tuple(tuple(row) for row in rows[:SHOWN]),
                    omitted=max(0, len(rows) - SHOWN),
                ),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Wants nothing of the pass: metadata are read before it."""

    probe: MetadataLineage
    checkpoint: Checkpoint
    said: Mapping[str, tuple[str, ...]]

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - the contract's signature
        """Nothing of the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """No arrays; the statements as JSON in the facts."""
        facts: dict[str, Scalar] = {
            "width": self.checkpoint.architecture.width,
            "label": self.checkpoint.label[:CELL],
            "said": json.dumps(self.said),
        }
        return self.probe.sketch({}, facts)


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A sketch, checked: it may come from a stranger."""

    said: Mapping[str, tuple[str, ...]]
    names: frozenset[str]
    """What this model is called, in small letters."""
    width: int

    @classmethod
    def of(cls, sketch: Sketch) -> _Side:
        """The sketch's statements, or an abstention where they cannot be read."""
        try:
            listed = list(json.loads(str(sketch.facts["said"])).items())[:FIELDS]
            said = {
                str(field)[:CELL]: tuple(str(value)[:CELL] for value in list(values)[:VALUES])
                for field, values in listed
            }
            width = int(sketch.facts["width"] or 0)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "the sketch's statements cannot be read") from None
        own = [str(sketch.facts.get("label") or ""), *(text for name in NAMES for text in said.get(name, ()))]
        names = frozenset(name for text in own for name in families.telling_names(text))
        return cls(said=said, names=names, width=width)

    def parents(self) -> frozenset[str]:
        """Every telling name of a parent that is not its own, in small letters."""
        found = [text for name in PARENTS for text in self.said.get(name, ())]
        found += [text for field, values in self.said.items() if BASE.fullmatch(field) for text in values]
        return frozenset(name for text in found for name in families.telling_names(text)) - self.names


def _rows(ours: _Side, theirs: _Side) -> Iterator[Row]:
    """Every field that either side states."""
    yield _parent("the suspect's parent", ours, theirs, turned=False)
    yield _parent("the candidate's parent", theirs, ours, turned=True)
    if both := ours.parents() & theirs.parents():
        yield Row("the same parent in both", *(_cell(tuple(sorted(both))),) * 2, AGREES, False)
    apart = {*PARENTS, *NAMES, "chat template: sentences", "transformers_version"}
    for field in sorted({*ours.said, *theirs.said} - apart):
        if not BASE.fullmatch(field):
            yield _field(field, ours.said.get(field, ()), theirs.said.get(field, ()))
    yield from _template(ours.said, theirs.said)
    yield _version(ours.said, theirs.said)


def _parent(field: str, child: _Side, other: _Side, *, turned: bool) -> Row:
    """What one side declares of its parent, against what the other is called; repository-scan counts this."""
    declared = child.parents()
    says = AGREES if declared & other.names else CONTRADICTS if declared else SILENT
    cells = (_cell(tuple(sorted(declared))), _cell(tuple(sorted(other.names))))
    return Row(field, *(cells[::-1] if turned else cells), says, False)


def _field(field: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Row:
    """One field of both sides; a value of both counts where no architecture requires it and few have it."""
    if not ours or not theirs:
        return Row(field, _cell(ours), _cell(theirs), SILENT, False)
    both = {value.casefold() for value in ours} & {value.casefold() for value in theirs}
    counts = field not in REQUIRED and any(telling_setting(field, value) for value in both)
    return Row(field, _cell(ours), _cell(theirs), AGREES if both else CONTRADICTS, counts)


def _template(ours: Mapping[str, tuple[str, ...]], theirs: Mapping[str, tuple[str, ...]]) -> Iterator[Row]:
    """Sentences of chat templates: those in both one by one, else what each has, which contradicts nothing."""
    field = "chat template: sentences"
    here, there = ours.get(field, ()), theirs.get(field, ())
    both = [text for text in here if text in there]
    for text in both:
        common = any(known in text.lower() for known in COMMON_SENTENCES)
        yield Row("chat template: a sentence", text, text, AGREES, not common)
    if not both:
        yield Row(field, _cell(here), _cell(there), SILENT, False)


def _version(ours: Mapping[str, tuple[str, ...]], theirs: Mapping[str, tuple[str, ...]]) -> Row:
    """Versions of transformers as dates: a descendant is not saved by an older one, unless its config was copied."""
    field = "transformers_version"
    here, there = ours.get(field, ()), theirs.get(field, ())
    numbers = [tuple(int(n) for n in re.findall(r"\d{1,6}", text)[:3]) for text in (*here[:1], *there[:1])]
    says = SILENT
    if len(numbers) == 2 and all(numbers):
        says = AGREES if numbers[0] >= numbers[1] else CONTRADICTS
    return Row("transformers_version (a descendant's is not older)", _cell(here), _cell(there), says, False)


def _cell(values: tuple[str, ...]) -> str:
    """Values as one cell."""
    return "; ".join(values)[:CELL]


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [MetadataLineage()]
