"""The record: read back as it was written, canonical to the byte, finite, and as its schema says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import EnumMeta
from importlib import resources
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from forensics.archive import decode, encode, plain, restored, rounded, schema, settled
from forensics.errors import ForensicsError, ReportError
from forensics.matrices import Matrix
from forensics.readings import Exact, Failure, Measurement
from forensics.records import Case, Dossier, Environment, Finding, Origin, ProbeUsed, Problem, Tool

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=12)


def made(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type, as a record may hold them."""
    plain_kinds: dict[Any, st.SearchStrategy[Any]] = {
        str: texts, int: st.integers(-(2**70), 2**70), float: finite, bool: st.booleans(), NoneType: st.none(),
    }  # fmt: skip
    if kind in plain_kinds:
        return plain_kinds[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of([made(a) for a in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        items = made(arguments[0])
        return st.lists(items, max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(made(arguments[0]), made(arguments[1]), max_size=2)
    if isinstance(kind, EnumMeta):
        return st.sampled_from(list(kind))
    if kind is Matrix:
        return matrices()
    assert is_dataclass(kind), kind
    hints = get_type_hints(kind)
    given_fields = {f.name: made(hints[f.name]) for f in fields(kind)}
    if kind is Exact:
        given_fields["p"] = st.floats(1e-12, 1.0)
    return st.deferred(lambda: st.builds(kind, **given_fields))


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """A matrix that keeps the rules of matrices."""
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    cells = st.lists(finite, min_size=width, max_size=width).map(tuple)
    white = draw(st.integers(-5, 5))
    return Matrix(
        title=draw(texts), row_label=draw(texts), column_label=draw(texts), rows=tuple(range(height)),
        columns=tuple(range(width)), cells=tuple(draw(st.lists(cells, min_size=height, max_size=height))),
        white=float(white), black=float(white + draw(st.integers(1, 5))),
    )  # fmt: skip


dossiers = made(Dossier)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(dossiers)
def test_record_read_back_equals_the_record_written(dossier: Dossier) -> None:
    """Any dossier, once settled, is what its bytes decode to; its bytes are canonical and hold no NaN."""
    record = encode(dossier)
    standing = settled(dossier)
    assert decode(record) == standing
    assert encode(standing) == record
    assert settled(standing) == standing
    parsed = json.loads(record, parse_constant=pytest.fail)
    assert record == json.dumps(parsed, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(dossiers)
def test_every_record_fits_the_published_schema(dossier: Dossier) -> None:
    """Whatever a dossier holds, its JSON is valid under the published schema."""
    VALIDATOR.validate(json.loads(encode(dossier)))


def published() -> Any:
    """The schema as it is shipped."""
    return json.loads(
        resources.files("forensics").joinpath("dossier.schema.json").read_text(encoding="utf-8")
    )


VALIDATOR = Draft202012Validator(published())


def test_published_schema_is_the_records_own() -> None:
    """The shipped schema is the one that the records make, and is itself a valid schema."""
    assert published() == schema(), "write forensics/dossier.schema.json again from archive.schema()"
    Draft202012Validator.check_schema(published())


def example() -> Dossier:
    """A small dossier with one finding."""
    probe = ProbeUsed(
        id="a", version="1", title="A", measures="It.", parameters={"n": 3, "x": 0.1, "on": True},
        origin=Origin(distribution="d", version="1", sha256="", bundled=False),
    )  # fmt: skip
    reading = Measurement(
        value=1 / 3, quantity="q", summary="s", facts={"n": 3, "f": 1.0, "t": True, "z": -0.0}
    )
    return Dossier(
        tool=Tool(name="t", version="1"), case=Case(id="1", suspect="s", candidates=("c",)), subjects=(),
        findings=(Finding(probe=probe, candidate="c", outcome=reading),), opinions=(),
        environment=Environment(python="3", packages={}),
    )  # fmt: skip


def test_kinds_of_numbers_survive() -> None:
    """An integer, a float with no fraction and a flag are still that when read back."""
    finding = decode(encode(example())).findings[0]
    assert isinstance(finding.outcome, Measurement)
    kinds = {name: type(value) for name, value in finding.outcome.facts.items()}
    assert kinds == {"n": int, "f": float, "t": bool, "z": float}
    assert math.copysign(1, finding.outcome.facts["z"]) == 1  # type: ignore[arg-type]


@given(finite)
def test_rounding_keeps_nine_digits_and_stays(value: float) -> None:
    """A number is rounded to nine significant digits once and for all."""
    once = rounded(value)
    assert rounded(once) == once
    assert math.isclose(once, value, rel_tol=1e-8, abs_tol=0) or value == 0 or abs(value) < 1e-300


SPOILT: dict[str, Any] = {
    "another schema": lambda d: d.update(schema="forensics-dossier/2"),
    "no schema": lambda d: d.pop("schema"),
    "an unknown key": lambda d: d.update(extra=1),
    "a missing key": lambda d: d.pop("case"),
    "an unknown outcome": lambda d: d["findings"][0]["outcome"].update(kind="guess"),
    "an infinite value": lambda d: d["findings"][0]["outcome"].update(value=float("inf")),
    "a value that is NaN": lambda d: d["findings"][0]["outcome"].update(value=float("nan")),
    "a verdict of its own": lambda d: d.update(opinions=[{"verdict": "guilty"}]),
    "a list of facts": lambda d: d["findings"][0]["outcome"].update(facts=[1]),
    "half a character": lambda d: d["case"].update(id="\ud800"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_spoilt_record_is_refused(spoil: Any) -> None:
    """A record that is not exactly of this schema is a ReportError that says where."""
    parsed = json.loads(encode(example()))
    spoil(parsed)
    with pytest.raises(ReportError):
        decode(json.dumps(parsed).encode())


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 200_000, b'{"schema":' + b"9" * 9999 + b"}"]
)
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    """Bytes that are no JSON object of this schema are a ReportError."""
    with pytest.raises(ReportError):
        decode(raw)


def test_hostile_text_becomes_text() -> None:
    """Halves of surrogate pairs, from names of files or tensors, end as escapes that every reader takes."""
    problem = Problem(where="a\ud800b", code="x", message="\udcff\x1b\u202e\0")
    assert plain(problem)["where"] == "a\\ud800b"
    assert restored(Problem, plain(problem)).message == "\\udcff\x1b\u202e\0"


@pytest.mark.parametrize("value", ["text", [1.0], 1j], ids=repr)
def test_record_with_a_wrong_value_is_not_written(value: Any) -> None:
    """A value that its field does not allow is a ReportError when the record is made plain."""
    outcome = replace(Measurement(value=0.0, quantity="q", summary="s"), quantity="q", value=value)
    with pytest.raises(ReportError):
        plain(outcome)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["value", "layers", "facts"])
def test_measurement_cannot_be_made_of_nan(field: str, value: float) -> None:
    """NaN and infinity are refused where they are made, whichever number of a measurement they are."""
    held: dict[str, Any] = {"value": value, "layers": (0.5, value), "facts": {"x": value}}
    with pytest.raises(ForensicsError):
        Measurement(**{"value": 0.0, "quantity": "q", "summary": "s", field: held[field]})


@pytest.mark.parametrize("p", [0.0, 1.1, -1.0, math.nan, 1e-13])
def test_exact_p_is_a_floored_probability(p: float) -> None:
    """A p-value is at least the floor and at most one."""
    with pytest.raises(ForensicsError):
        Exact(p=p, null_hypothesis="h", method="m")


def test_infinity_never_gets_into_bytes() -> None:
    """A record that holds an infinity by whatever way is not encoded."""
    dossier = example()
    reading = Measurement(value=0.0, quantity="q", summary="s")
    object.__setattr__(reading, "value", math.inf)
    finding = replace(dossier.findings[0], outcome=reading)
    with pytest.raises((ReportError, ValueError)):
        encode(replace(dossier, findings=(finding,)))
    assert encode(replace(dossier, findings=(replace(finding, outcome=Failure(error="e", detail="d")),)))
