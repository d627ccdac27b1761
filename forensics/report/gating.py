"""What the rules of a policy said, for a terminal and as JUnit XML, which says it honestly: a rule is a test case."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from forensics.gates import Judged
from forensics.report.display import display


def policy_lines(found: Sequence[Judged]) -> list[str]:
    """A line for each rule that fired or could not be judged, then how many were put."""
    lines = []
    for one in found:
        if one.fired or not one.known:
            says = "fired" if one.fired else "not judged, passed"
            unknown = "" if one.known else "the record cannot say: "
            why = f" ({one.rule.why})" if one.rule.why and one.fired else ""
            lines.append(f"policy: {one.rule.name}: {says} for {one.about}: {unknown}{_found(one)}{why}")
    fired = sum(one.fired for one in found)
    lines.append(f"policy: {fired} of {len(found)} checks fired")
    return [display(" ".join(line.split())) for line in lines]


def junit_of(found: Sequence[Judged]) -> bytes:
    """JUnit XML: one suite, one case per rule and thing it was put to; the same bytes for the same record."""
    counts = {
        "tests": len(found),
        "failures": sum(one.fired for one in found),
        "errors": 0,
        "skipped": sum(not one.fired and not one.known for one in found),
    }
    told = {name: str(count) for name, count in counts.items()}
    suite = ET.Element("testsuite", {"name": "forensics policy", **told})
    for one in found:
        names = {"classname": _text(one.rule.name), "name": _text(one.about)}
        case = ET.SubElement(suite, "testcase", names)
        if one.fired:
            failure = ET.SubElement(case, "failure", {"message": _text(one.rule.why or one.rule.name)})
            failure.text = _text(_found(one))
        elif not one.known:
            ET.SubElement(case, "skipped", {"message": _text(_found(one))})
    ET.indent(suite, " ")
    written: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _found(one: Judged) -> str:
    return "; ".join(one.found)


def _text(text: str) -> str:
    """Text as XML can hold it: what is not shown is not written either."""
    return display(" ".join(text.split()))
