"""When nothing is concluded of a pair, whatever the instruments found: because of what was examined."""

from __future__ import annotations

from forensics.subjects import Subject


def withheld(
    suspect: Subject | None, examined: Subject | None, coverage: float | None, alarms: tuple[str, ...] = ()
) -> str:
    """The reason as a sentence; empty where the rules decide.

    An adapter that was merged into a base has that base's weights: what the instruments find is true of the base that
    the examiner chose, and would accuse or clear the adapter's author of it.
    """
    sides = [s for s in (suspect, examined) if s is not None]
    if examined is not None and examined.form == "unreadable":
        return f"{examined.label} could not be read, so nothing is known of it."
    if any(s.form == "first-look" for s in sides):
        read = "" if coverage is None else f" at {coverage:.1%} of the suspect's parameters"
        return f"This was a first look{read}; a full reading is needed to conclude anything."
    if alarms:
        return f"{alarms[0]} So nothing is concluded in this case."
    merged = [s.label for s in sides if s.form == "merged"]
    if merged:
        return (
            f"{' and '.join(merged)}: an adapter, merged into the base that was named for it. All weights but its "
            f"updates are that base's, so nothing is concluded; examine the base as a suspect of its own."
        )
    if suspect is not None and suspect.parameters and not suspect.recognised:
        return "None of the suspect's weights could be examined; the list of irregularities says why."
    return ""
