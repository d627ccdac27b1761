"""Items, instruments and findings of the plain-text report: what was examined, with what, and what was read."""

from __future__ import annotations

from forensics.readings import Abstention, Exact, Failure, Measurement, Outcome
from forensics.records import Finding, Subject
from forensics.report import heatmaps, margins, numbers, view
from forensics.report.grids import grid
from forensics.report.plain import Writer


def item(subject: Subject, writer: Writer) -> None:
    """One checkpoint, its files with their digests, and what of it was not examined."""
    writer.gap()
    writer.line(f"{subject.role}: {subject.label} ({subject.form})")
    if subject.commit:
        writer.pair("commit", subject.commit)
    if subject.digest:
        writer.pair(
            "digest", f"{subject.digest}{' (of the parts read)' if subject.form == 'first-look' else ''}"
        )
    if seen := subject.repository:
        told = f"{seen.name}: {numbers.count(seen.texts)} text files of {numbers.count(seen.files)}"
        writer.pair("repository", f"{told}, {numbers.size(seen.size)}, digest {seen.digest}")
    if subject.architecture:
        a = subject.architecture
        writer.pair(
            "architecture", f"{a.declared or 'none declared'}, {a.layout}: {a.layers} layers, width {a.width}"
        )
    if subject.parameters:
        share = numbers.probability(subject.recognised / subject.parameters)
        writer.pair("parameters", f"{numbers.parameters(subject.parameters)}, {share} recognised and read")
    for file in subject.files[: view.ROWS]:
        writer.line(
            f"  {file.sha256 or 'not hashed'}  {file.name}  {numbers.size(file.size)} {file.note}".rstrip()
        )
    if len(subject.files) > view.ROWS:
        writer.line(f"  {len(subject.files) - view.ROWS} more files in the record")
    for left in subject.unexamined[: view.UNEXAMINED]:
        writer.pair("not examined", f"{left.name}: {left.reason}")
    more = max(0, len(subject.unexamined) - view.UNEXAMINED) + subject.unexamined_omitted
    if more:
        writer.pair("not examined", f"{more} more")


def method(section: view.ProbeSection, writer: Writer) -> None:
    """One instrument in its own words, with what was expected before looking."""
    used = section.used
    writer.chapter("", f"{used.title} ({used.id} {used.version})", rule="-")
    writer.paragraph(used.measures)
    if used.expected:
        writer.pair("expected", used.expected)
    owner = "" if used.origin.bundled else ", a third party’s plugin"
    writer.pair("instrument", f"{used.origin.distribution} {used.origin.version}{owner}")
    settings = ", ".join(f"{name} = {numbers.scalar(value)}" for name, value in used.parameters.items())
    writer.pair("parameters", settings or "none")


def readings(section: view.ProbeSection, writer: Writer, cap: int) -> None:
    """What one instrument found, pair by pair and of several candidates together."""
    writer.chapter("", f"{section.used.title} ({section.used.id})", rule="-")
    for finding in section.findings[: view.ROWS]:
        _finding(finding, writer, cap)
    for joint in section.joint:
        writer.gap()
        writer.line(f"together, {', '.join(joint.candidates) or 'no candidate'}: {view.kind(joint.outcome)}")
        _outcome(joint.outcome, writer, cap)


def _finding(finding: Finding, writer: Writer, cap: int) -> None:
    writer.gap()
    writer.line(f"{finding.candidate}: {view.kind(finding.outcome)}")
    _outcome(finding.outcome, writer, cap, finding)


def _outcome(found: Outcome, writer: Writer, cap: int, finding: Finding | None = None) -> None:
    match found:
        case Abstention() | Failure():
            writer.pair("reason", view.reason(found))
            writer.pair("in detail", found.detail)
        case Measurement():
            writer.pair("says", found.summary)
            writer.pair("reading", f"{numbers.cell(found.value)}, {found.quantity}")
            if finding is not None:
                _weight(finding, finding.exact or found.exact, writer)
                for line in margins.lines(finding):
                    writer.pair("controls", line)
            for sign in found.signs:
                writer.pair("caution", f"sign of {sign.sign.value.replace('-', ' ')}: {sign.detail}")
            if found.facts:
                writer.pair(
                    "side figures",
                    "; ".join(f"{k.replace('_', ' ')} {numbers.cell(v)}" for k, v in found.facts.items()),
                )
            for matrix in found.matrices:
                writer.pair("heat map", heatmaps.words(matrix))
            for table in found.tables:
                writer.table(grid(table, cap))


def _weight(finding: Finding, exact: Exact | None, writer: Writer) -> None:
    weight = finding.weight
    if weight is None:
        writer.pair("weight", "none; it cannot sway the opinion")
    else:
        span = f"{numbers.interval(weight.lower, weight.upper)}, bound {numbers.bound(weight.cap)}"
        writer.pair("weight", f"log10 LR {numbers.bans(weight.log10_lr)} ({span}), {weight.population}")
    if exact is not None:
        holm = "" if exact.p_holm is None else f"; Holm {numbers.p_value(exact.p_holm)}"
        writer.pair(
            "exact test", f"p {numbers.p_value(exact.p)}{holm}, if {exact.null_hypothesis}; {exact.method}"
        )
