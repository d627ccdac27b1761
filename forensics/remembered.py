"""What earlier cases learnt of checkpoints: records and sketches in a cache, under everything that decides them.

Three kinds of entries. `place`: the files that lay somewhere, as far as can be told without reading, and the content
key they had. `subject`: record and problems of one content. `sketch`: one probe's sketch of one content.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.cache import Store, usual_folder
from forensics.case import Request, Trust
from forensics.errors import CaseError, ForensicsError
from forensics.probe import Sketch
from forensics.readings import Failure
from forensics.records import Origin, Problem, Subject
from forensics.registry import Offered
from forensics.sighting import Sighting, sighting
from forensics.sketches import SketchBook, load, save
from forensics.vintage import vintage


def key(kind: str, *parts: Any) -> str:
    """Name of an entry: its kind and a digest over everything that decides its content."""
    return f"{kind}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


@dataclass(slots=True, kw_only=True)
class Memory:
    """The cache as one case uses it; without a store it knows nothing and keeps nothing."""

    store: Store | None = None
    trust: Trust = "unchanged"
    offered: Mapping[str, Offered] = field(default_factory=dict)
    vintage: str = ""
    strangers: bool = False
    """Whether somebody else's code opens checkpoints or names their tensors."""
    base: str = ""
    scratch: Path = Path()
    see: Callable[[str, str, str], Sighting | None] = sighting
    """Tells what is known of a location's files without reading them; then come an adapter's base and a
    code repository, each empty where there is none."""
    notes: list[Problem] = field(default_factory=list)
    """Why there is no cache; for the user, not for the record."""

    @classmethod
    def of(
        cls,
        request: Request,
        readers: Iterable[Origin],
        offered: Mapping[str, Offered],
        scratch: Path,
        see: Callable[[str, str, str], Sighting | None] = sighting,
    ) -> Memory:
        """The request's memory; one that knows nothing, with a note, where no cache can be had or trusted."""
        asked, origins = request.remember, tuple(readers)
        if asked is None or request.quick:  # a first look hashes nothing whole
            return cls()
        if asked.folder:
            request.require_outside(Path(asked.folder), "the cache")
        try:
            folder = Path(asked.folder) if asked.folder else usual_folder()
            request.require_outside(folder, "the cache")
            store, made_by = Store.open(folder), vintage(origins)
        except CaseError as error:
            message = f"{error.message}; the case goes on without a cache"
            return cls(notes=[Problem(where="cache", code="NO_CACHE", message=message)])
        strangers = not all(o.bundled for o in origins)
        return cls(
            store=store if made_by and not (strangers and request.base) else None, trust=asked.trust,
            offered=offered, vintage=made_by, strangers=strangers, base=request.base, scratch=scratch, see=see,
        )  # fmt: skip

    def sketches(self, content: str, label: str, probes: Iterable[str], digest: str) -> dict[str, Sketch]:
        """The remembered sketches of this content by these probes as they are offered now."""
        found = {}
        for probe in probes if content else ():
            name = self._name(content, label, probe)
            raw = self.store.get(name) if self.store and name else None
            sketch = self._loaded(name, probe, raw) if raw is not None else None
            if sketch is not None and sketch.subject == digest:
                found[probe] = sketch
        return found

    def _name(self, content: str, label: str, probe: str) -> str:
        """Name of a sketch's entry; empty for a stranger's probe whose source cannot be told."""
        offered, by = self.offered[probe].probe, self.offered[probe].origin
        who = (by.distribution, by.version, by.sha256)
        knows = label if offered.knows_label or not by.bundled else ""
        what = (offered.id, offered.version, offered.api, offered.parameters(), knows)
        return key("sketch", content, self.vintage, who, what) if by.sha256 else ""

    def _loaded(self, name: str, probe: str, raw: bytes) -> Sketch | None:
        """The sketch in an entry; one that is not what its name says is removed."""
        path = self._scratch_file()
        try:
            path.write_bytes(raw)
            book = load(path)
            sketch = book.sketches.get(probe)
            offered = self.offered[probe].probe
            expected = (offered.version, offered.api, offered.parameters())
            found = sketch and (sketch.version, sketch.api, dict(sketch.parameters))
            if book.subject.label == name and found == expected:
                return sketch
        except (ForensicsError, OSError):
            pass
        finally:
            path.unlink(missing_ok=True)
        if self.store:
            self.store.discard(name)
        return None

    def _scratch_file(self) -> Path:
        """A name of its own: two subjects of a case may have the same content."""
        return self.scratch / f"{secrets.token_hex(8)}.sketch"

    def subject_key(self, content: str, label: str) -> str:
        """Name of the entry with record and problems; a stranger's opener may have put the label into them."""
        return key("subject", content, self.vintage, label if self.strangers else "")

    def keep(self, content: str, label: str, sketch: Sketch) -> None:
        """Writes one sketch; a failure is not remembered, for it may not happen again."""
        name = self._name(content, label, sketch.probe) if sketch.probe in self.offered else ""
        if not self.store or not name or isinstance(sketch.absent, Failure):
            return
        path = self._scratch_file()
        signed = Subject(label=name, role="suspect", form="sketch", digest=sketch.subject)
        save(path, SketchBook(subject=signed, sketches={sketch.probe: sketch}))
        self.store.put(name, path.read_bytes())
        path.unlink()

    def read(self, name: str) -> dict[str, Any] | None:
        """An entry that is a JSON object."""
        raw = self.store.get(name) if self.store else None
        try:
            parsed = json.loads(raw) if raw is not None else None
        except (ValueError, RecursionError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON object as an entry."""
        if self.store:
            self.store.put(name, json.dumps(content, sort_keys=True).encode())

    def trim(self) -> None:
        """Keeps the cache within its bounds; says once why it cannot be written."""
        if self.store:
            self.store.trim()
            if self.store.trouble and not self.notes:
                message = f"{self.store.trouble}; the case goes on without it"
                self.notes.append(Problem(where="cache", code="NO_CACHE", message=message))
