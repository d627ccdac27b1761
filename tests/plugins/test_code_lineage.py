"""Copied code: renamed copies are found, boilerplate is not, and nothing hostile runs or breaks."""

from __future__ import annotations

import io
import keyword
import tokenize
from dataclasses import replace
from importlib import util
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.checkpoint.facts import TextFile
from forensics.probe import Abstain, Sketch
from forensics.readings import Measurement, Reason
from forensics.testing import check_probe
from plugins.code_lineage import CodeLineage
from tests.standin import StandIn, architecture_of, run_sketch

PROBE = CodeLineage()
ROOT = Path(__file__).parents[2]
SPEC = util.find_spec("transformers")
assert SPEC is not None
MODELS = Path((SPEC.submodule_search_locations or [""])[0]) / "models"
FAMILIES = ("gpt2", "bloom", "opt", "gptj", "mamba", "t5", "llama")
OWN = (ROOT / "forensics" / "checkpoint" / "torch_meaning.py").read_text(encoding="utf-8")
"""Code that stands in no version of transformers: ours."""


def modelling(name: str) -> str:
    """A modelling file of the installed transformers."""
    return (MODELS / name / f"modeling_{name}.py").read_text(encoding="utf-8")


def renamed(text: str) -> str:
    """Every identifier exchanged, comments dropped, and blank lines put in front."""
    tokens = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            continue
        plain = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
        tokens.append((token.type, f"x{token.string[::-1]}" if plain else token.string))
    return "\n" * 9 + tokenize.untokenize(tokens)


def sketch_of(model_type: str = "acme", **files: str) -> Sketch:
    """The probe's sketch of a checkpoint with these Python files."""
    texts = [TextFile(name=f"{name}.py", text=text, truncated=False) for name, text in files.items()]
    standin = StandIn({}, architecture_of(), texts=texts, config={"model_type": model_type})
    return run_sketch(PROBE, standin)


def rows(reading: Measurement, table: int) -> list[tuple[Any, ...]]:
    """The rows of one of its tables."""
    return [tuple(row) for row in reading.tables[table].rows]


def test_it_keeps_the_contract() -> None:
    """Checkpoints without code abstain with a reason, in every pair of the contract."""
    check_probe(PROBE)


def test_a_renamed_copy_is_found_among_boilerplate() -> None:
    """Our own code, renamed and put behind a modelling file, is found with its lines; that file does not count."""
    gpt2 = modelling("gpt2")
    suspect = sketch_of(modeling=gpt2 + renamed(OWN))
    reading = PROBE.compare(suspect, sketch_of(original=OWN, other=gpt2))
    assert reading.value >= 20
    assert reading.value >= 0.9 * reading.facts["rare_fingerprints"] - 30
    passage, kind, here, there, count = rows(reading, 1)[0]
    assert (passage, kind) == (1, "rare, counted")
    assert there.startswith("original.py:")
    assert int(here.split(":")[1].split("-")[0]) > gpt2.count("\n")
    assert count >= 10
    assert any(row[2] and row[4] and row[2] != row[4] for row in rows(reading, 2))


def test_other_code_of_ours_shares_next_to_nothing() -> None:
    """Two of our own files that do other things share at most one fingerprint."""
    other = (ROOT / "forensics" / "registry.py").read_text(encoding="utf-8")
    assert PROBE.compare(sketch_of(a=OWN), sketch_of(b=other)).value <= 1


def test_boilerplate_of_modelling_files_is_not_counted() -> None:
    """Modelling files of seven families, as if they were checkpoints' own, share at most 3 rare fingerprints pairwise.

    3 is the 99 % quantile over all pairs of transformers' folders without inheritance (docs/methods.md). Falcon's file
    says of itself what it has from BLOOM, and that is found.
    """
    sketches = {name: sketch_of("acme", modeling=modelling(name)) for name in FAMILIES}
    readings = [PROBE.compare(sketches[one], sketches[other]) for one, other in combinations(FAMILIES, 2)]
    values = np.array([reading.value for reading in readings])
    assert values.max() <= 3
    assert (values == 0).mean() > 0.8
    assert PROBE.compare(sketch_of("acme", modeling=modelling("falcon")), sketches["bloom"]).value > 3
    assert max(int(reading.facts["in_candidate_however_common"] or 0) for reading in readings) > 20


def test_the_candidates_public_code_is_told_and_not_counted() -> None:
    """A copy of transformers' own file of the candidate's architecture is a row of its own, and the value is 0."""
    mamba = modelling("mamba")
    reading = PROBE.compare(sketch_of("acme", modeling=renamed(mamba)), sketch_of("mamba", modeling=mamba))
    assert reading.value == 0
    assert reading.facts["in_public_family_of_candidate"] > 0.9
    assert "transformers' own mamba, not counted" in {row[1] for row in rows(reading, 1)}
    assert any("transformers' own mamba, the candidate's architecture" in row[0] for row in rows(reading, 0))


@pytest.mark.parametrize(
    ("model_type", "told"), [("mamba", "transformers' own mamba"), ("acme", "candidate: no")]
)
def test_a_candidate_without_code_is_an_abstention_with_what_is_known(model_type: str, told: str) -> None:
    """Without the candidate's code there is no reading, but the public code of its architecture is told."""
    with pytest.raises(Abstain, match=told) as caught:
        PROBE.compare(sketch_of(modeling=modelling("mamba")), sketch_of(model_type))
    assert caught.value.reason is Reason.MISSING_FILES


def test_code_is_never_run(tmp_path: Path) -> None:
    """Code that would leave a canary is read as text."""
    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w').write('x')\n" + OWN
    assert PROBE.compare(sketch_of(a=evil), sketch_of(a=evil)).value > 0
    assert not canary.exists()


@pytest.mark.parametrize("text", ["\x00\ud800" * 100_000, OWN + "\n'''", "(" * 300_000, OWN.replace(":", "")])
def test_broken_code_still_gives_a_sketch_that_can_be_saved(text: str) -> None:
    """Broken text gives arrays that fit each other and lines that are plain UTF-8."""
    sketch = sketch_of(a=text)
    assert len({sketch.arrays[name].shape for name in ("hashes", "file", "place", "first", "last")}) == 1
    sketch.arrays["lines"].tobytes().decode("utf-8")


SPOILT: dict[str, Any] = {
    "lines": np.frombuffer(b"[" * 50_000, np.uint8),
    "hashes": np.zeros(3, np.uint64),
    "file": np.full(1, 99, np.int32),
    "first": np.zeros((2, 2), np.int32),
}


@pytest.mark.parametrize("name", [*SPOILT, "files", "missing"])
def test_a_strangers_broken_sketch_is_an_abstention(name: str) -> None:
    """A sketch whose parts do not fit abstains as incompatible instead of raising."""
    good = sketch_of(a=OWN)
    arrays, facts = dict(good.arrays), dict(good.facts)
    if name in SPOILT:
        arrays[name] = np.resize(SPOILT[name], arrays["file"].shape) if name == "file" else SPOILT[name]
    elif name == "files":
        facts["files"] = "[1"
    else:
        del arrays["place"]
    with pytest.raises(Abstain) as caught:
        PROBE.compare(replace(good, arrays=arrays, facts=facts), good)
    assert caught.value.reason is Reason.INCOMPATIBLE_SKETCHES
