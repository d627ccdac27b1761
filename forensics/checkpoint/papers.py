"""What all documents of a checkpoint give away, as facts that a sketch holds and a stranger may have written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from forensics.checkpoint.leads import LEADS, TEXT, Lead
from forensics.licences.difference import CHARACTERS
from forensics.licences.known import tagged
from forensics.licences.obligations import Shown

FILES, LICENCE_TEXTS, HOLDERS, LICENCES, PAPERS = 5_000, 4, 400, 200, 50
"""Of each, so many are kept."""


class Held(NamedTuple):
    """A holder whom a licence, a notice or a list of third parties names."""

    paper: str
    """`licence` or `notice`."""
    file: str
    line: int
    holder: str


class LicenceText(NamedTuple):
    """A document of a licence's name, cut at `difference.CHARACTERS`."""

    file: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """The documents of one checkpoint and of the repository named for it."""

    leads: tuple[Lead, ...] = ()
    omitted: int = 0
    """Leads beyond the budgets."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every text that two repositories do not have alike by chance, by name."""
    licence_texts: tuple[LicenceText, ...] = ()
    held: tuple[Held, ...] = ()
    shown: Shown = field(default_factory=Shown)
    texts: int = 0
    texts_omitted: int = 0
    """Text files that were not read."""

    @property
    def own_licences(self) -> tuple[str, ...]:
        """Ids of the licences whose text lies there or whose tag or name is given for the model."""
        told = [tagged(lead.key) for lead in self.leads if lead.kind in {"licence", "licence tag"}]
        return tuple(dict.fromkeys([*self.shown.licences, *(one.id for one in told if one)]))

    def encoded(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def decoded(cls, raw: str) -> Papers:
        """From JSON that anybody may have written; ValueError where it makes no sense."""
        try:
            told = json.loads(raw)
            return cls(
                leads=tuple(_lead(*entry) for entry in told["leads"][:LEADS]),
                omitted=int(told["omitted"]),
                files={str(n)[:TEXT]: str(d)[:64] for n, d in list(told["files"].items())[:FILES]},
                licence_texts=tuple(
                    LicenceText(str(f)[:TEXT], str(t)[:CHARACTERS])
                    for f, t in told["licence_texts"][:LICENCE_TEXTS]
                ),
                held=tuple(
                    Held(str(p)[:20], str(f)[:TEXT], int(n), str(h)[:TEXT])
                    for p, f, n, h in told["held"][:HOLDERS]
                ),
                shown=_shown(told["shown"]),
                texts=int(told["texts"]),
                texts_omitted=int(told["texts_omitted"]),
            )
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError) as error:
            raise ValueError(f"no papers ({type(error).__name__})") from None


def _lead(kind: Any, file: Any, line: Any, text: Any, key: Any) -> Lead:
    return Lead(str(kind)[:40], str(file)[:TEXT], int(line), str(text)[:TEXT], str(key)[:TEXT])


def _shown(told: Mapping[str, Any]) -> Shown:
    def places(name: str) -> dict[str, str]:
        return {str(k)[:TEXT]: str(v)[: TEXT + 20] for k, v in list(told[name].items())[:HOLDERS]}

    return Shown(
        licences=places("licences"), named=places("named"), phrases=places("phrases"), holders=places("holders"),
        names=tuple(str(n)[:TEXT] for n in told["names"][:20]),
        papers=tuple(str(n)[:TEXT] for n in told["papers"][:PAPERS]),
    )  # fmt: skip
