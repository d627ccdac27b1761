"""How a suspect's fingerprints are told by where else they stand: a table, and the words where there is no reading."""

from __future__ import annotations

from forensics.readings import Table
from forensics.winnowing.fingerprints import GRAM
from forensics.winnowing.library import RARE
from forensics.winnowing.standing import Standing


def kinds_of(stands: Standing) -> Table:
    """How many fingerprints of each kind there are, and how many of them the candidate's code has."""
    most = RARE
    kinds = [
        (f"in at most {most} model folders of transformers, neither's own: counted", stands.rare),
        (f"in more than {most} of them or in its shared files: not counted", stands.common),
    ]
    for whose, family, held in (
        ("candidate", stands.families[1], stands.theirs),
        ("suspect", stands.families[0], stands.ours),
    ):
        if family is not None:
            kinds.append((f"in transformers' own {family}, the {whose}'s architecture: not counted", held))
    return Table(
        title="The suspect's fingerprints by where else they stand (the last kinds overlap with the second)",
        columns=("kind", "in the suspect", "of these in the candidate"),
        rows=tuple((words, int(held.sum()), int((held & stands.shared).sum())) for words, held in kinds),
    )


def without_candidate(stands: Standing) -> str:
    """Why there is no reading where the candidate has no code, and what can be said all the same."""
    said = f"candidate: no Python code of {GRAM} symbols or more"
    if stands.families[1] is None:
        return said
    return (
        f"{said}; {stands.theirs.mean():.0%} of the suspect's fingerprints stand in transformers' own "
        f"{stands.families[1]}, the candidate's architecture, which anybody may copy"
    )
