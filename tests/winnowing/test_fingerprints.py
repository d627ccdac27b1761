"""Winnowing: its guarantee, its density, and places."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.winnowing import GRAM, WINDOW, Code, code_of, fingerprints, passages
from forensics.winnowing.fingerprints import grams, winnowed

SYMBOLS = ("n", "=", "(", ")", "+", "0", ";", "if")
LEAST = GRAM + WINDOW - 1


def drawn(count: int, seed: int) -> list[str]:
    """Random symbols."""
    return [SYMBOLS[i] for i in np.random.Generator(np.random.PCG64(seed)).integers(0, len(SYMBOLS), count)]


def kept(row: list[str]) -> set[int]:
    """The hashes kept of a row of symbols."""
    hashes = grams(row)
    return set(hashes[winnowed(hashes)].tolist())


@pytest.mark.parametrize("seed", range(40))
def test_any_common_stretch_of_the_promised_length_is_found(seed: int) -> None:
    """Texts that share exactly WINDOW + GRAM − 1 symbols somewhere share a hash; unrelated ones share none."""
    rng = np.random.Generator(np.random.PCG64(seed))
    stretch = drawn(LEAST, 1000 + seed)
    sides = [
        drawn(int(rng.integers(0, 90)), 2000 + seed) + stretch + drawn(int(rng.integers(0, 90)), 3000 + seed),
        drawn(int(rng.integers(0, 90)), 4000 + seed) + stretch + drawn(int(rng.integers(0, 90)), 5000 + seed),
    ]
    assert kept(sides[0]) & kept(sides[1])
    assert not kept(drawn(300, 6000 + seed)) & kept(drawn(300, 7000 + seed))


def test_every_window_has_a_kept_hash_and_few_are_kept() -> None:
    """No WINDOW consecutive places are without a kept hash, and the share kept is about 2 / (WINDOW + 1)."""
    hashes = grams(drawn(20_000, 1))
    places = winnowed(hashes)
    assert np.diff(places).max() <= WINDOW
    assert abs(len(places) / len(hashes) - 2 / (WINDOW + 1)) < 0.01


def test_a_constant_text_keeps_the_rightmost_of_equal_hashes() -> None:
    """Where all hashes are equal, the last of each window is kept."""
    assert winnowed(np.full(50, 7, np.uint64)).tolist() == list(range(WINDOW - 1, 50))


def test_short_code_has_no_fingerprint() -> None:
    """A file of fewer than GRAM symbols has none."""
    assert not len(fingerprints("x = 1\n").hashes)
    assert not len(code_of([]).hashes)


def test_passages_have_the_lines_of_both_sides() -> None:
    """Twenty lines put into other files at other places are one passage with their lines on both sides."""
    lines = [f"v{i} = f({'a + ' * (i % 5)}b[{'-' * (i % 3)}d], {'-' * (i % 4)}c)" for i in range(20)]
    ours = code_of([("a.py", "\n".join(["x = 1"] * 7 + lines))])
    theirs = code_of([("o.py", "y = 2"), ("b.py", "\n".join(["if q: r.s(t)"] * 30 + lines))])
    found = passages(ours, theirs, set(ours.hashes.tolist()) & set(theirs.hashes.tolist()))
    (one,) = found
    assert (one.file, one.other_file) == (0, 1)
    assert one.other_first - one.first == 23
    assert one.first <= 10
    assert one.last >= 25


def test_repeated_code_costs_little_and_is_cut() -> None:
    """The same fingerprint in thousands of places on both sides is joined in bounded time."""
    code = code_of([("a.py", "x = f(a, b[0]) + 1\n" * 40_000)])
    assert isinstance(code, Code)
    found = passages(code, code, set(code.hashes.tolist()))
    assert sum(len(p.hashes) for p in found) < len(code.hashes)
