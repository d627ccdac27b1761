"""What a reading leaves in the record: files and their digests, how much was recognised, what was left out and why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from forensics.checkpoint.ancestry import claims_of
from forensics.checkpoint.manifest import file_seen, other_files, recorded_name
from forensics.checkpoint.opened import digest_of
from forensics.records import FileSeen, Problem, Subject, Unexamined

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint
    from forensics.checkpoint.plan import Planned
    from forensics.checkpoint.source import ByteSource
    from forensics.checkpoint.stored import WeightFile

UNEXAMINED_LIMIT = 200
BUFFER_LIMIT = 1 << 17
"""Numbers of a buffer that is no mask; GPT-J's sinuses are as many. Larger ones count as parameters not examined."""
OVERHEAD = 512
"""Bytes for each tensor that an archive takes to name and align it."""
SMALL = 16 << 20
"""Bytes above which a first look does not hash a file beside the weights."""


@dataclass(slots=True)
class Counted:
    """A source that keeps count and digest of what was read of it, in the order of reading."""

    inner: ByteSource
    fetched: int = 0
    whole: Any = field(default_factory=hashlib.sha256)

    @property
    def name(self) -> str:
        """See ByteSource."""
        return self.inner.name

    @property
    def size(self) -> int:
        """See ByteSource."""
        return self.inner.size

    def read(self, offset: int, length: int) -> bytes:
        """See ByteSource."""
        raw = self.inner.read(offset, length)
        self.fetched += length
        self.whole.update(raw)
        return raw

    def close(self) -> None:
        """See ByteSource."""
        self.inner.close()


def count_reads(checkpoint: Checkpoint) -> list[Counted]:
    """Counts what is read of each weight file from now on, beginning with its header."""
    counted = []
    for file in checkpoint.files:
        source = Counted(file.source)
        file.source = source
        file.read(0, file.header_end)
        counted.append(source)
    return counted


def accounted(checkpoint: Checkpoint, hashes: Mapping[int, str], spoilt: Mapping[str, int]) -> Subject:
    """The record after a whole pass: `hashes` by file index, `spoilt` tensors (name, elements) hold NaN or infinity."""
    files = [file_seen(f, hashes[i]) for i, f in enumerate(checkpoint.files)] + other_files(checkpoint)
    files.sort(key=lambda f: f.name)
    digest = digest_of(((f.name, f.sha256) for f in files if f.sha256), _repository_digest(checkpoint))
    recognised = recognised_of(checkpoint) - sum(spoilt.values())
    return _subject(checkpoint, files, digest, max(0, recognised), spoilt, checkpoint.form)


def glimpsed(checkpoint: Checkpoint, counted: list[Counted], examined: int) -> Subject:
    """The record after a first look at `examined` elements; its digest is of the parts read and identifies no file."""
    files = [
        FileSeen(
            name=recorded_name(source.name),
            size=source.size,
            sha256="",
            note=f"first look: {source.fetched} of its bytes read, not hashed whole; SHA-256 of these in the order "
            f"read: {source.whole.hexdigest()}",
        )
        for source in counted
    ] + other_files(checkpoint, limit=SMALL)
    files.sort(key=lambda f: f.name)
    parts = hashlib.sha256("\n".join(f"{f.name} {f.sha256 or f.note}" for f in files).encode())
    parts.update(_repository_digest(checkpoint).encode())
    return _subject(
        checkpoint,
        files,
        parts.hexdigest(),
        max(0, examined) + checkpoint.vector_elements(),
        {},
        "first-look",
    )


def _repository_digest(checkpoint: Checkpoint) -> str:
    """Digest of the repository named for a checkpoint; empty where none was."""
    return checkpoint.repository.seen.digest if checkpoint.repository else ""


def digest_problems(checkpoint: Checkpoint, subject: Subject) -> list[Problem]:
    """Files that hash to something else than the hub says."""
    if checkpoint.listing is None:
        return []
    found = []
    for file in subject.files:
        claimed = checkpoint.listing.place.known_sha256(file.name) if file.sha256 else ""
        if claimed and claimed != file.sha256:
            message = f"{file.name[:200]} hashes to {file.sha256}, the hub says {claimed}"
            found.append(Problem(where=checkpoint.label, code="HUB_DIGEST", message=message))
    return found


