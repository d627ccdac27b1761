"""The background: what stands in it, how often, and under which architecture's name."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import pytest

from forensics.winnowing import RARE, SHARED, bundled, fingerprints, library_of
from forensics.winnowing.library import HOME

SPEC = util.find_spec("transformers")
assert SPEC is not None
MODELS = Path((SPEC.submodule_search_locations or [""])[0]) / "models"


def of_family(name: str) -> np.ndarray:
    """The different fingerprints of transformers' own modelling file."""
    text = (MODELS / name / f"modeling_{name}.py").read_text(encoding="utf-8")
    return np.unique(fingerprints(text).hashes)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom"])
def test_the_librarys_own_code_stands_in_it(name: str) -> None:
    """Fingerprints of an installed modelling file stand in the table under its folder, but for what changed since."""
    library = bundled()
    hashes = of_family(name)
    assert library.stand_in(hashes, {name}).mean() > 0.9
    assert not library.stand_in(hashes, set()).any()


def test_what_the_library_lacks_is_unknown() -> None:
    """Random hashes have the frequency 0 and the largest weight."""
    library = bundled()
    hashes = np.random.Generator(np.random.PCG64(0)).integers(0, 1 << 63, 2_000, dtype=np.uint64)
    frequencies = library.frequencies(hashes)
    assert (frequencies > 0).mean() < 0.01
    assert library.weights(frequencies).max() == pytest.approx(np.log(1 + len(library.documents)))


def test_families_are_found_by_the_beginning_of_a_model_type() -> None:
    """A model type belongs to its folder, or to the longest beginning that is one; unknown ones to none."""
    library = bundled()
    told = {name: library.family(name) for name in ("llama", "gemma3_text", "acme", SHARED, "", "../llama")}
    assert told == {
        "llama": "llama", "gemma3_text": "gemma3", "acme": None, SHARED: None, "": None, "../llama": None,
    }  # fmt: skip


def test_a_table_counts_documents() -> None:
    """A hash has the documents that were given, and hashes with the same upper half are one."""
    library = library_of({1 << 40: ["a", "b"], 2 << 40: ["b"], (2 << 40) + 5: ["c"]}, ["1"])
    asked = np.array([1 << 40, 2 << 40, 3 << 40], np.uint64)
    assert library.frequencies(asked).tolist() == [2, 2, 0]
    assert library.stand_in(asked, {"c"}).tolist() == [False, True, False]


def test_the_table_is_small() -> None:
    """The table that the package carries stays below a megabyte."""
    assert HOME.stat().st_size < 1_000_000
    assert len(bundled().documents) > RARE
