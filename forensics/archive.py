"""A Dossier to JSON and back, schema-versioned; numbers rounded to what they mean.

Floats keep nine significant digits: more would record the order of a machine's additions, not the evidence.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar

from forensics.errors import ReportError
from forensics.records import Dossier

T = TypeVar("T")
DIGITS = 9


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def rounded(value: Any) -> Any:
    """JSON-able `value` with floats at nine significant digits, no minus zero, and only Unicode text.

    Hostile names may hold halves of surrogate pairs, which JSON readers refuse; they are written out.
    """
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case float():
            return float(f"{value:.{DIGITS}g}") + 0.0
        case dict():
            return {rounded(k): rounded(v) for k, v in value.items()}
        case list() | tuple():
            return [rounded(v) for v in value]
    return value


def plain(record: Any) -> Any:
    """A record as JSON-able dicts and lists, rounded; ReportError where it holds what its type does not allow."""
    from pydantic_core import PydanticSerializationError

    kind: Any = type(record)
    try:
        return rounded(_adapter(kind).dump_python(record, mode="json", warnings="error"))
    except PydanticSerializationError as error:
        raise ReportError(f"not a valid {kind.__name__}: {str(error).splitlines()[-1][:300]}") from None


def settled(record: T) -> T:
    """The record as it will read after a round trip, so that what is weighed is what is written."""
    return restored(type(record), plain(record))


def restored(kind: Any, raw: Any) -> Any:
    """A record of type `kind` from its plain form; ReportError where it does not fit."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(json.dumps(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReportError(f"not a valid record: {where[:200]}: {first['msg'][:200]}") from None


def encode(record: Any) -> bytes:
    """Canonical bytes of a record: sorted keys, UTF-8, no NaN, one final newline."""
    text = json.dumps(plain(record), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def decode(raw: bytes) -> Dossier:
    """The dossier in `raw`; ReportError where it is none, or of a schema this version does not know."""
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        raise ReportError(
            "the file is not JSON", "name a dossier.json written by `forensics investigate`"
        ) from None
    if not isinstance(parsed, dict) or parsed.get("schema") != "forensics-dossier/1":
        raise ReportError(
            "the file is not a forensics-dossier/1 record", "name a dossier.json written by this version"
        )
    dossier: Dossier = restored(Dossier, parsed)
    return dossier


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a dossier; published in the package as `dossier.schema.json`."""
    generated: dict[str, Any] = _adapter(Dossier).json_schema(mode="serialization")
    generated["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    generated["$id"] = "urn:model-forensics:dossier:1"
    return generated
