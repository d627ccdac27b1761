"""Split GGUF files: which parts belong together, and whether all of them are there and agree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from forensics.checkpoint.place import display_name
from forensics.checkpoint.stored import WeightFile

PART = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)
SHOWN = 5
"""Parts that a message names; there may be 99,999."""


def split_parts(name: str) -> tuple[str, int, int] | None:
    """(stem, number, count) of a part's file name, numbers from 1; None for a file that is no part."""
    found = PART.fullmatch(name)
    if not found:
        return None
    number, count = int(found["number"]), int(found["count"])
    return (found["stem"], number, count) if 1 <= number <= count else None


def split_problems(files: Sequence[WeightFile]) -> list[tuple[str, str]]:
    """(code, message) of what is wrong with the opened parts of one model: names and headers have to agree.

    SPLIT_ABSENT: a part is not there. SPLIT_COUNT, SPLIT_NUMBER: a header says another count or number than the name.
    SPLIT_TENSORS: all parts together hold another number of tensors than the header says. SPLIT_MIXED: parts of
    different splits, or a part beside a whole file.
    """
    parts = [split_parts(f.name) for f in files]
    if not any(parts):
        return [problem for f in files for problem in _header(f, number=1, count=_whole(f))]
    found: list[tuple[str, str]] = []
    stems = {(p[0], p[2]) if p else None for p in parts}
    if len(stems) > 1:
        found.append(("SPLIT_MIXED", f"files of {len(stems)} models were read as parts of one"))
    present, count = {p[1] for p in parts if p}, max(p[2] for p in parts if p)
    absent = count - len(present)
    if absent > 0 and len(stems) == 1:
        missing = [
            number for number in range(1, min(count, len(present) + SHOWN) + 1) if number not in present
        ]
        shown = ", ".join(map(str, missing[:SHOWN]))
        found.append(
            ("SPLIT_ABSENT", f"{absent} of {count} parts of a split GGUF are not there (part {shown})")
        )
    for file, part in zip(files, parts, strict=True):
        if part:
            found += _header(file, number=part[1], count=part[2])
    if not absent and len(stems) == 1:
        found += _tensors(files)
    return found


def _whole(file: WeightFile) -> int:
    """How many parts a file may say it has whose name says it is no part."""
    return 1 if file.metadata.get("split.count") else 0


def _header(file: WeightFile, *, number: int, count: int) -> list[tuple[str, str]]:
    """Where a part's header contradicts its name. A header that is silent is not a contradiction for one part."""
    said_count, said_number = file.metadata.get("split.count", 0), file.metadata.get("split.no", 0)
    name, found = display_name(file.name), []
    if said_count != count and not (count == 1 and not said_count):
        message = f"{name} says that there are {str(said_count)[:20]} parts, its name says {count}"
        found.append(("SPLIT_COUNT", message))
    if said_number != number - 1:
        message = f"{name} says that it is part {str(said_number)[:20]} from 0, its name says {number} from 1"
        found.append(("SPLIT_NUMBER", message))
    return found


def _tensors(files: Sequence[WeightFile]) -> list[tuple[str, str]]:
    """Whether all parts together hold as many tensors as each of them says."""
    there = sum(len(f.entries) + len(f.missing) + len(f.refused) for f in files)
    said = {str(f.metadata["split.tensors.count"])[:20] for f in files if "split.tensors.count" in f.metadata}
    if said <= {str(there)}:
        return []
    message = f"the parts hold {there} tensors together, their headers say {', '.join(sorted(said)[:SHOWN])}"
    return [("SPLIT_TENSORS", message)]
