"""Building reference files from measurements."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import calibrate, voting, weight_std_population
from forensics.calibrating.reference_file import edges_for, write
from forensics.evidence.assessment import assess
from forensics.evidence.library import assemble
from forensics.evidence.population import COLUMNS


def measured_zoo(families: int) -> tuple[calibrate.Zoo, list[dict[str, Any]]]:
    """A zoo of so many families with one descendant each, and every pair's readings by two probes."""
    rng = np.random.Generator(np.random.PCG64(9))
    names = [f"b{a}" for a in range(families)]
    checkpoints = {
        name + suffix: {
            "name": name + suffix, "initialisation": name, "width": 96 + a % 2 * 32, "architecture": "llama",
            "layers": 4 + a % 3, "dtype": "float32" if suffix else "bfloat16",
        }
        for a, name in enumerate(names)
        for suffix in ("", ".tune")
    }  # fmt: skip
    lines = []
    for a in range(families):
        for b in range(a, families):
            value = float(np.tanh(rng.normal(1.5 if a == b else 0.0, 0.3)))
            reading = {"value": value, "layers": [value], "peak": value, "p": None, "signs": []}
            lines.append(
                {
                    "suspect": f"b{a}.tune", "candidate": f"b{b}", "label": "derived" if a == b else "unrelated",
                    "stratum": "fine-tuned" if a == b else "same-recipe", "family_cell": f"b{a}|b{b}",
                    "readings": {"neuron-match": reading, "weight-std": {"none": "abstention: no"}},
                }
            )  # fmt: skip
    return calibrate.Zoo(checkpoints=checkpoints, pairs=()), lines


def test_zoo_becomes_a_reference_that_loads() -> None:
    """Rows, digest, calibration and validation of a measured zoo are accepted by the package's own reader."""
    zoo, lines = measured_zoo(14)
    rows = calibrate.table_rows(zoo, lines, ["neuron-match"])
    content = calibrate.reference(
        rows, ["neuron-match"], calibrate.described(zoo, rows), {"neuron-match": "1"}
    )
    found = assemble([json.loads(json.dumps(content))])
    assert found.table is not None
    assert found.table.probes == ("neuron-match",)
    assert (content["families"], content["derived_pairs"], content["unrelated_pairs"]) == (14, 14, 91)
    assert content["cells"] == {"derived": 14, "unrelated": 91}
    assert content["strata"]["same-recipe"]["misleading"] < 0.1
    assert found.calibrations["neuron-match"].weigh(0.95, "").log10_lr > 0.8


def test_layer_peaks_are_kept_for_unrelated_pairs_only() -> None:
    """What a layer of an unrelated pair ever reached is in the table; a derived pair's layers are not."""
    zoo, lines = measured_zoo(3)
    for row in calibrate.table_rows(zoo, lines, ["neuron-match"]):
        named = dict(zip(COLUMNS, row, strict=True))
        assert (named["layer_peaks"][0] is None) is (named["label"] == "derived")
        assert named["layer_peaks"][0] in (None, named["readings"][0])
        assert named["precision"] == 8, "of the coarser: the base's bfloat16"


def test_ten_families_are_refused() -> None:
    """A population whose log10 of families cannot reach the threshold does not become a reference."""
    zoo, lines = measured_zoo(10)
    rows = calibrate.table_rows(zoo, lines, ["neuron-match"])
    with pytest.raises(SystemExit, match="10 independent families"):
        calibrate.reference(rows, ["neuron-match"], "too few", {"neuron-match": "1"})


def test_files_are_never_fused() -> None:
    """Documents and tokenizers have no column in the table, whatever they read (decision 1, methods P10)."""
    fused = {probe for members in voting.VOTES.values() for probe in members}
    assert not {"tokenizer-diff", "repository-scan"} & fused


def test_published_matrix_is_read_by_family_cell(tmp_path: Path) -> None:
    """Ids are matched whether written with "/" or "_", every pair is used once, the doubtful cell not at all."""
    families = [["a/1", "a/2"], ["b/1"], ["Qwen/Qwen2.5-1.5B", "q/2"], ["Qwen/Qwen2-VL-2B"]]
    names = [name for members in families for name in members]
    (tmp_path / "cluster.json").write_text(json.dumps(families))
    with (tmp_path / "std_profile.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["", *(name.replace("/", "_") for name in names)])
        for i, name in enumerate(names):
            lines.writerow([name.replace("/", "_"), *(1.0 if i == j else 0.1 * abs(i - j) for j in range(6))])
    listed, matrix = weight_std_population.read_matrix(tmp_path / "std_profile.csv")
    family = weight_std_population.read_families(tmp_path / "cluster.json")
    found = weight_std_population.pairs(listed, matrix, family)
    assert found.readings.size == 15 - 2
    assert int(found.rows.derived.sum()) == 2
    assert np.unique(found.rows.cells).size == 2 + 5
    assert found.rows.weights().sum() == pytest.approx(7.0)


def test_written_file_is_the_same_for_the_same_rows(tmp_path: Path) -> None:
    """Two builds from the same measurements give the same bytes."""
    zoo, lines = measured_zoo(12)
    for name in ("one", "two"):
        rows = calibrate.table_rows(zoo, lines if name == "one" else lines[::-1], ["neuron-match"])
        write(tmp_path / name, calibrate.reference(rows, ["neuron-match"], "made up", {"neuron-match": "1"}))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.loads((tmp_path / "one").read_text())["id"] == "lineage-zoo"


@pytest.mark.parametrize("readings", [[0.25, 0.25], [-0.3333333333, 0.77777777777]])
def test_edges_hold_every_reading(readings: list[float]) -> None:
    """No reading falls outside the histogram by rounding, and a constant one still has a bin."""
    edges = edges_for(np.array(readings))
    assert edges == sorted(set(edges))
    assert edges[0] <= min(readings) <= max(readings) <= edges[-1]


def test_ceiling_of_the_published_statistic() -> None:
    """The decided cap of log10 5 holds even where families and counts would allow more."""
    rng = np.random.Generator(np.random.PCG64(2))
    size = 20
    names = [f"m{k}" for k in range(size)]
    family = {name: k // 2 for k, name in enumerate(names)} | {
        "Qwen_Qwen2.5-1.5B": 90,
        "Qwen_Qwen2-VL-2B": 91,
    }
    matrix = rng.uniform(-0.2, 0.5, (size, size))
    for k in range(0, size, 2):
        matrix[k, k + 1] = 0.999
    found = weight_std_population.pairs(names, matrix, family)
    assessed = assess(found.rows, seed=1, draws=60, ceiling=weight_std_population.CEILING)
    assert assessed is not None
    assert assessed.bounds.upper == pytest.approx(0.7)
