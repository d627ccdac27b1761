"""What is said where a claim meets an opinion: one sentence, and how it can come about without intent to mislead."""

from __future__ import annotations

from typing import TypeAlias

from forensics.claims import Claim, ClaimSays, ClaimStanding
from forensics.opinions import Opinion

Told: TypeAlias = tuple[ClaimSays, str, tuple[str, ...]]

RETRAINED = (
    "the weights may have been trained anew, or so long that nothing is left that the instruments read",
    "the claim may mean the model whose tokenizer, code, data or configuration was used",
    "another size, revision or edition of the model named may be meant",
    "an adapter, a merge or a conversion may have been published without the weights it names",
    "the candidate may not be the model named: see on what ground they were held to be the same",
)
"""Why a declared parent and `independent` may stand beside each other."""
LOADED = (
    "a model that is initialised at random keeps the name of the configuration it was made from",
    "the name may be that of a folder in which something else lay",
    *RETRAINED[:1],
    *RETRAINED[-1:],
)
"""Why a configured name and `independent` may."""
SCRATCH = (
    "the sentence may speak of another model, or of an earlier stage of this one",
    "the candidate may have been made from the suspect, or both from a third model of the same makers",
    "a template or another card may have been copied",
)
"""Why “trained from scratch” and `derived` may."""
SILENCE = (
    "a card may be missing or unfinished, and tools fill in metadata unasked",
    "the suspect may name a model in between, which descends from the candidate",
    "the candidate may have been made from the suspect, or both from a third model",
)
"""Why silence and `derived` may."""
OTHER_WAY = "what is known of the direction says that the candidate was made from the suspect"


def said_of_name(claim: Claim, opinion: Opinion, ground: str) -> ClaimStanding:
    """A claim that names this candidate, on that ground."""
    says, sentence, innocent = _of_name(claim, opinion)
    return _standing(claim, opinion.candidate, ground, (says, sentence, innocent))


def _of_name(claim: Claim, opinion: Opinion) -> Told:
    declared = claim.kind == "declared parent"
    names = (
        f"The suspect's metadata declare {claim.stated} to be its parent"
        if declared
        else f"The suspect's configuration bears the name {claim.stated}, from which it was loaded or as which saved"
    )
    match opinion.verdict:
        case "derived" if opinion.direction == "candidate-from-suspect":
            return (
                "undecided",
                f"{names}; the weights say that one descends from the other, but {OTHER_WAY}.",
                (),
            )
        case "derived":
            return "agrees", f"{names}, and the weights say that one descends from the other.", ()
        case "independent":
            innocent = RETRAINED if declared else LOADED
            return "contradicts", f"{names}, and the weights say that the two are independent.", innocent
    return (
        "undecided",
        f"{names}; the opinion on the weights is inconclusive, so neither agrees nor contradicts.",
        (),
    )


def said_of_scratch(claim: Claim, opinion: Opinion) -> ClaimStanding:
    """A sentence that says “trained from scratch”, against one candidate."""
    return _standing(claim, opinion.candidate, "", _of_scratch(opinion))


def _of_scratch(opinion: Opinion) -> Told:
    words = "The suspect's card says that something was trained from scratch"
    match opinion.verdict:
        case "derived" if opinion.direction == "candidate-from-suspect":
            return (
                "undecided",
                f"{words}; the weights say that one descends from the other, but {OTHER_WAY}.",
                (),
            )
        case "derived":
            rest = "the weights say that one descends from the other. Whether it means these weights is for the reader"
            return "contradicts", f"{words}, and {rest}.", SCRATCH
        case "independent":
            rest = (
                "the weights say that it and this candidate are independent. Of other models they say nothing"
            )
            return "agrees", f"{words}, and {rest}.", ()
    return (
        "undecided",
        f"{words}; the opinion on the weights is inconclusive, so neither agrees nor contradicts.",
        (),
    )


def said_of_silence(opinion: Opinion, *, others: bool) -> ClaimStanding:
    """A candidate of which the suspect's metadata claim nothing; `others`: they declare other parents."""
    what = "name other parents and not this candidate" if others else "claim no parent"
    match opinion.verdict:
        case "derived":
            rest = ", and the weights say that one descends from the other. Silence is no denial"
        case "independent":
            rest = ", and the weights say that the two are independent"
        case _:
            rest = "; the opinion on the weights is inconclusive"
    return ClaimStanding(
        kind="none", stated="", where="", candidate=opinion.candidate, same_by="", says="silent",
        sentence=f"The suspect's metadata {what}{rest}.", innocent=SILENCE if opinion.verdict == "derived" else (),
    )  # fmt: skip


def unmatched(claim: Claim, nearly: str) -> ClaimStanding:
    """A claim that names none of the candidates; `nearly`: one whose name ends alike."""
    near = f" {nearly} ends alike and has another owner, or too short a name to tell." if nearly else ""
    what = "declare it to be its parent" if claim.kind == "declared parent" else "bear that name"
    told = f"Not matched to any candidate: the suspect's metadata {what}, and no model of that name was examined.{near}"
    return _standing(claim, "", "", ("unmatched", told, ()))


def _standing(claim: Claim, candidate: str, ground: str, told: Told) -> ClaimStanding:
    says, sentence, innocent = told
    return ClaimStanding(
        kind=claim.kind, stated=claim.stated, where=claim.where, candidate=candidate, same_by=ground, says=says,
        sentence=sentence, innocent=innocent,
    )  # fmt: skip
