"""Real text that exists wherever Python does, cut into disjoint slices.

The zoo must be rebuildable without a network, so its models learn from the standard library: English
prose from `pydoc_data.topics` and docstrings, and source code with the docstrings taken out. A module
gives its text to side "a" or "b" only, so two models trained on different slices saw no common document.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from transformers import PreTrainedTokenizerFast

SLICES = ("prose-a", "prose-b", "code-a", "code-b")
SLICE_CHARACTERS = 1_500_000
"""A slice is cut here: about two to three passes in one base's training."""
SHORTEST_DOCUMENT = 80
"""Shorter texts are formulas ("Return self.") that repeat across modules."""
HELD_OUT = 0.05
"""The share at a slice's end that is never trained on, for the reported losses."""

_SKIPPED_FOLDERS = {
    "site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo",
    "encodings", "pydoc_data", "ensurepip", "__pycache__",
}  # fmt: skip
_SKIPPED_FILES = ("_sysconfigdata", "sitecustomize", "usercustomize")
"""Written by the builder of this Python, not by its authors: they differ from machine to machine."""

TOKENIZERS: Mapping[str, tuple[int, tuple[str, ...], Mapping[str, str]]] = {
    "bpe-1024": (1024, ("prose-a",), {"unk": "<unk>", "bos": "<s>", "eos": "</s>"}),
    "bpe-1280": (1280, ("code-b", "prose-a"), {"eos": "<|endoftext|>", "pad": "<|padding|>"}),
    "bpe-1536": (1536, ("prose-b", "code-a"), {"eos": "<|endoftext|>", "bos": "<|im_start|>"}),
    "bpe-2048": (2048, SLICES, {"pad": "<pad>", "eos": "<eos>", "bos": "<bos>", "unk": "<unk>"}),
}
"""Per tokenizer: vocabulary size, the slices its merges were learned on, its special tokens."""


def _module_paths() -> list[tuple[str, Path]]:
    """Every standard-library module that is text for our purpose, in an order no file system decides."""
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for path in root.rglob("*.py"):
        inside = path.relative_to(root)
        if not _SKIPPED_FOLDERS.intersection(inside.parts) and not path.name.startswith(_SKIPPED_FILES):
            found.append((inside.as_posix(), path))
    return sorted(found)


def _split_module(source: str) -> tuple[list[str], str]:
    """A module's docstrings, and its code with those lines removed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    lines: list[str | None] = list(source.splitlines())
    docstrings = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            continue
        if isinstance(first.value.value, str):
            docstrings.append(inspect.cleandoc(first.value.value))
            for line in range(first.lineno - 1, first.end_lineno or first.lineno):
                lines[line] = None
    return docstrings, "\n".join(line for line in lines if line is not None)


def _documents() -> Iterator[tuple[str, str]]:
    """(slice, document) in corpus order: the language reference first, then module by module."""
    from pydoc_data import topics

    for name in sorted(topics.topics):
        yield "prose-a", topics.topics[name]
    for inside, path in _module_paths():
        try:
            docstrings, code = _split_module(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        side = "ab"[zlib.crc32(inside.split("/")[0].encode()) % 2]
        for docstring in docstrings:
            yield f"prose-{side}", docstring
        yield f"code-{side}", code


@cache
def slice_documents() -> Mapping[str, tuple[str, ...]]:
    """The documents of every slice; no document is in two slices, none twice in one."""
    seen: set[str] = set()
    chosen: dict[str, list[str]] = {name: [] for name in SLICES}
    length = dict.fromkeys(SLICES, 0)
    for name, document in _documents():
        text = document.strip()
        if len(text) < SHORTEST_DOCUMENT or text in seen or length[name] >= SLICE_CHARACTERS:
            continue
        seen.add(text)
        chosen[name].append(text)
        length[name] += len(text)
    return {name: tuple(texts) for name, texts in chosen.items()}


@cache
def slice_text(name: str) -> str:
    """One slice as one text."""
    return "\n\n".join(slice_documents()[name])[:SLICE_CHARACTERS]


@cache
def slice_sha256(name: str) -> str:
    """What a checkpoint's record states about its training text: it follows the version of Python."""
    return hashlib.sha256(slice_text(name).encode()).hexdigest()


@cache
def tokenizer(identifier: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, trained here and now; the same slices give the same merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    size, slices, special = TOKENIZERS[identifier]
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bare.train_from_iterator((text for name in slices for text in slice_documents()[name]), trainer)
    roles = {f"{role}_token": token for role, token in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=bare, model_max_length=256, **roles)


@cache
def tokens(identifier: str, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A slice as token ids: (training part, held-out part), both 1-D int64."""
    import torch

    backend = tokenizer(identifier).backend_tokenizer
    pieces = backend.encode_batch(
        [slice_text(name)[i : i + 20_000] for i in range(0, SLICE_CHARACTERS, 20_000)]
    )
    ids = torch.tensor([i for piece in pieces for i in piece.ids])
    cut = int(len(ids) * (1 - HELD_OUT))
    return ids[:cut], ids[cut:]


@cache
def unigram_entropy(identifier: str, name: str) -> float:
    """Cross-entropy (nats) of a slice's held-out part under its training part's token frequencies.

    A model's loss well below it shows that it learned more than which tokens are frequent.
    """
    train, held_out = tokens(identifier, name)
    counts = train.bincount(minlength=TOKENIZERS[identifier][0]).double() + 1.0
    return float(-(counts / counts.sum()).log()[held_out].mean())
