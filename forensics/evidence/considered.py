"""What the rules of the verdict may look at, and what a rule answers."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.evidence.fusion import Fused
from forensics.evidence.speaking import Voice
from forensics.readings import Sign, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """All that the rules may look at, for one candidate."""

    candidate: str
    fused: Fused | None
    voices: tuple[Voice, ...]
    signs: tuple[tuple[str, Sign], ...]
    """Probe id and sign."""
    smallest_p: float | None
    """Of all exact tests against this candidate, uncorrected; None without any."""
    combined_holm: float | None
    """The exact p-values of our own probes combined, corrected over candidates and controls."""
    coverage: float | None
    identical: bool
    """Whether the suspect's weight files are the candidate's, byte for byte."""
    layer_coverage: float | None = None
    """Share of what was read in the suspect's layers in these and all that was not read, wherever it belongs."""
    other_weights: tuple[str, ...] = ()
    """Files of weights in the suspect's folder that were not read."""
    mlps_comparable: bool = True
    """Whether both sides have gated MLPs or neither: no known conversion leads from one to the other."""
    derived_controls: tuple[str, ...] = ()
    """Controls that came out derived in this case."""
    unread_controls: int = 0
    """How many controls could not be read, and so showed nothing."""
    withheld: str = ""
    """Why nothing is concluded whatever was found, as a sentence; empty where the rules decide."""
    population: str = ""
    background: Table | None = None
    """Reference pairs by their fused weight, where one was fused."""
    unrelated_strata: tuple[tuple[str, int], ...] = ()
    """Kinds of unrelated pairs behind the fused weight, with their numbers; empty where they are not known."""
    same_build: bool | None = None
    """Whether norms, gates and positions are of one kind in both; None where an architecture is not known."""
    remarks: tuple[str, ...] = ()
    """What the weighing noted besides: probes left out, readings outside the reference range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One rule applied: whether it is met, and what was found against what was asked."""

    rule: str
    met: bool
    found: str
    value: float | None = None
    """The number that the rule looks at, where it looks at one and it could be had."""
    least: float | None = None
    """The value is to be at least this (an exact p: above it), or"""
    most: float | None = None
    """at most this."""
