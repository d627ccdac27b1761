"""PyTorch's format before 1.6: five pickles one after the other, and behind them every storage with its length.

The pickles: a magic number, a version, what machine wrote it, the object, the keys of the storages in their order.
Format: `_legacy_save` in torch/serialization.py.
"""

from __future__ import annotations

from typing import Any

from forensics.checkpoint.pickle_program import Program
from forensics.checkpoint.pickle_tape import Tape
from forensics.checkpoint.source import ByteSource
from forensics.checkpoint.torch_meaning import Storage, TorchMeaning
from forensics.checkpoint.torch_names import ITEM_BYTES
from forensics.errors import CheckpointError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001


def legacy_parts(source: ByteSource) -> tuple[Any, dict[str, int], int]:
    """(object, where each storage begins, where the last one ends); a short file may end before either."""
    tape, meaning = Tape(source, 0, source.size), TorchMeaning()
    if Program(tape, meaning).run() != MAGIC:
        message = f"{tape.shown} is a pickle, but none that torch.save wrote"
        raise CheckpointError(message, "give a file of weights", code="TORCH_LEGACY_MAGIC")
    if Program(tape, meaning).run() != VERSION:
        raise CheckpointError(f"{tape.shown} is of an unknown version", code="TORCH_LEGACY_VERSION")
    machine = Program(tape, meaning).run()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        hint = "convert the model again on a little-endian machine"
        raise CheckpointError(f"{tape.shown} is not little-endian", hint, code="TORCH_BIG_ENDIAN")
    root = Program(tape, meaning).run()
    keys = Program(tape, meaning).run()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise CheckpointError(f"{tape.shown} has no list of storages", code="TORCH_LEGACY_KEYS")
    if sorted(keys) != sorted(meaning.storages):
        message = f"{tape.shown} lists other storages than its tensors lie in"
        raise CheckpointError(message, code="TORCH_LEGACY_KEYS")
    begins, end = _placed(source, [meaning.storages[key] for key in keys], tape)
    return root, begins, end


def _placed(source: ByteSource, storages: list[Storage], tape: Tape) -> tuple[dict[str, int], int]:
    """Where each storage begins, and where the last one ends; each length is held against the pickle's."""
    begins, position = {}, tape.position
    for storage in storages:
        if position + 8 <= source.size:
            count = int.from_bytes(source.read(position, 8), "little")
            if count * ITEM_BYTES[storage.dtype] != storage.whole:
                message = f"storage {ascii(storage.key)[:80]} of {tape.shown} has two sizes"
                raise CheckpointError(message, code="TORCH_STORAGE_SIZE")
        begins[storage.key] = position + 8
        position += 8 + storage.whole
    return begins, position
