"""What metadata claim of a model's ancestry, and each claim set against what the weights say; never weighed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from forensics.strict import STRICT

ClaimSays: TypeAlias = Literal["agrees", "silent", "contradicts", "undecided", "unmatched"]
"""Silent: nothing is claimed of this candidate. Undecided: the opinion does not say enough to agree or contradict.
Unmatched: what is claimed names no candidate of the case."""


ClaimKind: TypeAlias = Literal["declared parent", "configured name", "own name", "trained from scratch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a checkpoint's metadata state of its origin; anyone can edit them, so it is never weighed."""

    kind: ClaimKind
    """`own name`: what it calls itself. `configured name`: what its configuration was loaded from or saved as, often
    the model itself. `trained from scratch`: a sentence of its card with these words, which may speak of another model.
    """
    stated: str
    """The name or the sentence as it stands there, cut, on one line."""
    where: str
    """`FILE:LINE`, or the key in a weight file's metadata."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStanding:
    """How one claim stands to the opinion on one candidate, after the opinion was formed; it has no weight."""

    kind: ClaimKind | Literal["none"]
    """`none`: the suspect's metadata claim nothing of this candidate."""
    stated: str
    """The claim as it stands in the suspect's metadata; empty for none."""
    where: str
    """`FILE:LINE`, or the key in a weight file's metadata; empty for none."""
    candidate: str
    """Label; empty where the claim was matched to no candidate."""
    same_by: str
    """On what ground the name claimed and this candidate were held to be the same model; empty where no name is."""
    says: ClaimSays
    sentence: str
    innocent: tuple[str, ...] = ()
    """Of a contradiction or a silence about descent: how it can come about without any intent to mislead."""

    __pydantic_config__: ClassVar[Any] = STRICT
