"""The candidates among each other as one sentence, one table and the reasons: before any opinion on the suspect."""

from __future__ import annotations

from forensics.readings import Scalar, Table
from forensics.records import CandidateRelation, Dossier, PairReading
from forensics.report import numbers, view
from forensics.report.grids import Grid, grid
from forensics.report.plain import Writer

TITLE = "The candidates among each other"
LEGEND = (
    "Each pair was compared as the suspect is with a candidate. Derived: one of the two descends from the other, or "
    "both from a third; which came first is not judged here, nor is the suspect."
)
SHORT_LEGEND = (
    "Derived: one of the two descends from the other, or both from a third; "
    "which came first is not judged here."
)
BEFORE_MOST = 12
"""Pairs that stand before the opinions, so that these still begin on the first page."""
WARNING = "What the suspect may have from one of them it may have by way of its relative."
STANDS_FOR = (
    "In these reasons “the suspect” is the candidate named first and “the candidate” the one named second; the order "
    "means nothing."
)


def words(pair: CandidateRelation) -> str:
    """The verdict on a pair with its relation, as it is said of a candidate."""
    return view.verdict_words(pair.verdict, pair.relation)


def named(dossier: Dossier, pair: CandidateRelation) -> str:
    """The two by tag and label."""
    tags = view.tags(dossier)
    return " and ".join(f"[{tags.get(label, '–')}] {label}" for label in (pair.first, pair.second))


def tagged(dossier: Dossier, pair: CandidateRelation) -> str:
    """The two by tag alone, in the order of the case."""
    tags = view.tags(dossier)
    both = [tag for label, tag in tags.items() if label in {pair.first, pair.second}]
    return " and ".join(f"[{tag}]" for tag in both)


def verdicts(dossier: Dossier) -> str:
    """Which pairs came out how, by tag, the related ones first; empty without pairs."""
    by_words: dict[str, list[str]] = {}
    for pair in sorted(dossier.candidate_relations, key=lambda one: not one.related):
        by_words.setdefault(words(pair), []).append(tagged(dossier, pair))
    told = "; ".join(f"{', '.join(some)}: {said[:1].lower()}{said[1:]}" for said, some in by_words.items())
    return f"{told}." if told else ""


def headline(dossier: Dossier) -> str:
    """One sentence: which pairs came out how, by tag, the related ones first; empty without pairs."""
    told = verdicts(dossier)
    warning = f" {WARNING}" if any_related(dossier) else ""
    return f"{TITLE}. {told}{warning}" if told else ""


def any_related(dossier: Dossier) -> bool:
    """Whether any two candidates are related."""
    return any(pair.related for pair in dossier.candidate_relations)


def shown(dossier: Dossier) -> list[CandidateRelation]:
    """The pairs that stand before the opinions: all, or the related ones where there are many."""
    pairs = list(dossier.candidate_relations)
    return pairs if len(pairs) <= BEFORE_MOST else [pair for pair in pairs if pair.related]


def table_of(dossier: Dossier, *, tags_only: bool = False) -> Table:
    """One row per pair that is shown before the opinions."""
    rows: list[tuple[Scalar, ...]] = []
    for pair in shown(dossier):
        exact = pair.exact.p_holm if pair.exact else None
        p = "none" if exact is None else numbers.p_value(exact).removeprefix("= ")
        share = "" if pair.coverage is None else numbers.probability(pair.coverage)
        who = tagged(dossier, pair) if tags_only else named(dossier, pair)
        rows.append((who, words(pair), ratio(pair), p, share))
    columns = ("pair", "verdict", "log10 LR (interval)", "exact p (Holm)", "read")
    return Table(title="", columns=columns, rows=tuple(rows))


def grid_of(dossier: Dossier, *, tags_only: bool = False) -> Grid:
    """The table made printable."""
    return grid(table_of(dossier, tags_only=tags_only))


def remarks(dossier: Dossier) -> list[str]:
    """What the table leaves out: other pairs, and candidates that took no part, each in a sentence."""
    if not dossier.candidate_relations:
        return []
    more = len(dossier.candidate_relations) - len(shown(dossier))
    other = [f"{more} more pairs, none of which came out as related, stand with the reasons."] if more else []
    told = {label for pair in dossier.candidate_relations for label in (pair.first, pair.second)}
    unread = {s.label for s in dossier.subjects if s.form == "unreadable"}
    return other + [
        f"{label} is not judged here: "
        + (
            "it could not be read."
            if label in unread
            else "only the candidates named before it were compared."
        )
        for label in dossier.case.candidates
        if label not in told
    ]


def ratio(pair: CandidateRelation) -> str:
    """The likelihood ratio with its interval."""
    if pair.log10_lr is None:
        return "none stated"
    if pair.lower is None or pair.upper is None:
        return numbers.bans(pair.log10_lr)
    return f"{numbers.bans(pair.log10_lr)} ({numbers.interval(pair.lower, pair.upper)})"


def reasons(pair: CandidateRelation) -> list[str]:
    """Why the verdict on a pair is what it is, and what is known of how the two differ."""
    how = "; ".join(pair.relation_grounds)
    return [pair.because, *([f"{how[:1].upper()}{how[1:]}."] if how else [])]


def readings_of(pair: CandidateRelation) -> Grid:
    """Every probe's reading and what it is worth alone."""
    rows = tuple((one.probe, *_cells(one)) for one in pair.readings)
    return grid(Table(title="", columns=("instrument", "reading", "log10 LR alone"), rows=rows))


def readings_line(pair: CandidateRelation) -> str:
    """The same on one line: those with a reading one by one, the others by name."""
    read = []
    for one in pair.readings:
        if one.value is not None:
            weight = "" if one.log10_lr is None else f" (log10 LR alone {numbers.bans(one.log10_lr)})"
            read.append(f"{one.probe} {numbers.cell(one.value)}{weight}")
    silent = [f"{one.probe}, {one.absence.replace('-', ' ')}" for one in pair.readings if one.value is None]
    return "; ".join([*read, *([f"none: {'; '.join(silent)}"] if silent else [])])


def _cells(one: PairReading) -> tuple[Scalar, Scalar]:
    if one.value is None:
        return one.absence.replace("-", " "), None
    return numbers.cell(one.value), None if one.log10_lr is None else numbers.bans(one.log10_lr)


def tell(dossier: Dossier, writer: Writer) -> None:
    """Writes the section into a plain-text report; nothing without pairs."""
    if not dossier.candidate_relations:
        return
    writer.chapter("", TITLE, rule="-")
    if any_related(dossier):
        writer.paragraph(WARNING)
    if shown(dossier):
        writer.table(grid_of(dossier, tags_only=True))
    writer.paragraph(LEGEND)
    for said in remarks(dossier):
        writer.paragraph(said)


def explain(dossier: Dossier, writer: Writer) -> None:
    """Writes the reasons and readings behind the table into a plain-text report."""
    if not dossier.candidate_relations:
        return
    writer.gap()
    writer.line(TITLE)
    writer.paragraph(STANDS_FOR)
    for pair in dossier.candidate_relations:
        writer.item(f"{named(dossier, pair)}: {words(pair)}, log10 LR {ratio(pair)}", bullet="")
        for said in reasons(pair):
            writer.pair("because", said)
        writer.table(readings_of(pair))
