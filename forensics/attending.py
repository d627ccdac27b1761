"""One probe during a reading pass: its sketcher, guarded, so that its abstention or error ends its sketch alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from forensics.errors import told
from forensics.probe import Abstain, Sketch, Sketcher, SketchProbe, TensorSpec
from forensics.readings import Abstention, Failure
from forensics.sketches import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forensics.checkpoint import Checkpoint


@dataclass(slots=True)
class Attending:
    """One probe during the pass: its sketcher, or why it has none."""

    probe: SketchProbe
    checkpoint: Checkpoint
    touched: set[str] = field(default_factory=set)
    """Stored precisions of the weights that it saw."""
    sketcher: Sketcher | None = None
    absent: Abstention | Failure | None = None

    @classmethod
    def begun(cls, probe: SketchProbe, checkpoint: Checkpoint) -> Attending:
        """The probe with a fresh sketcher for this checkpoint, or with the reason why there is none."""
        one = cls(probe=probe, checkpoint=checkpoint)
        one.start()
        return one

    def guarded(self, action: Callable[[], object]) -> object:
        """Runs probe code; an abstention or an error ends this probe's sketch, never the pass."""
        self.checkpoint.touched = self.touched
        try:
            return action()
        except Abstain as answer:
            self.absent = answer.recorded()
        except Exception as error:  # a probe is run here
            self.absent = Failure(error=type(error).__name__, detail=f"while sketching: {told(error)}"[:1000])
        return None

    def start(self) -> None:
        """Asks the probe for its sketcher."""
        made = self.guarded(lambda: self.probe.sketcher(self.checkpoint))
        if isinstance(made, Sketcher):
            self.sketcher = made
        elif not self.absent:
            detail = "sketcher() returned something without wants, see and finish"
            self.absent = Failure(error="TypeError", detail=detail)

    def wants(self, spec: TensorSpec) -> bool:
        """Whether its sketcher wants rows of this tensor."""
        sketcher = self.sketcher
        wanted = sketcher is not None and not self.absent and bool(self.guarded(lambda: sketcher.wants(spec)))
        if wanted:
            self.touched.add(spec.dtype)
        return wanted

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Hands a block to its sketcher."""
        sketcher = self.sketcher
        if sketcher is not None and not self.absent:
            self.guarded(lambda: sketcher.see(spec, rows, start))

    def _finish(self, sketcher: Sketcher) -> Sketch:
        made = sketcher.finish()
        check(made, self.probe.id)
        return made

    def sketch(self, subject: str) -> Sketch:
        """The sketch, signed with the subject's digest; empty, with the reason, where there is none."""
        sketcher = self.sketcher
        finished = self.guarded(lambda: self._finish(sketcher)) if sketcher and not self.absent else None
        if isinstance(finished, Sketch):
            return replace(finished, subject=subject, precision="+".join(sorted(self.touched)))
        absent = self.absent or Failure(error="TypeError", detail="the sketcher returned no sketch")
        return replace(self.probe.sketch({}), absent=absent, subject=subject)
