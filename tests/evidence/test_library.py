"""What is loaded before a case, and what is refused."""

from __future__ import annotations

import copy
import json
import math
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from forensics.errors import PluginError
from forensics.evidence.bounds import Bounds, bounds_from
from forensics.evidence.library import assemble, bundled, load_reference
from forensics.evidence.population import COLUMNS
from forensics.evidence.scale import load_scale
from forensics.evidence.thresholds import load_thresholds
from tests.evidence.builders import reference_json

REFERENCE = Path(__file__).parents[2] / "forensics" / "evidence" / "reference"


def test_bundled_reference_loads() -> None:
    """The package's own files are well-formed and calibrate the published statistic."""
    found = load_reference()
    assert found.calibrations["weight-std"].population == "weight-std-published"
    assert found.populations["weight-std-published"].families == 17


def test_plugin_may_calibrate_its_own_probe() -> None:
    """A calibration that a plugin brings is indexed beside the bundled ones."""
    brought = {**reference_json(), "fusion": None}
    assert set(load_reference([brought]).calibrations) >= {"mlp-like", "weight-std"}


def test_two_calibrations_of_one_probe_stop_the_run() -> None:
    """The error names the probe and both populations."""
    second = {**reference_json(), "id": "other", "fusion": None}
    with pytest.raises(PluginError, match=r"attention-like.*made-up.*other"):
        assemble([reference_json(), second])


def test_two_populations_of_one_name_stop_the_run() -> None:
    """A population cannot be shadowed."""
    with pytest.raises(PluginError, match="two reference populations"):
        assemble([reference_json(), {**reference_json(), "calibrations": [], "fusion": None}])


def test_two_tables_stop_the_run() -> None:
    """Opinions rest on one table."""
    with pytest.raises(PluginError, match="both bring a table"):
        assemble([reference_json(), {**reference_json(), "id": "other", "calibrations": []}])


def test_rows_changed_after_fitting_are_refused() -> None:
    """A table whose rows no longer match their digest is not used."""
    changed = copy.deepcopy(reference_json())
    changed["fusion"]["rows"][0][COLUMNS.index("readings")][0] = 0.123
    with pytest.raises(PluginError, match="digest"):
        assemble([changed])


@pytest.mark.parametrize(
    ("key", "value"),
    [("schema", "other/1"), ("families", "many"), ("calibrations", {"probe": "x"}), ("fusion", {"rows": []})],
)
def test_malformed_reference_is_refused(key: str, value: object) -> None:
    """Whatever a plugin returns in place of a reference file is an error in two lines, not a crash."""
    with pytest.raises(PluginError):
        assemble([{**reference_json(), key: value}])


def test_every_threshold_has_a_reason() -> None:
    """The data file holds exactly the thresholds the rules use, each with a sentence."""
    folder = resources.files("forensics.evidence").joinpath("reference")
    found = json.loads(folder.joinpath("thresholds.json").read_text("utf-8"))
    assert set(found) - {"schema"} == set(load_thresholds().__slots__)
    assert all(len(entry["reason"]) > 40 for name, entry in found.items() if name != "schema")


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.0, "no support"), (2.0, "no support"), (2.01, "weak"), (10.0, "weak"), (10.1, "moderate support"),
        (100.0, "moderate support"), (100.1, "moderately strong"), (1000.0, "moderately strong"), (1e4, "strong"),
        (1e6, "very strong"), (1.1e6, "extremely strong"),
    ],
)  # fmt: skip
def test_edge_belongs_to_the_lower_band(ratio: float, words: str) -> None:
    """A ratio on an edge takes the weaker words, for either proposition."""
    scale = load_scale()
    assert scale.band(math.log10(ratio)).startswith(words)
    assert scale.band(-math.log10(ratio)).startswith(words)


def test_band_names_the_proposition() -> None:
    """Support is for one proposition relative to the other, and turns with the sign."""
    assert load_scale().band(1.3) == "moderate support for derivation relative to independent origin"
    assert load_scale().band(-0.6) == "weak support for independent origin relative to derivation"
    assert load_scale().name == "enfsi-2015-example/1"


def test_bounds_are_the_least_of_three_per_side() -> None:
    """ELUB, families and a ceiling each bind where they are least; cutting is never outwards."""
    assert bounds_from((-0.6437, 1.9), 17, 0.7) == Bounds(lower=-0.643, upper=0.7)
    assert bounds_from((-5.0, 5.0), 12) == Bounds(lower=-1.079, upper=1.079)
    assert Bounds(lower=-0.643, upper=0.7).cap == 0.7
    assert Bounds(lower=-0.5, upper=0.7).hold(-3.0) == -0.5


def test_reference_files_keep_their_schema() -> None:
    """Every packaged reference file is what `reference.schema.json` says, the table of readings per pair included."""
    schema = json.loads((REFERENCE / "reference.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    files = list(bundled())
    assert len(files) >= 2
    for content in files:
        assert [error.message[:200] for error in validator.iter_errors(content)] == []
    table = next(content["fusion"] for content in files if content.get("fusion"))
    assert table["columns"] == list(COLUMNS)
    broken = {**files[0], "sha256": "x"}
    assert list(validator.iter_errors(broken)), "the schema refuses what it should"


def test_the_table_of_readings_is_small() -> None:
    """What the package carries per pair stays under 5 MB."""
    assert (REFERENCE / "lineage-zoo.json").stat().st_size < 5_000_000
