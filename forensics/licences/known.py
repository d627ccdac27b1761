"""The licences that are known: names, makers, phrases, and hashes of a sample of their wording; no text is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from forensics.licences.words import HASH_BITS, SHINGLE

SAMPLED = 1 << (HASH_BITS - 3)
"""Of a long licence the shingles whose hash is below this are kept: one in eight."""
WHOLE = 800
"""Licences of fewer shingles than this are kept whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """One licence or terms of use."""

    id: str
    """SPDX's identifier where it has one, else a name of ours."""
    title: str
    holder: str = ""
    """Who wrote it for their own models; empty for licences that anybody uses."""
    common: bool = False
    """Chosen by so many that two models sharing it says nothing."""
    tags: tuple[str, ...] = ()
    """What model cards write for it, in small letters."""
    titles: tuple[str, ...] = ()
    """How its text is headed, as words in small letters."""
    notices: tuple[str, ...] = ()
    """What is written where it applies, as words in small letters."""
    traits: frozenset[str] = frozenset()
    """Of `no-derivatives`, `non-commercial`, `share-alike`."""
    bases: tuple[str, ...] = ()
    """Beginnings of names of the models that are published under it, in small letters with hyphens."""
    mentions: frozenset[str] = frozenset()
    """Other licences that its own text names."""
    sample: frozenset[int] = frozenset()
    """Hashes of the sampled shingles of its text; empty where only its phrases are known."""


@cache
def known() -> tuple[Licence, ...]:
    """Every licence in the table."""
    room = resources.files("forensics.licences")
    samples = json.loads(room.joinpath("samples.json").read_text("utf-8"))
    listed = json.loads(room.joinpath("known.json").read_text("utf-8"))["licences"]
    texts, mentions = samples["samples"], samples["mentions"]
    return tuple(_licence(e, texts.get(e["id"], ""), mentions.get(e["id"], ())) for e in listed)


def _licence(entry: dict[str, Any], sample: str, mentions: Iterable[str]) -> Licence:
    digits = HASH_BITS // 4
    return Licence(
        id=entry["id"],
        title=entry["title"],
        holder=entry.get("holder", ""),
        common=entry.get("common", False),
        tags=tuple(entry.get("tags", ())),
        titles=tuple(entry.get("titles", ())),
        notices=tuple(entry.get("notices", ())),
        traits=frozenset(entry.get("traits", ())),
        bases=tuple(entry.get("bases", ())),
        mentions=frozenset(mentions),
        sample=frozenset(int(sample[i : i + digits], 16) for i in range(0, len(sample), digits)),
    )


@cache
def licence(name: str) -> Licence | None:
    """The licence with an id, or None."""
    return next((one for one in known() if one.id == name), None)


@cache
def tagged(tag: str) -> Licence | None:
    """The licence that a model card's tag stands for, or None."""
    wanted = tag.strip().lower()
    return next((one for one in known() if wanted in one.tags or wanted == one.id.lower()), None)


def published_under(model: str) -> Licence | None:
    """The licence under which the models of a name are published, as far as the name alone decides it."""
    last = model.rsplit("/", 1)[-1].lower().replace("_", "-").replace(" ", "-").removeprefix("meta-")
    fitting = [(len(base), one.id) for one in known() for base in one.bases if last.startswith(base)]
    return licence(max(fitting)[1]) if fitting else None


def sampled(hashes: Iterable[int]) -> list[int]:
    """What is kept of a licence's shingles, ascending."""
    every = set(hashes)
    return sorted(every if len(every) < WHOLE else (value for value in every if value < SAMPLED))


def sample_text(hashes: Iterable[int]) -> str:
    """A sample as the table writes it."""
    return "".join(f"{value:0{HASH_BITS // 4}x}" for value in sampled(hashes))


FORM = {"shingle": SHINGLE, "bits": HASH_BITS, "below": SAMPLED, "whole_below": WHOLE}
"""What a table of samples was made with."""
