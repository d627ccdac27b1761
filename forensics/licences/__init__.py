"""Licences, holders and obligations as texts give them away: what documents say, never evidence about weights."""

from __future__ import annotations

from forensics.licences.difference import Difference, Span, difference
from forensics.licences.expressions import is_common, normalised, symbols
from forensics.licences.holders import holder_key, holders_of, is_everybody
from forensics.licences.known import Licence, known, licence, published_under, tagged
from forensics.licences.matching import Match, licences_in, notices_in
from forensics.licences.obligations import Asked, Shown, asked, beside, is_listed, obligations

__all__ = [
    "Asked",
    "Difference",
    "Licence",
    "Match",
    "Shown",
    "Span",
    "asked",
    "beside",
    "difference",
    "holder_key",
    "holders_of",
    "is_common",
    "is_everybody",
    "is_listed",
    "known",
    "licence",
    "licences_in",
    "normalised",
    "notices_in",
    "obligations",
    "published_under",
    "symbols",
    "tagged",
]
