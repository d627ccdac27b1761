"""What the record of suspect and candidate says of them, as far as the weighing asks: facts, before any reading."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.records import Subject
from forensics.subjects import OTHER_WEIGHTS, WEIGHTS


def other_weights(suspect: Subject | None) -> tuple[str, ...]:
    """Weights in the suspect's folder that were passed over."""
    return () if suspect is None else tuple(f.name for f in suspect.files if f.note.startswith(OTHER_WEIGHTS))


def mlps_comparable(suspect: Subject | None, examined: Subject | None) -> bool:
    """Whether both or neither have gated MLPs; true where an architecture is not known."""
    shapes = [s.architecture for s in (suspect, examined) if s is not None and s.architecture is not None]
    return len({shape.glu for shape in shapes}) < 2


def coverage(suspect: Subject | None) -> float | None:
    """Share of the suspect's parameters that was recognised and read, or None if there is nothing to share."""
    if suspect is None or suspect.parameters <= 0:
        return None
    return round(min(max(suspect.recognised / suspect.parameters, 0.0), 1.0), 6)


def layer_coverage(suspect: Subject | None) -> float | None:
    """As `coverage`, but embeddings, which can be padded to any size, do not make up for what was not read."""
    if suspect is None or suspect.parameters <= 0 or not suspect.in_layers:
        return None
    unread = max(0, suspect.parameters - suspect.recognised)
    return round(suspect.in_layers / max(1, suspect.in_layers + unread), 6)


def identical(suspect: Subject | None, examined: Subject | None) -> bool:
    """Equal digests of the whole, or equal weight files under whatever name; a sketch only claims its digests."""
    if suspect is None or examined is None or {suspect.form, examined.form} != {"checkpoint"}:
        return False
    if suspect.digest and suspect.digest == examined.digest:
        return True
    ours, theirs = _weight_files(suspect), _weight_files(examined)
    return bool(ours) and "" not in ours and ours == theirs


def _weight_files(subject: Subject) -> list[str]:
    """Digests of the files that hold tensors, sorted; empty strings where a file was not read whole."""
    return sorted(file.sha256 for file in subject.files if file.name.endswith(WEIGHTS))


def sketched(subjects: Sequence[Subject], label: str) -> tuple[str, ...]:
    """What rests on the word of whoever made a sketch."""
    names = [s.label for s in subjects if s.form == "sketch" and (s.role == "suspect" or s.label == label)]
    if not names:
        return ()
    told = "known by a sketch only, so all that is said of it rests on the word of whoever made the sketch"
    return (f"{' and '.join(names)}: {told}",)


def glimpsed(subjects: Sequence[Subject], label: str) -> tuple[str, ...]:
    """What a first look cannot say."""
    names = [
        s.label for s in subjects if s.form == "first-look" and (s.role == "suspect" or s.label == label)
    ]
    if not names:
        return ()
    told = "only looked at: a few tensors were read and no file was hashed whole, so nothing is concluded"
    return (f"{' and '.join(names)}: {told}",)
