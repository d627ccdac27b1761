"""SPDX licence expressions in one spelling, and model cards' tags beside them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from forensics.licences.known import licence, tagged

if TYPE_CHECKING:
    from license_expression import Licensing

LENGTH = 300
"""Characters of an expression; longer ones are no expression."""
IDENTIFIER = re.compile(r"SPDX-License-Identifier:[ \t]{0,8}([^\r\n]{1,300})")
"""How files declare one."""
ALIASES = {
    "apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "mit license": "MIT", "bsd": "BSD-3-Clause", "gpl": "GPL-3.0-only",
    "gplv2": "GPL-2.0-only", "gplv3": "GPL-3.0-only", "agplv3": "AGPL-3.0-only", "lgplv3": "LGPL-3.0-only",
}  # fmt: skip
"""Usual spellings that are no SPDX expression."""


def normalised(text: str) -> str:
    """An expression as SPDX spells it, e.g. `MIT OR Apache-2.0`; the tag of a licence that we know as its id.

    Empty where it is neither. Symbols that SPDX does not know make an expression unknown, except our own names.
    """
    whole = text.strip()
    wanted = " ".join(whole[:LENGTH].split()).strip("\"'*/-#> ")
    if not wanted or len(whole) > LENGTH:
        return ""
    alias = ALIASES.get(wanted.lower())
    known = tagged(wanted)
    if alias or known:
        return alias or (known.id if known else "")
    from boolean import ParseError
    from license_expression import ExpressionError

    try:
        parsed = _licensing().parse(wanted, validate=False)
        unknown = _licensing().unknown_license_keys(parsed) if parsed is not None else [wanted]
    except (ExpressionError, ParseError, RecursionError, TypeError, ValueError):
        return ""
    return "" if unknown else str(parsed)


def symbols(expression: str) -> tuple[str, ...]:
    """The single licences of a normalised expression, in order."""
    parts = re.split(r"\s+(?:AND|OR|WITH)\s+|[()\s]+", expression)
    return tuple(dict.fromkeys(part for part in parts if part))


def is_common(expression: str) -> bool:
    """Whether every licence of a normalised expression is one that so many choose that sharing it says nothing.

    What SPDX lists and our table does not is common as well: it is nobody's own.
    """
    ones = [licence(symbol) for symbol in symbols(expression)]
    return bool(ones) and all(one is None or one.common for one in ones)


@cache
def _licensing() -> Licensing:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
