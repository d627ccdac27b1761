"""What a file is that bears the name of weights and holds none, by its first bytes."""

from __future__ import annotations

MAGICS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x93NUMPY", "NUMPY", "a numpy array"),
    (0, b"7z\xbc\xaf\x27\x1c", "7Z", "a 7z archive"),
    (0, b"\x1f\x8b", "GZIP", "compressed with gzip"),
    (0, b"BZh", "BZIP2", "compressed with bzip2"),
    (0, b"\xfd7zXZ\0", "XZ", "compressed with xz"),
    (0, b"\x28\xb5\x2f\xfd", "ZSTD", "compressed with zstd"),
    (257, b"ustar", "TAR", "a tar archive, as PyTorch wrote until 2017"),
    (0, b"Rar!\x1a\x07", "RAR", "a rar archive"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5", "an HDF5 file, as Keras writes"),
    (0, b"GGUF", "GGUF", "a GGUF file"),
    (0, b"lmgg", "GGML", "a GGML file from before GGUF"),
    (0, b"fmgg", "GGML", "a GGML file from before GGUF"),
    (0, b"tjgg", "GGML", "a GGML file from before GGUF"),
    (0, b"\x7fELF", "ELF", "a program"),
    (0, b"MZ", "EXE", "a program"),
    (0, b"%PDF", "PDF", "a PDF document"),
    (0, b"PK\x05\x06", "ZIP", "an empty zip archive"),
    (8, b"{", "SAFETENSORS", "a safetensors file"),
)
"""(offset, bytes, code, what it is)."""


def foreign(beginning: bytes) -> tuple[str, str, str] | None:
    """(code, what it is, hint) by the first 512 bytes; None where they are of no format on the list."""
    if beginning.startswith(b"version https://git-lfs"):
        return "LFS", "a pointer to a file in Git LFS", "fetch the file itself, e.g. with `git lfs pull`"
    for offset, magic, code, what in MAGICS:
        if beginning[offset : offset + len(magic)] == magic:
            return code, what, "give a file of weights"
    text = beginning.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "HTML", "a web page", "fetch the file again"
    return None
