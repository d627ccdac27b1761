"""A twin read by every sketcher: only the tensors that some sketcher wants, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from forensics.attending import Attending
from forensics.checkpoint import Checkpoint
from forensics.errors import ForensicsError
from forensics.probe import Sketch, SketchProbe
from forensics.twins.gauged import Gauged, unknown_roles
from forensics.twins.kinds import Kind
from forensics.twins.view import TwinView


def sketch_twin(
    checkpoint: Checkpoint,
    probes: Iterable[SketchProbe],
    kind: Kind,
    seed: int,
    progress: Callable[[int, int], None],
) -> dict[str, Sketch]:
    """Sketches of a twin of the checkpoint by probe id; ForensicsError where there can be no such twin."""
    change = kind.change(checkpoint, seed)
    view = TwinView(checkpoint, change)
    running = [Attending.begun(probe, cast("Checkpoint", view)) for probe in probes]
    wanted = [(spec, [o for o in running if o.wants(spec)]) for spec in checkpoint.specs]
    wanted = [(spec, takers) for spec, takers in wanted if takers]
    unknown = unknown_roles(spec.role for spec, _ in wanted)
    if isinstance(change, Gauged) and unknown:
        raise ForensicsError(f"no gauge is known for {', '.join(unknown[:5])}")
    done, total = 0, sum(spec.rows * spec.columns for spec, _ in wanted)
    for spec, takers in wanted:
        for at, block in view.rows(spec):
            block.flags.writeable = False  # several sketchers see the same block
            for one in takers:
                one.see(spec, block, at)
        done += spec.rows * spec.columns
        progress(done, total)
    return {one.probe.id: one.sketch("") for one in running}
