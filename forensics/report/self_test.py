"""The self-test's certificate as one table, one sentence for lay readers, and one line for a terminal."""

from __future__ import annotations

from forensics.certificates import Certificate, Tested
from forensics.readings import Scalar, Table
from forensics.records import Dossier
from forensics.report.grids import Grid, grid
from forensics.report.plain import Writer

WORDS = {
    "right": "right",
    "wrong": "WRONG",
    "blind": "blind",
    "not-judged": "open",
    "abstained": "none",
    "failed": "failed",
}
LAY = (
    "Copies of {candidate} were made in memory and disguised in known ways, and one model of the same shape was "
    "filled with noise. Every instrument was then asked, as it was in the case, whether it takes them for kin of "
    "{candidate}. A good instrument says yes to the disguised copies and no to the noise."
)
LEGEND = (
    "In the table: right, WRONG: its answer; blind: it failed as its own description says that it must; none: it gave "
    "no reading; open: nothing to judge its reading by; DOUBT: noise at a p-value that keeps `independent` away; "
    "ALARM: noise taken for kin."
)


def cell(one: Tested, *, kin: bool) -> str:
    """The answer in a word, with a doubtful p told apart from an alarm."""
    if one.answer == "wrong" and not kin:
        return "ALARM" if one.seen else "DOUBT"
    return WORDS[one.answer]


def table_of(certificate: Certificate) -> Table:
    """Probes by twins."""
    made = [twin for twin in certificate.twins if not twin.not_made]
    probes = list(dict.fromkeys(one.probe for twin in made for one in twin.tests))
    rows: list[tuple[Scalar, ...]] = []
    for probe in probes:
        answers = [
            next((cell(one, kin=twin.kin) for one in twin.tests if one.probe == probe), "–") for twin in made
        ]
        rows.append((probe, *answers))
    return Table(
        title=f"What every instrument said of twins of {certificate.candidate}",
        columns=("instrument", *(twin.name for twin in made)),
        rows=tuple(rows),
    )


def grid_of(certificate: Certificate) -> Grid:
    """The table made printable."""
    return grid(table_of(certificate))


def lay(certificate: Certificate) -> str:
    """What was done, and what came of it, for a reader who has never seen a terminal."""
    alarmed = " ".join(certificate.alarms)
    outcome = (
        alarmed or "No instrument took the noise for kin."
        if _made(certificate, kin=False)
        else ("The noise could not be made, so that false alarms were not tried.")
    )
    return f"{LAY.format(candidate=certificate.candidate)} {outcome}"


def made_of(certificate: Certificate) -> list[tuple[str, str]]:
    """Every twin by name, and how it was made or why not."""
    return [
        (twin.name, f"not made: {twin.not_made}" if twin.not_made else twin.made)
        for twin in certificate.twins
    ]


def headline(certificate: Certificate) -> str:
    """One line: how many answers were right, and what was not."""
    tests = [(twin, one) for twin in certificate.twins for one in twin.tests]
    count = {
        kind: sum(one.answer == kind for _, one in tests) for kind in ("right", "wrong", "blind", "failed")
    }
    wrong = ", ".join(f"{one.probe} on {twin.name}" for twin, one in tests if one.answer == "wrong")
    missing = [twin.name for twin in certificate.twins if twin.not_made]
    parts = [
        f"{count['right']} right",
        f"{count['wrong']} wrong{f' ({wrong})' if wrong else ''}",
        f"{count['blind']} blind as stated",
    ]
    parts += [f"{count['failed']} failed"] if count["failed"] else []
    parts += [f"not made: {', '.join(missing)}"] if missing else []
    alarm = "ALARM, nothing is concluded; " if certificate.alarms else ""
    return f"self-test on twins of {certificate.candidate}: {alarm}{'; '.join(parts)}"


def headlines(dossier: Dossier) -> list[str]:
    """The line of every certificate."""
    return [headline(certificate) for certificate in dossier.certificates]


def tell(dossier: Dossier, writer: Writer) -> None:
    """Writes every certificate into a plain-text report."""
    for certificate in dossier.certificates:
        writer.chapter("", f"Self-test on twins of {certificate.candidate}", rule="-")
        writer.paragraph(lay(certificate))
        writer.table(grid_of(certificate))
        writer.paragraph(LEGEND)
        for name, made in made_of(certificate):
            writer.pair(name, made)
        for twin in certificate.twins:
            for one in twin.tests:
                if one.answer in {"wrong", "failed"}:
                    writer.pair(f"{twin.name}", f"{one.probe}, {WORDS[one.answer]}: {one.detail}")


def _made(certificate: Certificate, *, kin: bool) -> bool:
    return any(twin.kin is kin and not twin.not_made for twin in certificate.twins)
