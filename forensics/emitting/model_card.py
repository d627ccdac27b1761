"""A suggestion for the suspect's model card: Markdown with YAML front matter, as model hubs read it.

`base_model` is set only where descent may be asserted above the user's bound, the record shows that the suspect was
made from the candidate, and the candidate was read from a hub, so that it has an id. Everything else stands in
comments. Text of a subject is filtered, then escaped: in Markdown every punctuation mark, in YAML it stands in
comments and quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from forensics.emitting.descent import Descent, descent
from forensics.emitting.emission import RECORD, Compared, Emission
from forensics.report import numbers, view
from forensics.report.display import display, name

RELATIONS = {"fine-tuned": "finetune", "quantised": "quantized", "merged": "merge"}
"""What a hub calls our relations; it has no word for the others."""

NAMED = 120
"""Characters of a label in a comment."""

_REPOSITORY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95})(@[^@]*)?")
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")

Suggested = Sequence[tuple[Compared, Descent]]


def document(emission: Emission) -> bytes:
    """The suggestion, UTF-8."""
    told = [(c, descent(c.opinion, emission.pedigree_from)) for c in _candidates(emission)]
    lines = ["---", *_front_matter(emission, told), "---", "", *_body(emission, told)]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def markdown(text: str, limit: int = 600) -> str:
    """Foreign text that Markdown shows as it is: filtered, then every ASCII punctuation mark escaped."""
    return _PUNCTUATION.sub(r"\\\1", display(text, limit))


def _candidates(emission: Emission) -> Iterator[Compared]:
    return (c for c in emission.compared() if c.reference.startswith("candidate"))


def repository(compared: Compared) -> str:
    """The hub's id of a candidate that was read from a hub under that very name; empty for all others."""
    found = _REPOSITORY.fullmatch(compared.subject.label)
    return found[1] if found and compared.subject.commit else ""


def _front_matter(emission: Emission, told: Suggested) -> list[str]:
    """Keys where something is suggested; comments that say why, or why not."""
    lines = [
        f"# Suggested by model-forensics from {RECORD}, SHA-256 {emission.digest}.",
        "# Inferred from weights, not known from whoever made the model: check it before you publish it.",
    ]
    for compared, allowed in told:
        label = display(compared.subject.label, NAMED)
        asserted = "may be named a base" if allowed.place == "ancestor" else "is not named a base"
        lines.append(f"# {compared.reference} ({label}) {asserted}: {allowed.why}.")
    ancestors = [c for c, allowed in told if allowed.place == "ancestor"]
    obstacle = _obstacle(ancestors, any(allowed.place == "variant" for _, allowed in told))
    if obstacle:
        return [*lines, f"# No base_model is suggested: {obstacle}."]
    named = [json.dumps(repository(c)) for c in ancestors]
    keys = [f"base_model: {named[0]}"] if len(named) == 1 else ["base_model:", *(f"- {n}" for n in named)]
    relation = RELATIONS.get(ancestors[0].opinion.relation)
    if relation is None:
        lines.append("# No base_model_relation is suggested: hubs have no word for what was found.")
    return [*lines, *keys, *([f"base_model_relation: {relation}"] if relation else [])]


def _obstacle(ancestors: Sequence[Compared], related: bool) -> str:
    """Why no base can be named; empty where it can. `related`: there are models of which the way is not known."""
    if not ancestors:
        said = "of no candidate it may be asserted that the suspect was made from it"
        return f"{said}; if you know that it was made from one of them, name that one" if related else said
    if len(ancestors) > 1 and {c.opinion.relation for c in ancestors} != {"merged"}:
        return "several candidates qualify, and a list would say that the suspect is a merge of them"
    unknown = [c.reference for c in ancestors if not repository(c)]
    if unknown:
        return f"{', '.join(unknown)} was not read from a hub under its id; put the id yourself"
    return ""


def _body(emission: Emission, told: Suggested) -> list[str]:
    """The findings for a reader of the card."""
    lines = [
        "## Lineage (suggestion)",
        "",
        f"The weights of {_name(emission.suspect.label)} were compared with those of the models below. The log10",
        "likelihood ratio (LR) says how many times more probable the findings are if one has its weights from the",
        "other than if the two are unrelated. It is no probability of descent.",
        "",
        "| compared with | verdict | log10 LR | exact p |",
        "|---|---|---|---|",
    ]
    for compared, _ in told:
        said = compared.opinion
        exact = numbers.p_value(said.exact.p_holm or said.exact.p).removeprefix("= ") if said.exact else "–"
        cells = (_name(said.candidate), view.verdict(said), view.ratio(said), exact)
        lines.append(f"| {' | '.join(cells)} |")
    for compared, allowed in told:
        said = compared.opinion
        lines += ["", f"Of {_name(said.candidate)}: {markdown(said.because)} {markdown(said.not_meaning)}"]
        lines.append(f"As to a base in this card: {allowed.why}.")
    return [*lines, "", f"The whole record is {RECORD}, SHA-256 `{emission.digest}`."]


def _name(label: str) -> str:
    """A label within a sentence or a table: filtered and cut, kept from reordering its neighbours, escaped."""
    return _PUNCTUATION.sub(r"\\\1", name(label))
