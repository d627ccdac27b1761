"""Measured pairs to calibration files, and calibration files to cases."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.calibrating.brought import read_calibration, read_calibrations
from forensics.calibrating.population import content_of
from forensics.calibrating.reference_file import write
from forensics.errors import CaseError
from forensics.evidence.library import load_reference
from forensics.evidence.weighing import weigh
from forensics.readings import Measurement
from forensics.records import Case, Finding, Origin, ProbeUsed
from tests.calibrating.made import STRANGER, measured, pair_list


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration file of 12 families."""
    folder = tmp_path_factory.mktemp("written")
    listed = pair_list(folder, 12)
    write(folder / "mine.json", content_of(listed, measured(listed), "mine", draws=60))
    return folder / "mine.json"


def test_calibration_is_capped_by_its_families(written: Path) -> None:
    """Every calibration counts families, keeps within their log10, and states cost, interval and instrument."""
    for entry in json.loads(written.read_text())["calibrations"]:
        assert entry["families"] == 12
        assert -math.log10(12) <= entry["bounds"][0] < 0 < entry["bounds"][1] <= math.log10(12)
        assert len(entry["replicas"]) >= 50
        assert entry["version"]
        assert 0 <= entry["cllr"] < 0.5


def test_same_measurements_give_the_same_bytes(tmp_path: Path, written: Path) -> None:
    """Nothing of the run, its time or its place is in the file."""
    listed = pair_list(tmp_path, 12)
    write(tmp_path / "again.json", content_of(listed, measured(listed), "mine", draws=60))
    assert (tmp_path / "again.json").read_bytes() == written.read_bytes()
    assert str(tmp_path) not in written.read_text()


def test_fewer_than_eleven_families_are_refused(tmp_path: Path) -> None:
    """Below 11 families nothing is written, and the error says per probe how many there were."""
    listed = pair_list(tmp_path, 10)
    with pytest.raises(
        CaseError, match=r"norm-gains: .* of 10 and unrelated pairs of 10 .*; 11 of each are needed"
    ):
        content_of(listed, measured(listed), "mine", draws=60)


def test_probe_that_abstains_is_left_without_weight(tmp_path: Path) -> None:
    """A probe with too few readings gets no calibration and a reason; the others get theirs."""
    listed = pair_list(tmp_path, 12)
    content = content_of(listed, measured(listed, silent="qkv-bias"), "mine", draws=60)
    assert [entry["probe"] for entry in content["calibrations"]] == ["norm-gains"]
    assert "24 pairs: abstention: too small" in content["without_weight"]["qkv-bias"]


def test_unbounded_readings_are_not_taken_for_correlations(tmp_path: Path) -> None:
    """Readings beyond 1 of a probe that has no calibration are weighed as they are, cut at the ends of their range."""
    listed = pair_list(tmp_path, 12)
    found = measured(listed, scale=40.0)
    line = replace(found, offered={"stranger": found.offered["qkv-bias"]})
    for one in line.lines:
        one.readings["stranger"] = one.readings["qkv-bias"]  # type: ignore[index]
    (entry,) = content_of(listed, line, "mine", draws=60)["calibrations"]
    assert entry["transform"]["kind"] == "identity"
    assert entry["transform"]["high"] == entry["highest"] > 30


def finding(probe: str, value: float, *, version: str = "1", origin: Origin = STRANGER) -> Finding:
    """A reading of a probe."""
    used = ProbeUsed(
        id=probe, version=version, title="T", measures="M.", parameters={}, origin=origin, needs="", expected="",
        standard=True,
    )  # fmt: skip
    return Finding(probe=used, candidate="c", outcome=Measurement(value=value, quantity="q", summary="s"))


def test_brought_calibration_weighs_a_plugin_and_is_named_by_the_files_digest(written: Path) -> None:
    """A plugin's reading gets its weight from the file, whose SHA-256 stands in the record as the population's."""
    import hashlib

    content = read_calibration(str(written))
    entry = next(e for e in content["calibrations"] if e["probe"] == "qkv-bias")
    entry["probe"] = "first-row"
    reference = load_reference((), [content])
    case = Case(id="", suspect="s", candidates=("c",), controls=(), probes=("first-row",))
    found = finding("first-row", 0.9, version=entry["version"])
    weighed = weigh([found], [], case, reference)
    weight = weighed.findings[0].weight
    assert weight is not None
    assert 0.5 < weight.log10_lr <= weight.cap <= math.log10(12)
    assert [p.sha256 for p in weighed.populations] == [hashlib.sha256(written.read_bytes()).hexdigest()]
    assert weighed.opinions[0].verdict == "inconclusive"
    other = weigh([finding("first-row", 0.9, version="another")], [], case, reference)
    assert other.findings[0].weight is None
    assert weigh([found], [], case, load_reference()).findings[0].weight is None


def test_bundled_calibrations_stay_where_the_file_covers_nothing(written: Path) -> None:
    """The file's probes are weighed by it, all others and the fusion by the bundled references."""
    before, after = load_reference(), load_reference((), read_calibrations([str(written)]))
    name = json.loads(written.read_text())["id"]
    assert after.calibrations["norm-gains"].population == name
    untouched = before.calibrations.keys() - {"norm-gains", "qkv-bias"}
    assert {p: after.calibrations[p].population for p in untouched} == {
        p: before.calibrations[p].population for p in untouched
    }
    assert before.table is not None
    assert after.table is not None
    assert (after.table.population, after.table.probes) == (before.table.population, before.table.probes)


def test_two_files_for_one_probe_are_refused(tmp_path: Path, written: Path) -> None:
    """One calibration per probe: a second file for it is an error, not a choice made silently."""
    content = json.loads(written.read_text())
    (tmp_path / "other.json").write_text(json.dumps({**content, "id": "other"}))
    with pytest.raises(CaseError, match="calibrated by both"):
        read_calibrations([str(written), str(tmp_path / "other.json")])


def spoilt(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The content with changes to its first calibration."""
    first, *rest = content["calibrations"]
    return {**content, "calibrations": [{**first, **changes}, *rest]}


def test_hostile_calibration_files_are_refused(tmp_path: Path, written: Path) -> None:
    """A file that would break a promise (cap, monotony, finite numbers) or the record is an error of the user's."""
    content = json.loads(written.read_text())
    broken: list[Any] = [
        [], {}, {"calibrations": "x"}, {**content, "id": "lineage-zoo"}, {**content, "id": "a\u202eb"},
        {**content, "description": 3}, {**content, "schema": "other"}, {**content, "families": "many"},
        spoilt(content, slope=-1.0), spoilt(content, bounds=[-3.0, 3.0]), spoilt(content, replicas=[]),
        spoilt(content, spread=0.0), spoilt(content, probe=["a"], histogram=3), spoilt(content, intercept=1e400),
    ]  # fmt: skip
    for number, one in enumerate(broken):
        file = tmp_path / f"broken-{number}.json"
        file.write_text(json.dumps(one))
        with pytest.raises(CaseError):
            read_calibrations([str(file)])
    for file in (tmp_path, tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(CaseError):
            read_calibration(str(file))
