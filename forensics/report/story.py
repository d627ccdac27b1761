"""The report's text in order, for plain text: the same chapters as on paper, said with fewer words."""

from __future__ import annotations

from forensics.readings import Abstention, Exact, Failure, Measurement, Outcome
from forensics.records import Dossier, Finding, Opinion, Proposition, Subject
from forensics.report import among, claims, heatmaps, margins, numbers, parties, relations, self_test, view
from forensics.report.grids import grid, row_cap
from forensics.report.plain import Writer

LIMITS = (
    "Weights, not conduct: nothing here says who copied what, when, by what right, or whether a licence was kept.",
    "The likelihood ratio does not tell descent from common ancestry, from descent the other way or via a relative.",
    "A model trained on another’s answers shares behaviour and no weights; it counts as independent here.",
    "The figures are as good as the reference pairs they were fitted to; elsewhere they are extrapolated.",
    "Reordering, renaming and rescaling are looked for; a determined disguise or long retraining can hide a descent.",
    "The number of independent families bounds every likelihood ratio.",
)


def tell(dossier: Dossier, writer: Writer) -> None:
    """Writes the whole report."""
    _cover(dossier, writer)
    among.tell(dossier, writer)
    _answer(dossier, writer)
    writer.chapter("2", "Items examined")
    for subject in dossier.subjects:
        _item(subject, writer)
    writer.chapter("3", "Findings, instrument by instrument")
    measured = view.measured(dossier)
    cap = row_cap([table for found in measured for table in found.tables])
    for section in view.probe_sections(dossier):
        _instrument(section, writer, cap)
    _controls(dossier, writer)
    self_test.tell(dossier, writer)
    _weighing(dossier, writer)
    writer.chapter("6", "Limits")
    for limit in LIMITS:
        writer.item(limit)
    _closing(dossier, writer)
    parties.tell(dossier, writer)


def _cover(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("", "Model lineage dossier")
    writer.paragraph(view.question(dossier))
    writer.pair("case", dossier.case.id or "no case number was given")
    writer.pair("suspect", dossier.case.suspect)
    writer.pair("date", dossier.case.generated_at or "not stated (SOURCE_DATE_EPOCH not set)")
    writer.pair("examined with", f"{dossier.tool.name} {dossier.tool.version}")


def _answer(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("1", "The answer")
    writer.paragraph(
        "Two statements are weighed against each other. Derived: the suspect’s weights were made from the "
        "candidate’s. Independent: the two were initialised and trained apart. The likelihood ratio (LR) says how "
        "many times more probable the findings are under one than under the other; it is not the probability of "
        "either. This is not legal advice and not a finding of infringement."
    )
    if not dossier.opinions:
        writer.paragraph("The record holds no opinion.")
    for answer in view.answers(dossier):
        if answer.role == "candidate":
            _opinion(answer, dossier.case.suspect, writer)
    for said in relations.together(dossier):
        writer.gap()
        writer.pair("together", said)


def _opinion(answer: view.Answer, suspect: str, writer: Writer) -> None:
    opinion: Opinion = answer.opinion
    writer.gap()
    writer.item(f"[{answer.tag}] {opinion.candidate}: {view.verdict(opinion)}", bullet="")
    writer.pair("log10 LR", view.ratio(opinion))
    writer.pair("in words", opinion.band)
    if opinion.exact is not None:
        holm = "" if opinion.exact.p_holm is None else f"; Holm {numbers.p_value(opinion.exact.p_holm)}"
        writer.pair("exact tests", f"p {numbers.p_value(opinion.exact.p)}{holm}; {opinion.exact.method}")
    writer.pair("says", view.sentence(opinion, suspect))
    writer.pair("because", opinion.because)
    _relation(opinion, writer)
    writer.pair("not meaning", opinion.not_meaning)
    writer.pair("coverage", f"{view.coverage(opinion)} of the suspect’s parameters")


def _relation(opinion: Opinion, writer: Writer) -> None:
    if relations.how(opinion):
        writer.pair("how", relations.how(opinion))
    if relations.direction(opinion):
        writer.pair("direction", relations.direction(opinion))


def _item(subject: Subject, writer: Writer) -> None:
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


def _instrument(section: view.ProbeSection, writer: Writer, cap: int) -> None:
    used = section.used
    writer.chapter("", f"{used.title} ({used.id} {used.version})", rule="-")
    writer.paragraph(used.measures)
    if used.expected:
        writer.pair("expected", used.expected)
    owner = "" if used.origin.bundled else ", a third party’s plugin"
    writer.pair("instrument", f"{used.origin.distribution} {used.origin.version}{owner}")
    settings = ", ".join(f"{name} = {numbers.scalar(value)}" for name, value in used.parameters.items())
    writer.pair("parameters", settings or "none")
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


def _controls(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("4", "Controls")
    controls = [answer for answer in view.answers(dossier) if answer.role == "control"]
    if not controls:
        writer.paragraph(
            "No control was given: the instruments were not tried, in this case, on a model known to be unrelated."
        )
    for answer in controls:
        _opinion(answer, dossier.case.suspect, writer)


def _weighing(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("5", "How the findings were weighed")
    for answer in view.answers(dossier):
        opinion = answer.opinion
        writer.gap()
        writer.item(
            f"[{answer.tag}] {opinion.candidate}: {view.verdict(opinion)}, log10 LR {view.ratio(opinion)}",
            bullet="",
        )
        for part in opinion.contributions:
            left = view.without(opinion, part.probe)
            writer.pair(
                "share",
                f"{numbers.bans(part.log10_lr)} from {view.voter(part)}{f'; without it {left}' if left else ''}",
            )
        for ground in opinion.grounds:
            writer.pair("rule", ground)
        for one in opinion.propositions:
            _proposition(one, writer)
    claims.tell(dossier, writer)
    among.explain(dossier, writer)
    for population in dossier.environment.populations:
        writer.gap()
        writer.item(f"population {population.id}: {population.description}", bullet="")
        pairs = f"{population.derived_pairs} derived and {population.unrelated_pairs} unrelated pairs"
        writer.pair("size", f"{population.families} families, {pairs}")
        writer.pair("sha256", population.sha256)
        if population.cllr is not None:
            writer.pair("Cllr", f"{numbers.two_digits(population.cllr)} bits (0 perfect, 1 uninformative)")


def _proposition(one: Proposition, writer: Writer) -> None:
    told = f" Not told from: {relations.not_told_from(one)}." if one.not_told_from else ""
    writer.pair("proposition", f"{one.standing}: {one.words}. {' '.join(one.grounds)}{told}")


def _closing(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("7", "Irregularities")
    for problem in dossier.problems[: view.ROWS]:
        writer.item(f"{problem.where}: {problem.code}: {problem.message}")
    if not dossier.problems:
        writer.line("None were recorded.")
    writer.chapter("8", "Environment")
    environment = dossier.environment
    writer.pair("python", f"{environment.python}, on {environment.device}")
    versions = [f"{name} {version}" for name, version in environment.packages.items()]
    writer.pair("packages", ", ".join(versions) or "none listed")
    for plugin in environment.plugins:
        writer.pair("plugins from", f"{plugin.distribution} {plugin.version} {plugin.sha256}")
