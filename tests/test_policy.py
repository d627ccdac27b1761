"""Policies: rules put to a record, read strictly, failing closed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from forensics.cli import main
from forensics.errors import CaseError
from forensics.gates import Judged, judged
from forensics.policy import read_policy
from forensics.readings import Failure
from forensics.records import Dossier, Problem
from forensics.report.gating import junit_of, policy_lines
from tests.report.example import HOSTILE, bare, dossier, record_of

HEAD = 'schema = "forensics-policy/1"\n'
DOCS = Path(__file__).parent.parent / "docs" / "policy.md"


def put(tmp_path: Path, rules: str, record: Dossier) -> tuple[Judged, ...]:
    """The rules, from a file, to the record."""
    (tmp_path / "rules.toml").write_text(HEAD + rules, encoding="utf-8")
    return judged(read_policy(tmp_path / "rules.toml"), record)


def fired(found: tuple[Judged, ...]) -> set[str]:
    """What the rules that fired are about."""
    return {one.about for one in found if one.fired}


def rule(conditions: str) -> str:
    """A rule of that name with these lines."""
    return f'[[rule]]\nname = "it"\n{conditions}\n'


def test_a_rule_fires_where_all_its_conditions_hold(tmp_path: Path) -> None:
    """Each candidate is judged by itself; one broken condition keeps the rule from firing."""
    record = dossier()
    derived = {o.candidate for o in record.opinions if o.verdict == "derived"}
    rest = {o.candidate for o in record.opinions} - derived
    assert derived
    assert rest
    assert fired(put(tmp_path, rule('verdict = ["derived"]'), record)) == derived
    assert fired(put(tmp_path, rule('verdict = ["independent", "inconclusive"]'), record)) == rest
    assert not fired(put(tmp_path, rule('verdict = ["derived"]\nlog10_lr_from = 99.0'), record))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("log10_lr_from = {}", True), ("log10_lr_to = {}", True), ("lower_from = {}", False),
        ("coverage_below = 1.01", True), ("coverage_below = 0.0", False),
    ],
)  # fmt: skip
def test_bounds_are_inclusive_where_they_say_from_and_to(tmp_path: Path, condition: str, holds: bool) -> None:
    """A bound equal to the number fulfils `from` and `to`; the lower end of an interval lies below its number."""
    record = dossier()
    opinion = next(o for o in record.opinions if o.verdict == "derived")
    asked = rule(f'labels = ["{opinion.candidate}"]\n{condition.format(opinion.log10_lr)}')
    assert bool(fired(put(tmp_path, asked, record))) == holds


def test_what_the_record_does_not_hold_fires_unless_told_otherwise(tmp_path: Path) -> None:
    """A gate fails closed: without a number a rule about it counts as fired, or passes as the rule says."""
    record = dossier()
    record = replace(
        record, opinions=tuple(replace(o, log10_lr=None, coverage=None) for o in record.opinions), controls=()
    )
    everybody = {o.candidate for o in record.opinions}
    assert fired(put(tmp_path, rule("log10_lr_from = 1.0"), record)) == everybody
    assert not fired(put(tmp_path, rule('if_unknown = "pass"\nlog10_lr_from = 1.0'), record))
    assert fired(put(tmp_path, rule('about = "controls"\nverdict = ["derived"]'), record)) == {"controls"}
    assert fired(put(tmp_path, rule('about = "suspect"\ncoverage_below = 0.9'), record)) == {
        record.case.suspect
    }
    unknown = put(tmp_path, rule('labels = ["nobody"]\nverdict = ["derived"]'), record)
    assert fired(unknown) == {"nobody"}
    assert not unknown[0].known
    assert "no opinion on nobody" in unknown[0].found[0]


def test_a_broken_condition_decides_though_another_is_unknown(tmp_path: Path) -> None:
    """Conditions are joined by `and`: what is false stays false, whatever is not known beside it."""
    record = dossier()
    opinions = tuple(replace(o, verdict="independent", log10_lr=None) for o in record.opinions)
    found = put(
        tmp_path, rule('verdict = ["derived"]\nlog10_lr_from = 1.0'), replace(record, opinions=opinions)
    )
    assert not fired(found)
    assert all(one.known for one in found)


def test_findings_of_a_probe_can_be_asked_for(tmp_path: Path) -> None:
    """A rule may look at one probe's outcome, value and facts; a probe that took no part is not known."""
    record = dossier()
    finding = next(f for f in record.findings if f.outcome.kind == "measurement")
    about = f'labels = ["{finding.candidate}"]\n'
    probe = f'probe = "{finding.probe.id}"'
    told = replace(finding, outcome=replace(finding.outcome, facts={"licence": "apache-2.0"}))
    record = replace(record, findings=tuple(told if f is finding else f for f in record.findings))
    value = finding.outcome.value
    for condition, holds in (
        ('outcome = ["measurement"]', True), ('outcome = ["failure"]', False),
        (f"value_from = {value}", True), (f"value_to = {value - 1}", False),
        ('facts = { licence = ["mit", "apache-2.0"] }', True), ('facts = { licence = ["mit"] }', False),
    ):  # fmt: skip
        found = put(tmp_path, rule(f"{about}finding = {{ {probe}, {condition} }}"), record)
        assert bool(fired(found)) == holds, condition
    for absent in (f'{probe}, facts = {{ colour = ["red"] }}', 'probe = "divination", value_from = 1.0'):
        assert not put(tmp_path, rule(f"{about}finding = {{ {absent} }}"), record)[0].known


