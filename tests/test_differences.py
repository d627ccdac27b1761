"""What changed between two records is told with what it may come from, and never with a cause that does not differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from forensics import archive
from forensics.cli import main
from forensics.differences import UNEXPLAINED, Change, differences
from forensics.readings import Measurement
from forensics.records import Dossier, Finding
from forensics.report import differences_text
from tests.report import example

BASE = example.dossier()
MEASURED = next(i for i, f in enumerate(BASE.findings) if isinstance(f.outcome, Measurement) and f.weight)
NAME = f"{BASE.findings[MEASURED].probe.id} on {BASE.findings[MEASURED].candidate}"


def moved(dossier: Dossier) -> Dossier:
    """One measured reading is another."""
    finding = dossier.findings[MEASURED]
    assert isinstance(finding.outcome, Measurement)
    return with_finding(dossier, replace(finding, outcome=replace(finding.outcome, value=0.125)))


def with_finding(dossier: Dossier, finding: Finding) -> Dossier:
    """Another finding in its place."""
    found = list(dossier.findings)
    found[MEASURED] = finding
    return replace(dossier, findings=tuple(found))


def the(changes: tuple[Change, ...], what: str) -> Change:
    """The one change of this name."""
    (found,) = [change for change in changes if change.what == what]
    return found


def test_equal_records_differ_in_nothing() -> None:
    """And the text says so."""
    assert differences(BASE, BASE) == ()
    assert differences_text(()) == "The two records say the same.\n"


def test_a_reading_that_changed_for_no_reason_is_unexplained() -> None:
    """Nothing else differs: that is said, and no cause is made up."""
    change = the(differences(BASE, moved(BASE)), f"{NAME}, reading")
    assert change.after == "0.125"
    assert change.causes == (UNEXPLAINED,)


def test_other_files_are_the_cause_of_a_reading() -> None:
    """The suspect's digest differs; numpy's version as well, which is less direct and not named."""
    subjects = (replace(BASE.subjects[0], digest="0" * 64), *BASE.subjects[1:])
    environment = replace(BASE.environment, packages={**BASE.environment.packages, "numpy": "9"})
    changes = differences(BASE, moved(replace(BASE, subjects=subjects, environment=environment)))
    assert the(changes, f"{NAME}, reading").causes == ("suspect: other files",)
    assert the(changes, "suspect, digest").after == "0" * 64
    assert the(changes, "numpy").after == "9"


def test_version_and_parameters_of_the_probe_are_causes() -> None:
    """Those of this probe, and each parameter by name."""
    finding = BASE.findings[MEASURED]
    probe = replace(finding.probe, version="99", parameters={**finding.probe.parameters, "extra": 3})
    outcome = moved(BASE).findings[MEASURED].outcome
    told = differences(BASE, with_finding(BASE, replace(finding, probe=probe, outcome=outcome)))
    causes = the(told, f"{NAME}, reading").causes
    assert f"{probe.id}, version {finding.probe.version} → 99" in causes
    assert f"{probe.id}, parameter extra absent → 3" in causes


def test_packages_are_the_cause_where_nothing_more_direct_is() -> None:
    """A library's version is named before a change is called unexplained."""
    environment = replace(BASE.environment, packages={**BASE.environment.packages, "torch": "3"})
    change = the(differences(BASE, moved(replace(BASE, environment=environment))), f"{NAME}, reading")
    assert change.causes == ("torch 2.13.0+cpu → 3",)


def test_a_weight_changes_with_its_calibration() -> None:
    """A population with another digest explains weights and opinions, and not readings."""
    populations = tuple(replace(p, sha256="1" * 64) for p in BASE.environment.populations)
    finding = BASE.findings[MEASURED]
    assert finding.weight is not None
    other = with_finding(BASE, replace(finding, weight=replace(finding.weight, log10_lr=0.01)))
    opinion = replace(other.opinions[0], log10_lr=0.5, verdict="inconclusive")
    other = replace(
        other,
        environment=replace(BASE.environment, populations=populations),
        opinions=(opinion, *other.opinions[1:]),
    )
    changes = differences(BASE, other)
    assert the(changes, f"{NAME}, weight").causes == ("calibration mdgbench-1", "calibration zoo-1")
    verdict = the(changes, f"{opinion.candidate}, verdict")
    assert (verdict.before, verdict.after) == ("derived", "inconclusive")
    assert "calibration zoo-1" in verdict.causes
    assert not [change for change in changes if change.what.endswith(", reading")]


def test_an_opinion_changes_with_its_findings() -> None:
    """The probes whose readings of this candidate changed are named."""
    candidate = BASE.findings[MEASURED].candidate
    opinions = tuple(
        replace(o, log10_lr=0.2, lower=0.1, upper=0.3) if o.candidate == candidate else o
        for o in BASE.opinions
    )
    change = the(differences(BASE, moved(replace(BASE, opinions=opinions))), f"{candidate}, log10_lr")
    assert change.causes == (f"findings changed: {BASE.findings[MEASURED].probe.id}",)


def test_a_candidate_in_one_case_only_is_told_as_such() -> None:
    """Its findings and its opinion are in one record, because it is."""
    gone = BASE.case.candidates[-1]
    other = replace(
        BASE,
        case=replace(BASE.case, candidates=BASE.case.candidates[:-1]),
        findings=tuple(f for f in BASE.findings if f.candidate != gone),
        opinions=tuple(o for o in BASE.opinions if o.candidate != gone),
    )
    changes = differences(BASE, other)
    assert {c.causes for c in changes if f"on {gone}, reading" in c.what} == {
        (f"{gone} stands in one case only",)
    }
    assert "other candidates in the case" in the(changes, f"{gone}, verdict").causes


def test_every_part_of_the_record_is_looked_at() -> None:
    """Whatever top-level key differs, something is told."""
    for name in (
        "joint",
        "candidate_relations",
        "claims",
        "problems",
        "certificates",
        "exhibits",
        "statements",
        "findings",
    ):
        filled = example.contested()
        emptied = replace(filled, **{name: ()})
        if filled != emptied:
            assert differences(filled, emptied), name


def test_the_text_fits_eighty_columns_and_is_harmless() -> None:
    """Hostile strings are shown, never obeyed."""
    text = differences_text(differences(BASE, archive.settled(example.hostile())))
    assert max(map(len, text.splitlines())) <= 80
    assert not [c for c in text if ord(c) < 32 and c != "\n"]
    assert "\u202e" not in text


def test_the_command_prints_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 whatever differs; the JSON holds every change."""
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, dossier in zip(paths, (BASE, moved(BASE)), strict=True):
        path.write_bytes(archive.encode(dossier))
    assert main(["diff", *map(str, paths)]) == 0
    assert "unexplained" in capsys.readouterr().out
    assert main(["diff", *map(str, paths), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["changes"]
    assert [(c["part"], c["what"]) for c in told] == [("finding", f"{NAME}, reading")]
    assert main(["diff", str(paths[0]), str(tmp_path / "nowhere.json")]) == 2


def test_order_of_the_records_turns_the_changes_round() -> None:
    """Before and after change places, and nothing else."""
    one, other = differences(BASE, moved(BASE)), differences(moved(BASE), BASE)
    assert [(c.what, c.before, c.after) for c in one] == [(c.what, c.after, c.before) for c in other]