def problems_of(checkpoint: Checkpoint, spoilt: Mapping[str, int], subject: Subject) -> tuple[Problem, ...]:
    """The checkpoint's problems, digests that are not the hub's, and the first tensors that hold NaN or infinity."""
    found = [*checkpoint.problems, *digest_problems(checkpoint, subject)]
    for name in sorted(spoilt)[:20]:
        message = f"tensor {name[:200]} holds NaN or infinity"
        found.append(Problem(where=checkpoint.label, code="NOT_FINITE", message=message))
    return tuple(found)


def _subject(
    checkpoint: Checkpoint,
    files: list[FileSeen],
    digest: str,
    recognised: int,
    spoilt: Mapping[str, int],
    form: Literal["checkpoint", "merged", "first-look"],
) -> Subject:
    plan = checkpoint.plan
    left = left_out(checkpoint, spoilt)
    return Subject(
        label=checkpoint.label,
        role="suspect",
        form=form,
        files=tuple(files),
        digest=digest,
        repository=checkpoint.repository.seen if checkpoint.repository else None,
        architecture=plan.architecture,
        parameters=parameters_of(checkpoint),
        recognised=recognised,
        in_layers=min(recognised, recognised_of(checkpoint, layers_only=True)),
        dtypes=tuple(sorted({p.stored.precision for p in plan.tensors})),
        unexamined=tuple(left[:UNEXAMINED_LIMIT]),
        unexamined_omitted=max(0, len(left) - UNEXAMINED_LIMIT),
        claims=claims_of(checkpoint),
    )


def recognised_of(checkpoint: Checkpoint, *, layers_only: bool = False) -> int:
    """Elements of the tensors whose role is known; bytes that several of them share count once, for a thousand layers
    over the bytes of one would drown in themselves what was not examined.
    """
    count, file, position = 0, 0, 0
    known = [p for p in checkpoint.plan.tensors if p.segments]
    if layers_only:
        known = [p for p in known if p.segments[0].spec.layer is not None]
    for planned in sorted(known, key=lambda p: (p.file, p.entry.begin, -p.entry.end)):
        entry = planned.entry
        file, position = (file, position) if planned.file == file else (planned.file, 0)
        fresh = max(0, entry.end - max(entry.begin, position))
        count += planned.stored.elements * fresh // max(1, entry.end - entry.begin)
        position = max(position, entry.end)
    return count


def parameters_of(checkpoint: Checkpoint) -> int:
    """Parameters of the language model as far as can be told, those included that are cut off, refused or absent.

    Towers of other modalities do not count while they are not more than what was recognised (`Plan.apart`).
    """
    plan, listing = checkpoint.plan, checkpoint.listing
    count = sum(p.stored.elements for p in plan.tensors if not (p.segments or _idle(p))) - plan.apart
    count += recognised_of(checkpoint)
    count += sum(_unheld(f) for f in checkpoint.files) // 2  # as many as there could be in 16 bits each
    lost = [
        *(e for f in checkpoint.files for e in f.missing),
        *(e for f in checkpoint.files for e, _ in f.refused),
    ]
    count += sum(e.elements for e in lost)
    stored = sum(1 + len(p.stored.companions) for p in plan.tensors) + len(lost)
    if listing and len(listing.indexed) > stored and stored:
        count += (len(listing.indexed) - stored) * (count // stored)
    return count


def _unheld(file: WeightFile) -> int:
    """Bytes that no tensor holds: behind the last, between them, in storages and members of archives that nobody names;
    less what the pickle and the tables of an archive may need.
    """
    spans = sorted((e.begin, e.end) for e in (*file.entries, *(entry for entry, _ in file.refused)))
    held, position = 0, file.header_end
    for begin, end in spans:
        held += max(0, end - max(begin, position))
        position = max(position, end)
    return max(0, file.size - file.header_end - held - OVERHEAD * (len(spans) + 8))


def _idle(planned: Planned) -> bool:
    """Whether a tensor is a buffer, and of a size and shape that buffers have: frequencies, or a causal mask."""
    shape = planned.stored.shape
    mask = len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]
    return planned.buffer and (mask or planned.stored.elements <= BUFFER_LIMIT)


def left_out(checkpoint: Checkpoint, spoilt: Mapping[str, int]) -> list[Unexamined]:
    """Tensors and files that take no part, and why."""
    absent = checkpoint.listing.absent if checkpoint.listing else ()
    return [
        *checkpoint.plan.unexamined,
        *(Unexamined(name=n[:200], reason="holds NaN or infinity") for n in sorted(spoilt)),
        *(Unexamined(name=n, reason="shard that could not be opened") for n in absent),
    ]
