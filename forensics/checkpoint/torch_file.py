"""Opens PyTorch files (.bin, .pt, .pth, .ckpt) as byte ranges, without PyTorch and without Python's unpickler.

The pickle in such a file is a program that runs on loading. Here it is interpreted by an allow-list
(`pickle_program`), and what it says about tensors is held against the bytes that are there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from forensics.checkpoint.pickle_program import Program
from forensics.checkpoint.pickle_tape import TAPE_LIMIT, Tape
from forensics.checkpoint.place import display_name
from forensics.checkpoint.source import ByteSource
from forensics.checkpoint.stored import WeightFile
from forensics.checkpoint.torch_foreign import foreign
from forensics.checkpoint.torch_legacy import legacy_parts
from forensics.checkpoint.torch_meaning import Storage, TorchMeaning
from forensics.checkpoint.torch_place import placed
from forensics.checkpoint.torch_state import state_of
from forensics.checkpoint.torch_zip import Member, fault, members
from forensics.errors import CheckpointError

BEGINNING = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a container of either kind gives."""

    container: str
    root: Any
    begins: dict[str, int]
    """Where each storage begins, by its key."""
    end: int
    """Where the last storage ends; the file's end for an archive."""
    problems: tuple[tuple[str, str], ...] = ()


def open_torch(source: ByteSource) -> WeightFile:
    """Checks and lays out one file; every fault is a CheckpointError with a code. The caller closes the source.

    Codes: PICKLE_* of the pickle, TORCH_ZIP_* and TORCH_LEGACY_* of the container, TORCH_* of the tensors,
    TORCHSCRIPT for a program saved with torch.jit, FOREIGN_* for another format under a PyTorch name.
    """
    beginning = source.read(0, min(BEGINNING, source.size))
    if beginning.startswith(b"PK\x03\x04"):
        parts = _archive(source)
    elif beginning[:1] == b"\x80" and beginning[1:2] in b"\2\3\4\5" and beginning[4:9] != b"\0\0\0\0{":
        root, begins, end = legacy_parts(source)
        parts = Parts(container="legacy", root=root, begins=begins, end=end)
    else:
        raise _another(source, beginning)
    state = state_of(parts.root)
    file = WeightFile(
        format="torch",
        source=source,
        entries=[],
        trailing=max(0, source.size - parts.end),
        metadata={"container": parts.container, "ignored": state.ignored, "beside": state.beside},
        problems=list(parts.problems),
    )
    if state.beside:
        message = (
            f"{state.beside} tensors of {display_name(source.name)} lie beside its state dict; not examined"
        )
        file.problems.append(("TORCH_BESIDE", message))
    placed(file, state.tensors, parts.begins)
    return file


def _another(source: ByteSource, beginning: bytes) -> CheckpointError:
    """An error that says what the file is instead."""
    shown = display_name(source.name)
    if len(beginning) < 2:
        hint = "fetch the file again"
        return CheckpointError(f"{shown} is too short to be a PyTorch file", hint, code="PICKLE_TRUNCATED")
    code, what, hint = foreign(beginning) or ("UNKNOWN", "no PyTorch file", "give a file of weights")
    return CheckpointError(f"{shown} is {what}", hint, code=f"FOREIGN_{code}")


def _archive(source: ByteSource) -> Parts:
    """A zip archive with one data.pkl and a member for each storage."""
    found = members(source)
    inner = {name: name.partition("/")[2].lower() for name in found}
    pickles = [name for name, path in inner.items() if path.rpartition("/")[2] == "data.pkl"]
    folder = pickles[0][: -len("data.pkl")] if pickles else ""
    if any(path == "constants.pkl" or path.startswith("code/") for path in inner.values()):
        hint = "give the state dict, not the compiled program"
        raise CheckpointError(
            f"{display_name(source.name)} is a TorchScript program", hint, code="TORCHSCRIPT"
        )
    if not pickles:
        message = f"{display_name(source.name)} is a zip archive, but none that torch.save wrote"
        raise CheckpointError(message, "give a file of weights", code="FOREIGN_ZIP")
    whole = pickles == [f"{folder}data.pkl"] and folder.count("/") == 1
    if not whole or not all(name.startswith(folder) for name in found):
        raise fault(source, "PICKLE", f"has {len(pickles)} pickles, or members outside the pickle's folder")
    _little_endian(source, found.get(f"{folder}byteorder"))
    meaning = TorchMeaning()
    root, problems = _interpreted(source, found[pickles[0]], meaning)
    begins = {}
    for storage in meaning.storages.values():
        begins[storage.key] = _member_of(source, storage, found.get(f"{folder}data/{storage.key}"))
    return Parts(container="zip", root=root, begins=begins, end=source.size, problems=problems)


def _member_of(source: ByteSource, storage: Storage, member: Member | None) -> int:
    """Where a storage begins; its member has exactly its size."""
    shown = f"storage {ascii(storage.key)[:80]} of {display_name(source.name)}"
    if member is None:
        raise CheckpointError(f"{shown} is not there", code="TORCH_STORAGE_ABSENT")
    if member.size != storage.whole:
        message = f"{shown} has {member.size} bytes where {storage.whole} were declared"
        raise CheckpointError(message, code="TORCH_STORAGE_SIZE")
    return member.begin


def _little_endian(source: ByteSource, member: Member | None) -> None:
    """Refuses another order of bytes than the one that is read; files before PyTorch 2.1 do not name theirs."""
    if member is not None and (member.size > 6 or source.read(member.begin, member.size) != b"little"):
        hint = "convert the model again on a little-endian machine"
        raise CheckpointError(
            f"{display_name(source.name)} is not little-endian", hint, code="TORCH_BIG_ENDIAN"
        )


def _interpreted(
    source: ByteSource, member: Member, meaning: TorchMeaning
) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """What the archive's pickle builds, after its checksum."""
    shown = display_name(source.name)
    if member.size > TAPE_LIMIT:
        raise CheckpointError(f"the pickle of {shown} has {member.size} bytes", code="PICKLE_BUDGET")
    crc = 0
    for offset in range(member.begin, member.end, 1 << 20):
        crc = zlib.crc32(source.read(offset, min(1 << 20, member.end - offset)), crc)
    if crc != member.crc:
        raise fault(source, "CRC", "has a pickle that does not fit its checksum")
    tape = Tape(source, member.begin, member.end)
    root = Program(tape, meaning).run()
    if tape.position == member.end:
        return root, ()
    return root, (("PICKLE_TRAILING", f"{member.end - tape.position} bytes behind the pickle of {shown}"),)
