"""What a probe is: the contract between an instrument and the house.

Two kinds. `Probe.examine(pair)` looks at both checkpoints at once. `SketchProbe` keeps a small sketch of each
checkpoint and compares sketches, so that one suspect can meet a thousand candidates and an owner can hand
over a sketch instead of weights. A probe is a frozen dataclass: its fields are its parameters, and every
parameter that can change a reading is a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

from forensics.readings import Abstention, Aspect, Failure, Measurement, Reason, Scalar, Sign

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint

API = 1
"""Version of this contract; a sketch of another API is not compared."""


class Abstain(Exception):  # noqa: N818 - not an error: an answer
    """Raised by a probe that has nothing to say, with the reason that goes into the record."""

    def __init__(self, reason: Reason, detail: str, *, signs: tuple[Sign, ...] = ()) -> None:
        super().__init__(detail)
        self.reason = Reason(reason)  # a ValueError, and so a failure, for a reason that there is not
        self.detail = str(detail)
        self.signs = tuple(signs)

    def recorded(self) -> Abstention:
        """As it goes into the record."""
        return Abstention(reason=self.reason, detail=self.detail[:1000], signs=self.signs)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One canonical tensor: unfused, per expert, oriented (out, in), whatever the file calls it."""

    role: str
    """Canonical role, e.g. `q_proj`, `up_proj`, `input_norm`; see `forensics/checkpoint/layouts/`."""
    layer: int | None
    expert: int | None
    rows: int
    columns: int
    """1 for vectors."""
    dtype: str
    """Precision in the file, e.g. `bf16`."""
    source: str
    """Name of the stored tensor it comes from; hostile text, never a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What one probe keeps of one checkpoint; aim under 8 MB."""

    probe: str
    version: str
    parameters: Mapping[str, Scalar]
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    subject: str = ""
    """Digest of the checkpoint; filled in by the reading pass."""
    api: int = API
    absent: Abstention | Failure | None = None
    """Why there is nothing here."""
    precision: str = ""
    """Stored precisions of the weights that went into it; filled in by the reading pass."""


@runtime_checkable
class Sketcher(Protocol):
    """Takes what it wants as the checkpoint goes by once, in file order."""

    def wants(self, spec: TensorSpec) -> bool:
        """Whether this tensor's rows should be handed to `see`."""
        ...

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Takes a block of canonical rows, shape (n, spec.columns), float32, first row index `start`.

        Blocks of one tensor come in ascending order but blocks of other tensors may come between. The array is
        only valid during the call.
        """
        ...

    def finish(self) -> Sketch:
        """The sketch, or `raise Abstain`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both checkpoints, for a probe that needs them at once."""

    suspect: Checkpoint
    candidate: Checkpoint


@dataclass(frozen=True, kw_only=True)
class Named:
    """What every probe says of itself before it is asked anything."""

    id: ClassVar[str]
    """Lower-case words joined by hyphens; unique over all plugins."""
    version: ClassVar[str]
    title: ClassVar[str]
    measures: ClassVar[str]
    """One sentence: what is measured, against which null or population, and what defeats it."""
    needs: ClassVar[str] = "weights"
    """What of a checkpoint it needs, in a few words."""
    expected: ClassVar[str] = ""
    """Expected reading if derived, and if unrelated; written before looking."""
    blind_to: ClassVar[tuple[str, ...]] = ()
    """What its statement of defeats names of the self-test's twins: gauges under which it misses a copy, and `noise`
    where it looks only at what noise of equal mean and spread keeps."""
    aspect: ClassVar[Aspect | None] = None
    """What it looks at, where that is not the trained weights; propositions beyond descent are tested by it."""
    api: ClassVar[int] = API
    isolated: ClassVar[bool] = False
    """Whether it runs in a worker of its own: for probes that hand hostile input to other libraries."""
    limits: ClassVar[frozenset[str]] = frozenset()
    """Fields that decide whether it reads and never what: other values of these leave a reading calibrated."""
    knows_label: ClassVar[bool] = False
    """Whether what it keeps depends on the checkpoint's label, and not only on its files."""
    time_limit: ClassVar[float] = 600.0
    """Seconds its own worker may take, for strangers' and isolated probes."""

    def parameters(self) -> dict[str, Scalar]:
        """Every field, as it goes into the finding and the sketch."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Probe(Named):
    """A probe that examines both checkpoints at once."""

    kind: ClassVar[Literal["paired", "sketch"]] = "paired"

    def examine(self, pair: Pair) -> Measurement:
        """The reading for this pair, or `raise Abstain(Reason.…, "why")`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class SketchProbe(Named):
    """A probe that compares sketches made apart."""

    kind: ClassVar[Literal["paired", "sketch"]] = "sketch"

    def first_look(self) -> SketchProbe | None:
        """The probe as it takes part in a first look (`--quick`), or None where it needs the whole reading pass.

        A first look reads only what sketchers want, so that a probe answers with parameters that make it want a few
        tensors. With other parameters than the calibrated ones a reading carries no weight.
        """
        return None

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """A fresh sketcher for this checkpoint, or `raise Abstain`."""
        raise NotImplementedError

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """The reading for two sketches of this very probe, version and parameters, or `raise Abstain`."""
        raise NotImplementedError

    def compare_all(self, suspect: Sketch, candidates: Mapping[str, Sketch]) -> Measurement:
        """What only several candidates together can show, e.g. that the suspect is a merge of some.

        They come by label, two or more, the usable ones of the case. Optional: the house asks only a probe that
        overrides it, beside `compare`. The reading is shown and never weighed; its `kinship` may name a relation for
        each candidate. `raise Abstain` where there is nothing to say.
        """
        raise NotImplementedError

    @property
    def compares_all(self) -> bool:
        """Whether it has something to say of several candidates together."""
        return type(self).compare_all is not SketchProbe.compare_all

    def sketch(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        facts: Mapping[str, Scalar] | None = None,
    ) -> Sketch:
        """A sketch signed with this probe's id, version and parameters."""
        return Sketch(
            probe=self.id,
            version=self.version,
            parameters=self.parameters(),
            arrays=dict(arrays),
            facts=dict(facts or {}),
        )
