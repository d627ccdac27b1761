"""Vocabularies beside each other: what is shared, in which order it was learned, and which kind that makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from forensics.alignment import (
    Likeness,
    Vocabulary,
    VocabularyKind,
    hashed,
    likeness,
    vocabulary_kind,
    vocabulary_of,
)

WORDS = [f"word{i}".encode() for i in range(3_000)]
BYTES = [bytes([b]) for b in range(256)]


def made(
    words: Sequence[bytes], *, cut: int = 2, first: int = 256, special: tuple[str, ...] = ()
) -> Vocabulary:
    """256 single bytes, then these words in the order in which they were learned, then special tokens."""
    tokens = {token: i for i, token in enumerate(BYTES)} | {w: first + i for i, w in enumerate(words)}
    names = {text: first + len(words) + i for i, text in enumerate(special)}
    spelt = {text.encode(): number for text, number in names.items()}
    return vocabulary_of(tokens | spelt, [(w[:cut], w[cut:]) for w in words], names)


def compared(ours: Vocabulary, theirs: Vocabulary) -> Likeness:
    """The two with a fixed sample."""
    return likeness(ours, theirs, sample=500, rng=np.random.default_rng(0))


def kind(ours: Vocabulary, theirs: Vocabulary) -> VocabularyKind:
    """The kind, special tokens left out."""
    return vocabulary_kind(compared(ours, theirs), same_special=True)


def apart(seed: int) -> list[bytes]:
    """Words as a training on similar text would find them: most of them, at ranks that scatter by a third."""
    rng = np.random.default_rng(seed)
    rank = np.arange(1, len(WORDS) + 1) * np.exp(rng.normal(0, 0.3, len(WORDS)))
    kept = rng.random(len(WORDS)) < 0.8
    return [WORDS[i] for i in np.argsort(rank) if kept[i]]


def test_single_bytes_and_special_tokens_take_no_part() -> None:
    """Every byte-level vocabulary has the single bytes: two that share nothing else share nothing."""
    found = compared(made(WORDS[:100], special=("<s>",)), made(WORDS[100:200], special=("<s>",)))
    assert (found.ours, found.theirs, found.shared, found.jaccard) == (100, 100, 0, 0.0)
    assert (found.tau, found.in_place, found.prefix, found.halves_alike) == (None, 0, 0, None)


def test_a_vocabulary_of_bytes_alone_is_still_compared() -> None:
    """Where a side has nothing but single bytes they take part."""
    assert compared(made([]), made([])).shared == 256
    assert kind(made([]), made([])) is VocabularyKind.IDENTICAL


def test_who_calls_everything_special_hides_nothing() -> None:
    """A side on which most tokens are special is compared with them."""
    words = [w.decode() for w in WORDS[:100]]
    hidden = vocabulary_of(
        {w.encode(): i for i, w in enumerate(words)}, [], {w: i for i, w in enumerate(words)}
    )
    assert hidden.apart.all()
    assert compared(hidden, made(WORDS[:100])).shared == 100


@pytest.mark.parametrize("text", ["<s>", "<\uff5cbegin▁of▁sentence\uff5c>", "▁▁"])
def test_special_tokens_are_found_however_spaces_are_spelt(text: str) -> None:
    """A special token is known by its text and id, with U+2581 as itself or as a space; not under another id."""
    for spelt in (text, text.replace("▁", " ")):
        tokens = {spelt.encode(): 7, b"ordinary": 3}
        assert vocabulary_of(tokens, [], {text: 7}).apart.tolist() == [False, True]
        assert not vocabulary_of(tokens, [], {text: 8}).apart.any()


KINDS: dict[str, tuple[Vocabulary, Vocabulary, VocabularyKind]] = {
    "itself": (made(WORDS), made(WORDS), VocabularyKind.IDENTICAL),
    "shifted ids": (made(WORDS), made(WORDS, first=300), VocabularyKind.RENUMBERED),
    "cut off": (made(WORDS), made(WORDS[:1_000]), VocabularyKind.EXTENDS),
    "carried on": (made(WORDS[:1_000]), made(WORDS), VocabularyKind.EXTENDED),
    "carried on under other ids": (made(WORDS[:1_000], first=900), made(WORDS), VocabularyKind.EXTENDED),
    "a word in twenty replaced": (
        made(WORDS), made([b"x" + w if i % 20 == 0 else w for i, w in enumerate(WORDS)]), VocabularyKind.EDITED,
    ),
    "one beginning, then others": (
        made(WORDS[:1_500] + [b"x" + w for w in WORDS]), made(WORDS[:1_500] + [b"y" + w for w in WORDS]),
        VocabularyKind.ANCESTOR,
    ),
    "one beginning with its first two exchanged": (
        made([WORDS[1], WORDS[0], *WORDS[2:1_500]] + [b"x" + w for w in WORDS]),
        made(WORDS[:1_500] + [b"y" + w for w in WORDS]), VocabularyKind.ANCESTOR,
    ),
    "learned apart": (made(apart(1)), made(apart(2)), VocabularyKind.SIMILAR_TEXT),
    "learned apart, one small": (made(apart(1)[:600]), made(apart(2)), VocabularyKind.SIMILAR_TEXT),
    "other words": (made(WORDS[:1_000]), made(WORDS[950:]), VocabularyKind.UNRELATED),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_told(name: str) -> None:
    """Copies, extensions, common ancestors and vocabularies learned apart are told from each other."""
    ours, theirs, wanted = KINDS[name]
    assert kind(ours, theirs) is wanted


def test_exchanging_the_sides_exchanges_the_extension() -> None:
    """Every kind reads the same from the other side, but that the extension is then the candidate."""
    turned = {
        VocabularyKind.EXTENDS: VocabularyKind.EXTENDED,
        VocabularyKind.EXTENDED: VocabularyKind.EXTENDS,
    }
    for ours, theirs, wanted in KINDS.values():
        assert kind(theirs, ours) is turned.get(wanted, wanted)


def test_permuted_ids_are_a_renumbered_copy_by_merges_and_without() -> None:
    """The same tokens in another order of ids; merges, where there are any, keep theirs."""
    numbers = np.random.default_rng(0).permutation(len(WORDS)).tolist()
    tokens = dict(zip(WORDS, numbers, strict=True))
    merges = [(w[:2], w[2:]) for w in WORDS]
    for listed in (merges, []):
        ours, theirs = (vocabulary_of(t, listed, {}) for t in (tokens, {w: i for i, w in enumerate(WORDS)}))
        found = compared(ours, theirs)
        assert found.by_merges == bool(listed)
        assert found.prefix == (len(WORDS) if listed else 0)
        assert vocabulary_kind(found, same_special=True) is VocabularyKind.RENUMBERED


def test_the_shift_of_ids_is_found() -> None:
    """Special tokens put in front move every id by their number."""
    found = compared(made(WORDS[:500], first=1_256), made(WORDS[:500]))
    assert (found.same_ids, found.shift, found.shifted_ids) == (0, 1_000, 500)


def test_tau_is_kendalls() -> None:
    """By the definition, over all shared tokens, as scipy has it."""
    from scipy.stats import kendalltau

    rng = np.random.default_rng(3)
    order = rng.permutation(400)
    found = compared(made(WORDS[:400]), made([WORDS[i] for i in order]))
    assert found.ranked == 400
    assert found.tau == pytest.approx(kendalltau(np.arange(400), order).statistic)


def test_a_token_with_several_merges_tells_no_halves() -> None:
    """Files of ranks list every cut of a token: the order counts, the halves are not held against them."""
    word = b"abcd"
    tokens = {bytes([b]): b for b in range(256)} | {b"ab": 256, b"cd": 257, b"abc": 258, word: 259}
    true = [(b"a", b"b"), (b"c", b"d"), (b"ab", b"c"), (b"ab", b"cd")]
    every = [*true[:3], (b"ab", b"cd"), (b"abc", b"d")]
    ours, theirs = (vocabulary_of(tokens, merges, {}) for merges in (true, every))
    assert ours.cuts.tolist() == [1, 1, 2, 2]
    assert theirs.cuts.tolist() == [1, 1, 2, 0]
    assert compared(ours, theirs).prefix == 4


def test_a_vocabulary_survives_being_kept() -> None:
    """Arrays and back are the same vocabulary; a great one takes 19 bytes a token."""
    before = made(WORDS, special=("<s>", "</s>"))
    arrays = before.arrays()
    after = Vocabulary.from_arrays(arrays)
    for name, array in before.arrays().items():
        np.testing.assert_array_equal(array, getattr(after, name))
    assert sum(a.nbytes for a in arrays.values()) <= 19 * len(before.tokens) + 12 * len(before.special)


def test_hostile_ids_stay_inside_the_types() -> None:
    """The largest id, ids that repeat, and a merge longer than a cut can say."""
    long = b"a" * 70_000
    found = vocabulary_of(
        {b"x": 2**31 - 1, b"y": 5, b"z": 5, long + b"b": 6}, [(long, b"b")], {"x": 2**31 - 1}
    )
    kept = Vocabulary.from_arrays(found.arrays())
    assert kept.ids.tolist() == [5, 5, 6, 2**31 - 1]
    assert kept.cuts.tolist() == [65_535]
    assert kept.special_ids.tolist() == [2**31 - 1]


def test_parts_that_do_not_fit_are_refused() -> None:
    """Arrays from a stranger are a ValueError before anything is counted."""
    good = made(WORDS[:10])
    with pytest.raises(ValueError, match="do not fit"):
        replace(good, ids=good.ids[:-1])
    with pytest.raises(ValueError, match="do not fit"):
        replace(good, learned=good.learned + 10_000)


def test_the_hash_knows_where_parts_end() -> None:
    """(ab, c) is not (a, bc), and nothing is not an empty part."""
    assert len(set(hashed([(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"",), ()]).tolist())) == 5


def test_tokens_are_hashed_like_lists_of_one() -> None:
    """The quick way for short tokens gives the same hashes, for long ones too."""
    tokens = [b"", b"a", b"a" * 255, b"a" * 256, b"a" * 70_000]
    found = vocabulary_of({token: i for i, token in enumerate(tokens)}, [], {})
    assert found.tokens.tolist() == hashed((token,) for token in tokens).tolist()
