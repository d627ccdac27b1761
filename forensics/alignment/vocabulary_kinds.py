"""One word for how two vocabularies stand to each other, by rules on what they share and in which order.

Measured on real vocabularies (`benchmarks/tokenizers.py`, docs/methods.md): those learned apart share up to 94 % of the
smaller one's tokens, but do not begin with the same tokens in the same order.
"""

from __future__ import annotations

from enum import StrEnum

from forensics.alignment.vocabulary_likeness import Likeness

ALL_BUT_A_FEW = 0.99
"""Share of the tokens above which one vocabulary holds the other."""
MOST = 0.9
"""Share above which tokens stand in order, ids are kept, or a vocabulary is an edited copy."""
BEGINNING = 512
"""First tokens in their places that make a common ancestor; real vocabularies learned apart reach 25, those trained on
parts of one text 114 (docs/methods.md)."""
SAME_TEXT = 0.15
"""Share of the smaller vocabulary from which on two were learned from text in the same languages."""


class VocabularyKind(StrEnum):
    """How the first vocabulary (the suspect's) stands to the second (the candidate's); the first rule that holds."""

    IDENTICAL = "identical"
    """The same tokens under the same ids; special tokens too, as far as both sides list any."""
    RENAMED = "identical but for special tokens"
    """The same tokens under the same ids; special tokens of other names or ids."""
    EXTENDS = "extension of the candidate"
    """Larger, and holds 99 % of the candidate's tokens in the candidate's order or with its ids (one shift allowed)."""
    EXTENDED = "candidate extends it"
    """The same with the sides exchanged. Which of the two was there first is not told: a vocabulary may be cut."""
    RENUMBERED = "renumbered copy"
    """99 % of the tokens of both, or 90 % in the same order, with less than 90 % of the ids the same."""
    EDITED = "edited copy"
    """The same with 90 % of the ids."""
    ANCESTOR = "common ancestor"
    """15 % of the smaller vocabulary or more, of which at least the first 512 were learned in the same order; behind
    them both go their own way."""
    SIMILAR_TEXT = "independent on similar text"
    """15 % of the smaller vocabulary's tokens or more, in no common order."""
    UNRELATED = "unrelated scripts"
    """Fewer: text in other languages or scripts, or vocabularies of very different making."""


def vocabulary_kind(likeness: Likeness, *, same_special: bool) -> VocabularyKind:
    """The first of the kinds whose rule holds; `same_special` unless both sides list special tokens that differ."""
    smaller, larger = sorted((likeness.ours, likeness.theirs))
    shared = likeness.shared
    if shared == larger == likeness.same_ids:
        return VocabularyKind.IDENTICAL if same_special else VocabularyKind.RENAMED
    in_order = 0 < MOST * likeness.ordered <= likeness.in_place and 2 * likeness.ordered >= shared
    numbered = likeness.shifted_ids >= MOST * shared
    if smaller < larger and shared >= ALL_BUT_A_FEW * smaller and (in_order or numbered):
        return VocabularyKind.EXTENDS if likeness.ours > likeness.theirs else VocabularyKind.EXTENDED
    if shared >= ALL_BUT_A_FEW * larger or (in_order and shared >= MOST * larger):
        return VocabularyKind.EDITED if likeness.same_ids >= MOST * shared else VocabularyKind.RENUMBERED
    if shared < SAME_TEXT * smaller:
        return VocabularyKind.UNRELATED
    return VocabularyKind.ANCESTOR if likeness.in_place >= BEGINNING else VocabularyKind.SIMILAR_TEXT
