"""How one licence text became another: holder, header, name, or words in places; never slow."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from forensics.licences import difference

APACHE = (Path(__file__).parents[2] / "LICENSE").read_text()
TERMS = "\n".join(
    f"{i}. Acme grants you the right number {i} to use Zephyr, its weights and part {i * 7} of its papers in case {i}."
    for i in range(1, 60)
)
MODEL = f"Zephyr License Agreement\nCopyright (c) 2023 Acme Cloud\n\n{TERMS}\n"


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        (MODEL, "identical"),
        (MODEL.upper().replace("\n", "\n\n"), "same words"),
        (MODEL.replace("2023 Acme Cloud", "2025 Other Labs Inc."), "same text, other holder"),
        ("Other Model Terms, first edition\n" + TERMS, "same text, header replaced"),
        (MODEL.replace("Zephyr", "Pagoda"), "same text, name replaced"),
        (MODEL.replace("Zephyr", "Pagoda").replace("Acme", "Other Labs"), "same text, name replaced"),
        (
            MODEL.replace("20.", "20. Except on Sundays,").replace("right number 5", "claim number 5"),
            "same text, changed in places",
        ),
        (APACHE, "other text"),
        ("", "other text"),
    ],
)
def test_kinds_of_difference(ours: str, kind: str) -> None:
    """Each way to make a licence one's own has its name."""
    assert difference(ours, MODEL).kind == kind


def test_replacements_are_shown_once_with_their_count_and_line() -> None:
    """A name replaced fifty-nine times is one span; what was cut and what was added stand as they are."""
    found = difference(MODEL.replace("Zephyr", "Pagoda"), MODEL)
    assert [(s.line, s.ours, s.theirs, s.count) for s in found.spans] == [(1, "pagoda", "zephyr", 60)]
    found = difference(MODEL.replace("30. Acme", "30. Except on Sundays, Acme"), MODEL)
    assert [(s.ours, s.theirs, s.line) for s in found.spans] == [("except on sundays", "", 33)]
    assert found.common > 0.99


def test_the_difference_of_a_difference_is_bounded() -> None:
    """A long replaced part is shown by its first words and its length."""
    place = APACHE.index(" ", 6000)
    (span,) = difference(APACHE[:place] + " new" * 500 + APACHE[place:], APACHE).spans
    assert span.ours.endswith("… (500 words)")
    assert span.theirs == ""


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a " * 500_000, "a b " * 250_000),
        (" ".join(map(str, range(12_000))), " ".join(map(str, range(12_000, 0, -1)))),
        (" ".join(str(i % 97) for i in range(30_000)), " ".join(str(i % 89) for i in range(30_000))),
        (" ".join(f"{i} x" for i in range(9_000)), " ".join(f"{i} y" for i in range(9_000))),
        (
            " ".join(f"{i} a b c d e {i} x" for i in range(3_000)),
            " ".join(f"{i} a b c d e {i} y" for i in range(3_000)),
        ),
    ],
)
def test_texts_made_to_be_slow_are_not(ours: str, theirs: str) -> None:
    """Repeated, reversed and finely interleaved words take seconds at most."""
    begun = time.process_time()
    difference(ours, theirs)
    assert time.process_time() - begun < 4.0
