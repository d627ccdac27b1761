"""What vocabularies share when they are copies, extensions, or learned apart; and what their comparison costs.

    python -m benchmarks.tokenizers [--real FOLDER]

Writes the block `tokenizers` of docs/methods.md. Vocabularies are trained here on texts of the standard library (with
the library tokenizers) and altered in known ways; FOLDER holds real ones, a folder per family with files as models ship
them. Without it the rows of real vocabularies are missing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np

from benchmarks.tables import put
from benchmarks.zoo.corpus import SLICES, slice_text
from forensics.alignment import Likeness, Vocabulary, VocabularyKind, likeness, vocabulary_kind, vocabulary_of
from forensics.checkpoint.facts import TokenizerFacts
from forensics.checkpoint.sentencepiece_file import sentencepiece_facts
from forensics.checkpoint.tiktoken_file import tekken_facts, tiktoken_facts
from forensics.checkpoint.tokenizer import tokenizer_facts
from plugins.tokenizer_diff import Reader, TokenizerDiff

DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"
SIZES = (1_000, 8_000)
"""Tokens of a trained vocabulary; the last is as many as the text bears."""
LARGE = 150_000
CYRILLIC = {ord("a") + i: 0x0430 + i for i in range(26)} | {ord("A") + i: 0x0410 + i for i in range(26)}
"""The same text in other letters."""
SEED = 0

Pair = tuple[str, TokenizerFacts, TokenizerFacts]
"""How the two are related, as it was made."""


def trained(text: str, size: int) -> TokenizerFacts:
    """A byte-level BPE of at most `size` tokens, learned from the text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False
    )
    made.train_from_iterator(text.split("\n"), trainer)
    return tokenizer_facts(made.to_str().encode(), None, None)


def texts() -> dict[str, str]:
    """The corpora: docstrings and code of different modules, every other line of all docstrings, and other letters."""
    found = {name: slice_text(name) for name in SLICES}
    lines = (found["prose-a"] + found["prose-b"]).split("\n")
    more = {"even lines": "\n".join(lines[::2]), "odd lines": "\n".join(lines[1::2])}
    return found | more | {"other letters": found["prose-a"].translate(CYRILLIC)}


