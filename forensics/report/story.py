"""The report's text in order, for plain text: the same chapters as on paper, said with fewer words."""

from __future__ import annotations

from forensics.records import Dossier, Opinion, Proposition
from forensics.report import (
    among,
    claims,
    numbers,
    parties,
    relations,
    reproduce,
    self_test,
    validated,
    view,
    wording,
)
from forensics.report.chapters import Chapter, chapters
from forensics.report.grids import row_cap
from forensics.report.plain import Writer
from forensics.report.told import item, method, readings

LIMITS = (
    "Weights, not conduct: nothing here says who copied what, when, by what right, or whether a licence was kept.",
    "The likelihood ratio does not tell descent from common ancestry, from descent the other way or via a relative.",
    "A model trained on another’s answers shares behaviour and no weights; it counts as independent here.",
    "The figures are as good as the reference pairs they were fitted to; elsewhere they are extrapolated.",
    "Reordering, renaming and rescaling are looked for; a determined disguise or long retraining can hide a descent.",
    "The number of independent families bounds every likelihood ratio.",
)


def tell(dossier: Dossier, writer: Writer) -> None:
    """Writes the whole report, in the order and under the numbers of the page."""
    sections = view.probe_sections(dossier)
    found = {chapter.key: chapter for chapter in chapters(dossier, sections)}
    _cover(dossier, writer)
    among.tell(dossier, writer)
    _answer(dossier, writer)
    _head(found["question"], writer)
    _question(dossier, writer)
    _head(found["items"], writer)
    for subject in dossier.subjects:
        item(subject, writer)
    _problems(dossier, writer)
    _head(found["methods"], writer)
    for section in sections:
        method(section, writer)
    _head(found["findings"], writer)
    cap = row_cap([table for seen in view.measured(dossier) for table in seen.tables])
    for section in sections:
        readings(section, writer, cap)
    _head(found["weighing"], writer)
    _weighing(dossier, writer)
    _controls(dossier, writer)
    self_test.tell(dossier, writer)
    _head(found["validation"], writer)
    _validation(dossier, writer)
    parties.tell(dossier, writer, number=found["parties"].number if "parties" in found else "")
    _head(found["limits"], writer)
    for limit in LIMITS:
        writer.item(limit)
    for answer in view.answers(dossier):
        if answer.opinion.conditions:
            writer.item(f"[{answer.tag}] {' '.join(wording.turning(answer.opinion))}")
    _head(found["reproduction"], writer)
    _closing(dossier, writer)


def _head(chapter: Chapter, writer: Writer) -> None:
    writer.chapter(chapter.number, chapter.title)


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


def _question(dossier: Dossier, writer: Writer) -> None:
    found = wording.standings(view.answers(dossier))
    if found is None:
        writer.paragraph("The record states no propositions beyond the two.")
        return
    for words, row in found.rows:
        told = ", ".join(f"[{a.tag}] {standing}" for a, standing in zip(found.answers, row, strict=True))
        writer.item(f"{words}: {told}")


def _problems(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("", "Irregularities", rule="-")
    for problem in dossier.problems[: view.ROWS]:
        writer.item(f"{problem.where}: {problem.code}: {problem.message}")
    if not dossier.problems:
        writer.line("None were recorded.")


def _validation(dossier: Dossier, writer: Writer) -> None:
    for what, inside, words in validated.nearness(dossier):
        writer.item(f"{what}, {'within the reference' if inside else 'OUTSIDE THE REFERENCE'}: {words}")
    found = validated.validated(dossier)
    for one in found:
        writer.gap()
        writer.item(f"population {one.population.id}: {one.population.description}", bullet="")
        for label, words in one.figures:
            writer.pair(label, words)
        writer.pair("sha256", one.population.sha256)
        for table in (one.tippett, one.strata):
            if table is not None:
                writer.table(table)
    if not found:
        writer.paragraph("No reference population was used, so nothing in this case was weighed.")


def _controls(dossier: Dossier, writer: Writer) -> None:
    writer.chapter("", "Controls", rule="-")
    controls = [answer for answer in view.answers(dossier) if answer.role == "control"]
    if not controls:
        writer.paragraph(
            "No control was given: the instruments were not tried, in this case, on a model known to be unrelated."
        )
    for answer in controls:
        _opinion(answer, dossier.case.suspect, writer)


def _weighing(dossier: Dossier, writer: Writer) -> None:
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


def _proposition(one: Proposition, writer: Writer) -> None:
    told = f" Not told from: {relations.not_told_from(one)}." if one.not_told_from else ""
    writer.pair("proposition", f"{one.standing}: {one.words}. {' '.join(one.grounds)}{told}")


def _closing(dossier: Dossier, writer: Writer) -> None:
    environment = dossier.environment
    writer.pair("python", f"{environment.python}, on {environment.device}")
    versions = [f"{name} {version}" for name, version in environment.packages.items()]
    writer.pair("packages", ", ".join(versions) or "none listed")
    for plugin in environment.plugins:
        writer.pair("plugins from", f"{plugin.distribution} {plugin.version} {plugin.sha256}")
    writer.gap()
    for line in reproduce.command(dossier).split("\n"):
        writer.item(line.strip(), bullet="  ")