def test_problems_and_failures_of_the_case(tmp_path: Path) -> None:
    """Codes match by how they begin; a failed probe is told by name."""
    record = replace(bare(), problems=(Problem(where="x", code="PLUGIN_IMPORT", message="no"),))
    assert fired(put(tmp_path, rule('about = "case"\nproblem = ["PLUGIN"]'), record)) == {"the case"}
    assert not fired(put(tmp_path, rule('about = "case"\nproblem = ["HUB"]'), record))
    clean = dossier()
    quiet = replace(clean, findings=tuple(f for f in clean.findings if f.outcome.kind != "failure"))
    broken = replace(quiet.findings[0], outcome=Failure(error="ValueError", detail="no"))
    assert not fired(put(tmp_path, rule('about = "case"\nfailed = true'), quiet))
    found = put(tmp_path, rule('about = "case"\nfailed = true'), replace(quiet, findings=(broken,)))
    assert broken.probe.id in found[0].found[0]
    assert found[0].fired


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a valid record"),
        ('schema = "forensics-policy/2"\n[[rule]]\nname = "x"', "schema"),
        (HEAD, "rule"),
        (HEAD + "rule = []", "no [[rule]]"),
        (HEAD + '[[rule]]\nname = "x"', "no condition"),
        (HEAD + '[[rule]]\nname = "x"\nverdict = ["guilty"]', "verdict"),
        (HEAD + '[[rule]]\nname = "x"\nwhen = "1 + 1"', "when"),
        (HEAD + '[[rule]]\nname = "x"\nlog10_lr_from = nan', "finite"),
        (HEAD + '[[rule]]\nname = "x"\nabout = "case"\nverdict = ["derived"]', "asks for verdict"),
        (HEAD + '[[rule]]\nname = "x"\nfinding = { probe = "y" }', "asks nothing of y"),
        (HEAD + "[[rule\n", "not TOML"),
        ("x = " + "[" * 5000, "not TOML"),
        (HEAD + "#" * (1 << 20), "larger than"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """Misspelt keys, unknown verdicts, rules without a condition and files that are none end with a pointed error."""
    (tmp_path / "rules.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CaseError, match=re.escape(says)):
        read_policy(tmp_path / "rules.toml")


def test_a_policy_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("nowhere.toml", ".", "bytes.toml"):
        with pytest.raises(CaseError):
            read_policy(tmp_path / name)


def test_lines_and_junit_say_the_same_and_nothing_hostile(tmp_path: Path) -> None:
    """Hostile names come through both as escapes; JUnit parses, with a failure for every rule that fired."""
    record = dossier()
    opinions = tuple(
        replace(o, candidate=name) for o, name in zip(record.opinions, HOSTILE[4:], strict=False)
    )
    found = put(
        tmp_path,
        rule('verdict = ["derived", "independent", "inconclusive"]'),
        replace(record, opinions=opinions),
    )
    assert fired(found) == {o.candidate for o in opinions}
    lines, written = policy_lines(found), junit_of(found)
    assert len(lines) == len(found) + 1
    assert all(line.isprintable() for line in lines)
    suite = ET.fromstring(written)
    assert suite.get("failures") == str(len(found)) == str(len(suite.findall("testcase/failure")))
    assert all((case.get("name") or "").isprintable() for case in suite)
    assert written == junit_of(found)


def test_check_exits_1_where_a_rule_fires(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command's status is what a build needs; it writes JUnit where asked."""
    (tmp_path / "dossier.json").write_bytes(record_of(dossier()))
    for conditions, status in (
        ('verdict = ["derived"]', 1),
        ('log10_lr_from = 99.0\nif_unknown = "pass"', 0),
    ):
        (tmp_path / "rules.toml").write_text(HEAD + rule(conditions), encoding="utf-8")
        asked = ["check", str(tmp_path / "dossier.json"), "--policy", str(tmp_path / "rules.toml")]
        assert main([*asked, "--junit", str(tmp_path / "junit.xml")]) == status
        told = capsys.readouterr().out
        assert ("it: fired for" in told) == bool(status)
        assert ET.parse(tmp_path / "junit.xml").getroot().get("name") == "forensics policy"
    assert main(["check", str(tmp_path / "dossier.json"), "--policy", str(tmp_path / "gone.toml")]) == 2


def test_the_documented_policy_is_one(tmp_path: Path) -> None:
    """The example in docs/policy.md reads, and every rule of it can be put to a record."""
    text = re.search(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    rules = text.group(1).removeprefix(HEAD)
    found = put(tmp_path, rules, dossier())
    assert len({one.rule.name for one in found}) == rules.count("[[rule]]") == 5
    assert all(one.known for one in found if one.rule.about != "candidates")
