"""The whole extension surface: what a plugin may offer and observe. Nobody but the house concludes.

A plugin is a module (or object) named in the entry-point group `forensics`; its functions carry `@hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint
    from forensics.checkpoint.opening import Opening
    from forensics.probe import Probe, SketchProbe
    from forensics.records import Finding

hookspec = pluggy.HookspecMarker("forensics")
hookimpl = pluggy.HookimplMarker("forensics")


@hookspec
def forensics_probes() -> Iterable[Probe | SketchProbe]:  # type: ignore[empty-body]
    """Offers probes. Called once, before anything is opened; ids must be unique over all plugins."""


@hookspec(firstresult=True)
def forensics_open(location: str, opening: Opening) -> Checkpoint | None:
    """Opens what stands at `location`, or returns None for the next opener. Never raises for a foreign format.

    An implementation may leave out `opening`, which holds the label, the known layouts and an adapter's base.
    """


@hookspec
def forensics_layouts() -> Iterable[Mapping[str, Any]]:  # type: ignore[empty-body]
    """Offers architectures, in the form of `forensics/checkpoint/layouts/*.json`."""


@hookspec
def forensics_calibrations() -> Iterable[Mapping[str, Any]]:  # type: ignore[empty-body]
    """Offers calibrations, in the form of `forensics/evidence/reference/*.json`; one per probe id."""


@hookspec
def forensics_examining(probe: str, candidate: str) -> None:
    """Observes: this probe is about to be put to this candidate, or to two candidates (`Z with Y`)."""


@hookspec
def forensics_reading(location: str, done: int, total: int) -> None:
    """Observes: bytes read so far of a subject, by label."""


@hookspec
def forensics_finding(finding: Finding) -> None:
    """Observes: a finding was entered in the record."""
