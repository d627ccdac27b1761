"""Tensors of a PyTorch file laid over its bytes: plain ones, turned ones, and those that no range of bytes can be."""

from __future__ import annotations

from collections.abc import Mapping

from forensics.checkpoint.stored import Entry, WeightFile
from forensics.checkpoint.torch_meaning import Strided, Unusable
from forensics.checkpoint.torch_names import ITEM_BYTES
from forensics.errors import CheckpointError


def placed(file: WeightFile, tensors: Mapping[str, Strided | Unusable], begins: Mapping[str, int]) -> None:
    """Files every tensor away among `entries`, `missing` and `refused`; a tensor outside its storage is an error."""
    for name, tensor in tensors.items():
        if isinstance(tensor, Unusable):
            file.refused.append((Entry(name=name, dtype="?", shape=(), begin=0, end=0), tensor.reason))
            continue
        entry, reason = _entry(name, tensor, begins[tensor.storage.key] + tensor.storage.begin)
        if reason:
            file.refused.append((entry, reason))
        elif entry.end > file.size:
            file.missing.append(entry)
        else:
            file.entries.append(entry)
    file.entries.sort(key=lambda e: (e.begin, -e.end))
    _apart(file)


def _entry(name: str, tensor: Strided, origin: int) -> tuple[Entry, str]:
    """The bytes of a tensor whose storage begins at `origin`, and why they are not it; empty where they are."""
    item = ITEM_BYTES[tensor.dtype]
    elements = 1
    for extent in tensor.shape:
        elements *= extent
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)) + 1
    begin = origin + tensor.offset * item
    if elements == 0:
        return Entry(
            name=name, dtype=tensor.dtype, shape=tensor.shape, begin=origin, end=origin
        ), tensor.reason
    if (tensor.offset + reach) * item > tensor.storage.length:
        message = f"tensor {ascii(name)[:80]} reaches beyond its storage"
        raise CheckpointError(message, code="TORCH_BOUNDS")
    end = begin + reach * item
    turned = not _contiguous(tensor.shape, tensor.strides)
    if turned and (len(tensor.shape) != 2 or tensor.strides != (1, tensor.shape[0])):
        whole = Entry(name=name, dtype=tensor.dtype, shape=tensor.shape, begin=begin, end=end)
        return whole, tensor.reason or "a strided view of other bytes"
    entry = Entry(name=name, dtype=tensor.dtype, shape=tensor.shape, begin=begin, end=end, turned=turned)
    return entry, tensor.reason


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the last dimension runs fastest and nothing lies between; strides of single rows do not matter."""
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def _apart(file: WeightFile) -> None:
    """Refuses a tensor that shares some of another's bytes and has others of its own.

    Tensors may be tied or lie within each other; bytes are then read twice and counted once.
    """
    kept: list[Entry] = []
    reach = 0
    for entry in file.entries:
        if entry.begin < reach < entry.end:
            file.refused.append((entry, "it shares a part of another tensor's bytes"))
            continue
        reach = max(reach, entry.end)
        kept.append(entry)
    file.entries = kept
