"""What a stranger wrote is shown, never obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.report.display import Shown, display, isolate, name


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_any_string_becomes_printable_text(text: str) -> None:
    """Whatever goes in, what comes out is encodable and free of control, format, surrogate and private characters."""
    shown = display(text)
    shown.encode("utf-8")
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb", "a\\x0ab"),
        ("exe\u202egnp", "exe\\u202egnp"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("in\u200bvisible", "in\\u200bvisible"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164", "\\u3164"),
        ("e\u0301", "é"),
        ("模型 · مدل · מודל · मॉडल", "模型 · مدل · מודל · मॉडल"),
    ],
)
def test_hidden_characters_become_escapes_and_scripts_stay(text: str, shown: str) -> None:
    """Hidden characters become visible ASCII escapes; ordinary text of any script is untouched."""
    assert display(text) == shown


def test_a_tower_of_combining_marks_is_cut_to_three() -> None:
    """Marks beyond the third in a row are escaped, so that they cannot climb over the lines above."""
    assert display("x" + "\u0316" * 50).count("\u0316") == 3


def test_long_text_is_cut_with_a_count() -> None:
    """Text over the limit ends in the number of characters left out."""
    assert display("x" * 1000, 600) == "x" * 600 + "… [400 more characters in the record]"


def test_right_to_left_names_are_isolated_and_others_not() -> None:
    """Only text with right-to-left letters gets isolates, and a sentence holding one is not filtered twice."""
    assert isolate("model-7b") == "model-7b"
    assert name("אב") == "\u2068אב\u2069"
    sentence = Shown(f"Is it {name('אב')}?")
    assert display(sentence) == sentence