def altered(facts: TokenizerFacts, other: TokenizerFacts) -> Iterator[Pair]:
    """The vocabulary beside copies of known making; `other` lends tokens."""
    by_id = sorted(facts.tokens, key=facts.tokens.__getitem__)
    mixed = np.random.Generator(np.random.PCG64(SEED)).permutation(len(by_id)).tolist()
    yield "identical", facts, replace(facts)
    renamed = {f"[{text}]": number for text, number in facts.special.items()} or {"[end]": 0}
    special = facts.special or {"<end>": 0}
    yield "special tokens renamed", replace(facts, special=special), replace(facts, special=renamed)
    yield "ids permuted", facts, replace(facts, tokens=dict(zip(by_id, mixed, strict=True)))
    begun = _beginning(facts, len(facts.merges) // 2)
    yield "extension", facts, begun
    yield "common ancestor of half the size", facts, _extended(begun, other, len(facts.tokens))


def _beginning(facts: TokenizerFacts, merges: int) -> TokenizerFacts:
    """The vocabulary as it was after its first merges."""
    gone = {left + right for left, right in facts.merges[merges:]} - {a + b for a, b in facts.merges[:merges]}
    tokens = {token: number for token, number in facts.tokens.items() if token not in gone}
    return replace(facts, tokens=tokens, merges=facts.merges[:merges])


def _extended(facts: TokenizerFacts, other: TokenizerFacts, size: int) -> TokenizerFacts:
    """The vocabulary with the other's merges put behind its own, up to a number of tokens."""
    tokens, merges = dict(facts.tokens), list(facts.merges)
    number = max(tokens.values()) + 1
    for left, right in other.merges:
        if len(tokens) >= size:
            break
        if left + right not in tokens:
            tokens[left + right], number = number, number + 1
            merges.append((left, right))
    return replace(facts, tokens=tokens, merges=tuple(merges))


def made_pairs() -> Iterator[Pair]:
    """Trained vocabularies beside each other and beside altered ones, at every size."""
    found = {(name, size): trained(text, size) for name, text in texts().items() for size in SIZES}
    for size in SIZES:
        yield from altered(found["prose-a", size], found["code-b", size])
        alike = "learned apart, every other line of one text"
        yield alike, found["even lines", size], found["odd lines", size]
    for (first, size), (second, other) in product(product(SLICES, SIZES), repeat=2):
        if first < second:
            yield "learned apart, modules of one library", found[first, size], found[second, other]
    for first, size, other in product(SLICES, SIZES, SIZES):
        yield "learned apart, other letters", found[first, size], found["other letters", other]


def real_pairs(folder: Path) -> Iterator[Pair]:
    """Vocabularies of the folder's families beside each other, and altered ones."""
    known = {
        path: _read(path) for path in sorted(folder.glob("*/*")) if path.is_file() and path.suffix != ".md"
    }
    for (first, ours), (second, theirs) in combinations(known.items(), 2):
        same = first.parent == second.parent
        yield "real, one family" if same else "real, different families", ours, theirs
    first, *_, last = known.values()
    yield from ((f"real, {how}", a, b) for how, a, b in altered(first, last))


def _read(path: Path) -> TokenizerFacts:
    """The facts of one file, by its name."""
    raw = path.read_bytes()
    if path.suffix == ".tiktoken":
        return tiktoken_facts(raw, path.name)
    if path.name.startswith("tekken"):
        return tekken_facts(raw, path.name)
    return tokenizer_facts(raw, None, None) if path.suffix == ".json" else sentencepiece_facts(raw, path.name)


def compared(pair: Pair, known: dict[int, Vocabulary]) -> tuple[str, Likeness, VocabularyKind]:
    """How the pair was made, what it shares and which kind it is called; `known` keeps what was sketched."""
    how, *sides = pair
    for facts in sides:
        if id(facts) not in known:
            known[id(facts)] = vocabulary_of(facts.tokens, facts.merges, facts.special)
    ours, theirs = (known[id(facts)] for facts in sides)
    found = likeness(ours, theirs, sample=5_000, rng=np.random.Generator(np.random.PCG64(SEED)))
    listed = [f.special for f in sides]
    same = not all(listed) or listed[0] == listed[1]
    return how, found, vocabulary_kind(found, same_special=same)


def table(lines: Sequence[tuple[str, Likeness, VocabularyKind]]) -> str:
    """One row for each way of making, each figure from least to most."""
    rows = [
        "| made as | pairs | overlap | of the smaller | ids | common merges | common beginning | τ | called |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for how in dict.fromkeys(name for name, *_ in lines):
        chosen = [found for name, found, _ in lines if name == how]
        figures = {
            "overlap": [f.jaccard for f in chosen],
            "held": [f.shared / min(f.ours, f.theirs) for f in chosen],
            "ids": [f.same_ids / max(1, f.shared) for f in chosen],
        }
        shares = (_range(values, ".2f") for values in figures.values())
        counts = (
            _range(values, ",") for values in ([f.prefix for f in chosen], [f.in_place for f in chosen])
        )
        taus = _range([f.tau for f in chosen if f.tau is not None], ".2f")
        kinds = Counter(kind.value for name, _, kind in lines if name == how)
        called = ", ".join(f"{kind} {n}" if len(kinds) > 1 else kind for kind, n in kinds.most_common())
        rows.append("| " + " | ".join([how, str(len(chosen)), *shares, *counts, taus, called]) + " |")
    return "\n".join(rows)


def _range(values: Sequence[float], form: str) -> str:
    """Least and most of some figures."""
    shown = dict.fromkeys(format(v, form) for v in (min(values, default=0.0), max(values, default=0.0)))
    return " to ".join(shown)


def large(seed: int) -> TokenizerFacts:
    """A vocabulary of 150 000 tokens: every single byte and every two, and some of three; each merge has one cut."""
    rng = np.random.Generator(np.random.PCG64(seed))
    alphabet = [bytes([b]) for b in range(256)]
    twos = [(alphabet[i >> 8], alphabet[i & 255]) for i in rng.permutation(65_536).tolist()]
    missing = LARGE - len(alphabet) - len(twos)
    chosen = rng.permutation(1 << 20)[:missing].tolist()
    threes = [(left + right, alphabet[i & 255]) for i in chosen for left, right in (twos[i >> 8],)]
    merges = (*twos, *threes)
    tokens = [*alphabet, *(left + right for left, right in merges)]
    return TokenizerFacts(model="BPE", tokens={token: i for i, token in enumerate(tokens)}, merges=merges)


def cost() -> Mapping[str, float]:
    """CPU seconds of the steps for two vocabularies of 150 000 tokens: both sketches, then the comparison."""
    probe, sides = TokenizerDiff(), [large(1), large(2)]
    started = time.process_time()
    sketches = [Reader(probe=probe, known=facts, width=1).finish() for facts in sides]
    between = time.process_time()
    probe.compare(*sketches)
    alike = time.process_time()
    probe.compare(sketches[0], sketches[0])
    ended = time.process_time()
    size = sum(array.nbytes for array in sketches[0].arrays.values()) / 1e6
    return {
        "sketches": between - started,
        "compare": alike - between,
        "compare_alike": ended - alike,
        "sketch_megabytes": size,
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="real vocabularies, a folder per family")
    options = parser.parse_args()
    print(json.dumps(cost()), flush=True)
    pairs = [*made_pairs(), *(real_pairs(options.real) if options.real else ())]
    known: dict[int, Vocabulary] = {}
    lines = [compared(pair, known) for pair in pairs]
    written = table(lines)
    print(written)
    put(DOCUMENT, "tokenizers", written)


if __name__ == "__main__":
    main()
