"""Model lineage forensics: do this suspect's weights descend from any of these candidates'?

This façade is all that a plugin imports. Names are resolved on first use, so that importing the package, and
with it `forensics --help`, stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics import activations as activations
    from forensics import alignment as alignment
    from forensics import families as families
    from forensics import licences as licences
    from forensics import prompts as prompts
    from forensics import winnowing as winnowing
    from forensics.checkpoint import Anchors as Anchors
    from forensics.checkpoint import Checkpoint as Checkpoint
    from forensics.checkpoint.leads import Lead as Lead
    from forensics.checkpoint.leads import leads_in as leads_in
    from forensics.checkpoint.paper_reading import read_papers as read_papers
    from forensics.checkpoint.papers import Papers as Papers
    from forensics.checkpoint.statements import statements_of as statements_of
    from forensics.checkpoint.statements import telling_setting as telling_setting
    from forensics.checkpoint.terms import licence_facts as licence_facts
    from forensics.checkpoint.terms import licence_rows as licence_rows
    from forensics.checkpoint.terms import obligation_rows as obligation_rows
    from forensics.checkpoint.tokenizer import token_hash as token_hash
    from forensics.errors import ForensicsError as ForensicsError
    from forensics.hookspecs import hookimpl as hookimpl
    from forensics.matrices import Matrix as Matrix
    from forensics.probe import Abstain as Abstain
    from forensics.probe import Pair as Pair
    from forensics.probe import Probe as Probe
    from forensics.probe import Sketch as Sketch
    from forensics.probe import Sketcher as Sketcher
    from forensics.probe import SketchProbe as SketchProbe
    from forensics.probe import TensorSpec as TensorSpec
    from forensics.readings import Aspect as Aspect
    from forensics.readings import Exact as Exact
    from forensics.readings import Group as Group
    from forensics.readings import Kinship as Kinship
    from forensics.readings import Measurement as Measurement
    from forensics.readings import Reason as Reason
    from forensics.readings import Scalar as Scalar
    from forensics.readings import Series as Series
    from forensics.readings import Sign as Sign
    from forensics.readings import SignKind as SignKind
    from forensics.readings import Table as Table

_HOMES = {
    "forensics.checkpoint": ("Anchors", "Checkpoint"),
    "forensics.checkpoint.leads": ("Lead", "leads_in"),
    "forensics.checkpoint.paper_reading": ("read_papers",),
    "forensics.checkpoint.papers": ("Papers",),
    "forensics.checkpoint.terms": ("licence_facts", "licence_rows", "obligation_rows"),
    "forensics.checkpoint.statements": ("statements_of", "telling_setting"),
    "forensics.checkpoint.tokenizer": ("token_hash",),
    "forensics.errors": ("ForensicsError",),
    "forensics.hookspecs": ("hookimpl",),
    "forensics.matrices": ("Matrix",),
    "forensics.probe": ("Abstain", "Pair", "Probe", "Sketch", "SketchProbe", "Sketcher", "TensorSpec"),
    "forensics.readings": (
        "Aspect",
        "Exact",
        "Group",
        "Kinship",
        "Measurement",
        "Reason",
        "Scalar",
        "Series",
        "Sign",
        "SignKind",
        "Table",
    ),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

_ROOMS = ("activations", "alignment", "families", "licences", "prompts", "winnowing")

__all__ = [*_WHERE, *_ROOMS]  # noqa: PLE0604 - names, computed from the table above


def __getattr__(name: str) -> Any:
    """Imports a façade name from its room when first asked for."""
    if name in _ROOMS:
        return import_module(f"forensics.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'forensics' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    """The façade's names."""
    return sorted(__all__)
