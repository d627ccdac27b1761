"""The question put to the tool: who is the suspect, who are the candidates, and whether that makes sense."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from forensics.errors import CaseError, CheckpointError
from forensics.exhibits import Exhibit, Statement

Role: TypeAlias = Literal["suspect", "candidate", "control"]
Trust: TypeAlias = Literal["unchanged", "mtime", "rehash"]

LABEL = re.compile(r"(?P<label>[^=/\\]{1,120})=(?P<path>.+)", re.DOTALL)
LABEL_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A checkpoint or sketch file under the name by which the record knows it."""

    label: str
    path: Path
    hub: str = ""
    """`org/name[@revision]` on a hub, where no local path has that name; `path` then leads nowhere."""
    repository: str = ""
    """Folder of the code repository that belongs to it and lies elsewhere; empty where none was named."""

    @property
    def repository_name(self) -> str:
        """The repository as the record names it: as given, of an absolute path only its last part."""
        return Named.parse(self.repository).label if self.repository else ""

    def require_repository(self) -> None:
        """CheckpointError or CaseError where the repository named for it is no folder of its own."""
        if not self.repository:
            return
        if not os.path.isdir(self.repository):
            raise CheckpointError(
                f"{self.label}: no such folder as its repository", "check the path", code="MISSING"
            )
        if not self.hub and os.path.realpath(self.repository) == os.path.realpath(self.path):
            raise CaseError(
                f"the repository of {self.label} is the checkpoint's own folder",
                "texts beside the weights are read anyway; leave it out",
            )

    @classmethod
    def parse(cls, text: str) -> Named:
        """`PATH` or `LABEL=PATH`. The label is what was given; of an absolute path only its last part.

        An existing path wins over its reading as LABEL=PATH, so that a folder called `a=b` can be named.
        """
        found = LABEL.fullmatch(text)
        if found and not os.path.exists(text):  # unlike Path.exists, never raises
            return cls(label=clean_label(found["label"]), path=Path(found["path"]))
        path = Path(text)
        label = (path.name or path.resolve().name) if path.is_absolute() else text.rstrip("/") or text
        return cls(label=clean_label(label), path=path)


def clean_label(label: str) -> str:
    """A label as the record can hold it; CaseError where nothing is left."""
    visible = "".join(c if c.isprintable() else "\ufffd" for c in label.strip())
    if not visible:
        raise CaseError("a label is empty", "write LABEL=PATH")
    return visible.encode("utf-8", "backslashreplace").decode()[:LABEL_LIMIT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembering:
    """Where earlier readings are kept and when they are believed; it never changes what a dossier says."""

    folder: str = ""
    """Empty for the usual place."""
    trust: Trust = "unchanged"
    """`unchanged`: files that cannot have been written since; `mtime`: of equal size and modification time; `rehash`:
    only what hashes to the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What the parties put in, and the bytes of every document by the name of its copy (see `exhibits.copied_as`)."""

    exhibits: tuple[Exhibit, ...] = ()
    statements: tuple[Statement, ...] = ()
    copies: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that decides what a dossier says, besides the checkpoints themselves."""

    suspect: Named
    candidates: tuple[Named, ...]
    controls: tuple[Named, ...] = ()
    probes: tuple[str, ...] = ()
    """Ids; empty for all."""
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    """Values for every probe that has a field of that name, e.g. `prompts`."""
    base: str = ""
    """Location of the model for which adapters among the checkpoints were made; empty where none was named."""
    quick: bool = False
    """A first look: only what the probes cannot do without is read."""
    self_test: bool = False
    """Whether twins of the first candidate that was read from weights are made and put to every probe."""
    remember: Remembering | None = None
    """None to read everything and keep nothing."""
    token_env: str = ""
    """Environment variable that holds a token for the hub that HF_ENDPOINT names; empty for none."""
    calibrations: tuple[Mapping[str, object], ...] = ()
    """Contents of calibration files that the examiner brings to this case (`forensics.calibrating.brought`)."""
    filed: Filed = field(default_factory=Filed)
    """Documents of the parties; they move no finding and no opinion."""
    case_id: str = ""
    only_bundled: bool = False
    generated_at: str | None = None

    def subjects(self) -> Iterator[tuple[Named, Role]]:
        """Suspect first, then candidates, then controls."""
        yield self.suspect, "suspect"
        for named in self.candidates:
            yield named, "candidate"
        for named in self.controls:
            yield named, "control"

    def require_outside(self, folder: Path, what: str) -> None:
        """CaseError where `folder` lies inside a checkpoint of the case, which is not ours to write to."""
        places = [(named.label, named.path) for named, _ in self.subjects()]
        places += [
            (f"the repository of {n.label}", Path(n.repository)) for n, _ in self.subjects() if n.repository
        ]
        for label, path in (*places, ("the base", Path(self.base or os.devnull))):
            if os.path.isdir(path) and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(path)):
                raise CaseError(f"{what} lies inside {label}", "name a folder outside every checkpoint")

    def checked(self) -> Request:
        """Itself, or an error that says how to put the question right."""
        if not self.candidates:
            raise CaseError("no candidate was given", "name at least one with --candidates PATH")
        if self.self_test and self.quick:
            raise CaseError("a first look reads too little for --self-test", "leave one of the two out")
        self._require_repositories()
        labels: dict[str, Path] = {}
        places: dict[Path, str] = {}
        for named, role in self.subjects():
            if not named.hub and not os.path.exists(named.path):
                raise CheckpointError(
                    f"{role} {named.label}: no such file or folder", "check the path", code="MISSING"
                )
            place = named.path.resolve()
            if place in places:
                raise CaseError(
                    f"{named.label} and {places[place]} are the same place",
                    "a checkpoint can appear once; compare a copy under another path if that is what you mean",
                )
            if named.label in labels:
                raise CaseError(
                    f"two checkpoints are called {named.label}", "give each a name of its own: LABEL=PATH"
                )
            labels[named.label] = named.path
            places[place] = named.label
        return self

    def _require_repositories(self) -> None:
        """Every repository is a folder, and belongs to one subject only: what is shared would speak for everybody."""
        owners: dict[str, str] = {}
        for named, _ in self.subjects():
            named.require_repository()
            place = os.path.realpath(named.repository) if named.repository else ""
            if place and place in owners:
                raise CaseError(
                    f"{named.label} and {owners[place]} are given the same repository",
                    "name it for one of them",
                )
            owners[place] = named.label
