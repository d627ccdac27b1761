"""What is emitted: the dossier, the digest of its record, and the bound that the user set; forms shared by formats."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from forensics.archive import decode, rounded
from forensics.records import Dossier, FileSeen, Opinion, Subject
from forensics.subjects import WEIGHTS

RECORD = "dossier.json"
"""The record's name in a case folder."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATE = re.compile(r"(.*/)?(training_args|optimizer|scheduler|rng_state[^/]*)\.[a-z]+", re.DOTALL)
_MOMENT = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One opinion with the subject that it is about."""

    reference: str
    """`candidate-1`, `control-1`, …: never chosen by a stranger, as labels are."""
    opinion: Opinion
    subject: Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """One record about to be emitted."""

    dossier: Dossier
    digest: str
    """SHA-256 of the record's bytes."""
    pedigree_from: float | None
    """Least lower end of a fused log10 LR from which descent is asserted; None: nowhere."""

    @classmethod
    def of(cls, record: bytes, pedigree_from: float | None) -> Emission:
        """From the record's bytes; ReportError where they are no dossier."""
        digest = hashlib.sha256(record).hexdigest()
        return cls(dossier=decode(record), digest=digest, pedigree_from=pedigree_from)

    @property
    def suspect(self) -> Subject:
        """The suspect as examined, or its label alone where the record does not hold it."""
        return self._subject(self.dossier.case.suspect, "suspect")

    @property
    def moment(self) -> str | None:
        """When the case was made, RFC 3339 in UTC; None where the record has no time or none that can be read."""
        stamp = self.dossier.case.generated_at
        return stamp if stamp and _MOMENT.fullmatch(stamp) else None

    def compared(self) -> Iterator[Compared]:
        """Every opinion, candidates first, each with its subject."""
        for kind, opinions in (("candidate", self.dossier.opinions), ("control", self.dossier.controls)):
            for number, opinion in enumerate(opinions, 1):
                subject = self._subject(opinion.candidate, kind)
                yield Compared(reference=f"{kind}-{number}", opinion=opinion, subject=subject)

    def _subject(self, label: str, role: Any) -> Subject:
        known = (s for s in self.dossier.subjects if s.label == label and s.role == role)
        return next(known, Subject(label=label, role=role, form="unreadable"))


def is_sha256(text: str) -> bool:
    """Whether a digest can be one; a record handed over by somebody else may hold any text in its place."""
    return _SHA256.fullmatch(text) is not None


def hashed(subject: Subject) -> list[FileSeen]:
    """The files of a subject that were read whole, in the record's order."""
    return [file for file in subject.files if is_sha256(file.sha256)]


def weights(subject: Subject) -> list[FileSeen]:
    """Of these, the files whose weights were examined: what lies beside them carries a note, or is a training's state.

    A statement must not cover weights that nobody looked at, however they are called.
    """
    return [
        file
        for file in hashed(subject)
        if file.name.lower().endswith(WEIGHTS) and not file.note and not _STATE.fullmatch(file.name)
    ]


def as_json(document: Mapping[str, Any]) -> bytes:
    """Sorted keys, ASCII only, no NaN, one final newline; halves of surrogate pairs are written out as text."""
    text = json.dumps(rounded(document), sort_keys=True, indent=1, allow_nan=False)
    return text.encode("ascii") + b"\n"
