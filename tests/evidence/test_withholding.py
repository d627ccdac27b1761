"""What is examined can forbid a conclusion whatever the instruments found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forensics.evidence.withholding import withheld
from forensics.records import Subject

WHOLE = Subject(label="x", role="suspect", form="checkpoint", parameters=10, recognised=10)
OTHER = Subject(label="y", role="candidate", form="checkpoint", parameters=10, recognised=10)

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an adapter on its base": ({"form": "merged"}, {}, "x: an adapter"),
    "a candidate that is an adapter": ({}, {"form": "merged"}, "y: an adapter"),
    "a first look": ({"form": "first-look"}, {}, "This was a first look at 40.0%"),
    "a candidate that could not be read": ({}, {"form": "unreadable"}, "y could not be read"),
    "a suspect of which nothing was read": ({"recognised": 0}, {}, "None of the suspect's weights"),
}


@pytest.mark.parametrize(("mine", "theirs", "words"), CASES.values(), ids=CASES)
def test_reason_is_a_sentence(mine: dict[str, Any], theirs: dict[str, Any], words: str) -> None:
    """Each such case has its sentence, first in the opinion."""
    reason = withheld(replace(WHOLE, **mine), replace(OTHER, **theirs), 0.4)
    assert reason.startswith(words)
    assert reason.endswith(".")


def test_whole_checkpoints_are_left_to_the_rules() -> None:
    """Two checkpoints read whole, or a sketch, withhold nothing."""
    assert withheld(WHOLE, OTHER, 1.0) == ""
    assert withheld(WHOLE, replace(OTHER, form="sketch"), 1.0) == ""
