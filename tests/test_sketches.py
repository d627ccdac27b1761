"""Sketch files: what is saved is what is read, and what somebody else wrote is checked to the last value."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn
from safetensors.numpy import load_file

from forensics.comparing import compared
from forensics.errors import CaseError, CheckpointError
from forensics.probe import Sketch, SketchProbe
from forensics.readings import Abstention, Failure, Outcome, Reason
from forensics.records import FileSeen, Subject
from forensics.sketches import DTYPES, SketchBook, is_sketch_file, load, save
from tests.tiny import write

SUBJECT = Subject(
    label="a",
    role="suspect",
    form="checkpoint",
    digest="d" * 64,
    files=(FileSeen(name="m", size=3, sha256="e"),),
)


def sketch(**changes: Any) -> Sketch:
    """A sketch by `probe-a`."""
    arrays: dict[str, np.ndarray[Any, Any]]
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.empty((0, 4), np.int64)}
    made = Sketch(
        probe="probe-a", version="1", parameters={"seed": 3, "name": "é", "on": True, "off": None, "tau": 0.5},
        arrays=arrays, facts={"width": 8, "note": "\ud800"}, subject="d" * 64,
    )  # fmt: skip
    return replace(made, **changes)


def book(*sketches: Sketch) -> SketchBook:
    """A book of these sketches."""
    return SketchBook(subject=SUBJECT, sketches={s.probe: s for s in sketches})


def same(one: Sketch, other: Sketch) -> bool:
    """Whether two sketches hold the same, arrays compared bit for bit."""
    held = [{n: (a.dtype, a.shape, a.tobytes()) for n, a in side.arrays.items()} for side in (one, other)]
    return held[0] == held[1] and replace(one, arrays={}) == replace(other, arrays={})


ABSENT = [
    None,
    Abstention(reason=Reason.TOO_SMALL, detail="two layers"),
    Failure(error="ValueError", detail="no \x1b[31m luck"),
]


@pytest.mark.parametrize("absent", ABSENT, ids=str)
def test_book_is_read_as_it_was_saved(absent: Abstention | Failure | None, tmp_path: Path) -> None:
    """Subject, arrays, facts, parameters and absence survive a round trip unchanged."""
    saved = book(sketch(absent=absent), sketch(probe="probe-b", arrays={}))
    save(tmp_path / "a.sketch", saved)
    loaded = load(tmp_path / "a.sketch")
    assert loaded.subject == SUBJECT
    assert set(loaded.sketches) == {"probe-a", "probe-b"}
    assert all(same(loaded.sketches[p], s) for p, s in saved.sketches.items())
    assert is_sketch_file(tmp_path / "a.sketch")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.sketch"]


arrays = st.sampled_from(sorted(DTYPES.values())).flatmap(
    lambda kind: drawn.arrays(
        np.dtype(kind), drawn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), arrays, max_size=4))
def test_arrays_of_every_kind_survive(tmp_path: Path, made: dict[str, np.ndarray[Any, Any]]) -> None:
    """Arrays of any allowed type, shape and value, NaN included, are read bit for bit."""
    saved = sketch(arrays=made)
    save(tmp_path / "a.sketch", book(saved))
    assert same(load(tmp_path / "a.sketch").sketches["probe-a"], saved)


def test_sketch_file_is_a_safetensors_file(tmp_path: Path) -> None:
    """The library reads the arrays under `probe/name`, so that others can."""
    save(tmp_path / "a.sketch", book(sketch()))
    theirs = load_file(tmp_path / "a.sketch")
    np.testing.assert_array_equal(theirs["probe-a/x"], sketch().arrays["x"])


def test_same_book_gives_same_bytes(tmp_path: Path) -> None:
    """A book's bytes do not depend on the order in which its parts were put together."""
    first, second = sketch(), sketch(probe="probe-b")
    save(tmp_path / "a", book(first, second))
    backwards = replace(first, arrays=dict(reversed(list(first.arrays.items()))))
    save(tmp_path / "b", book(second, backwards))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Where a sketch cannot be written, a clear error says so and nothing is left."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(CaseError):
        save(tmp_path / "taken", book(sketch()))
    with pytest.raises(CaseError):
        save(tmp_path / "no" / "folder", book(sketch()))
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_checkpoint_is_no_sketch_file(tmp_path: Path) -> None:
    """Folders, weights, pipes and missing paths are not taken for sketch files."""
    folder = write(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    for path in (
        folder,
        folder / "model.safetensors",
        tmp_path / "pipe",
        tmp_path / "none",
        tmp_path / ("x" * 5000),
    ):
        assert not is_sketch_file(path)
    with pytest.raises(CheckpointError) as refused:
        load(folder / "model.safetensors")
    assert refused.value.code == "SKETCH"


def rewritten(
    path: Path, change: Callable[[dict[str, Any], list[dict[str, Any]], dict[str, Any]], object]
) -> None:
    """Rewrites a sketch file's header: `change` edits header, sketches and subject in place."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    sketches, subject = (json.loads(header["__metadata__"][k]) for k in ("sketches", "subject"))
    change(header, sketches, subject)
    if "sketches" in header["__metadata__"]:
        header["__metadata__"] |= {"sketches": json.dumps(sketches), "subject": json.dumps(subject)}
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + raw[8 + length :])


HOSTILE: dict[str, Callable[[dict[str, Any], list[dict[str, Any]], dict[str, Any]], object]] = {
    "another format": lambda h, _s, _b: h["__metadata__"].update(format="forensics-sketch/2"),
    "no sketches": lambda h, _s, _b: h["__metadata__"].pop("sketches"),
    "a sketch is a number": lambda _h, s, _b: s.append(3),  # type: ignore[arg-type]
    "a sketch is text": lambda _h, s, _b: s.append("x"),  # type: ignore[arg-type]
    "an array is missing": lambda _h, s, _b: s[0]["arrays"].append("y"),
    "arrays are a number": lambda _h, s, _b: s[0].update(arrays=3),
    "facts are a list": lambda _h, s, _b: s[0].update(facts=[1]),
    "a fact is a list": lambda _h, s, _b: s[0].update(facts={"a": [1]}),
    "a fact is NaN": lambda _h, s, _b: s[0].update(facts={"a": float("nan")}),
    "a parameter is infinite": lambda _h, s, _b: s[0].update(parameters={"a": float("inf")}),
    "api is text": lambda _h, s, _b: s[0].update(api="one"),
    "absent is text": lambda _h, s, _b: s[0].update(absent="x"),
    "absent for no reason": lambda _h, s, _b: s[0].update(absent={"kind": "abstention", "reason": "mood"}),
    "probe is a list": lambda _h, s, _b: s[0].update(probe=[]),
    "no version": lambda _h, s, _b: s[0].pop("version"),
    "subject with an unknown key": lambda _h, _s, b: b.update(extra=1),
    "subject with text for a size": lambda _h, _s, b: b["files"][0].update(size="big"),
    "subject in a role of its own": lambda _h, _s, b: b.update(role="judge"),
    "an array too wide for memory": lambda h, _s, _b: h.update(
        {"probe-a/none": {"dtype": "I64", "shape": [0, 2**61], "data_offsets": [0, 0]}}
    ),
    "an array of unknown type": lambda h, _s, _b: h["probe-a/x"].update(dtype="F8_E4M3", shape=[24]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_sketch_file_is_refused(
    change: Callable[[dict[str, Any], list[dict[str, Any]], dict[str, Any]], object], tmp_path: Path
) -> None:
    """A sketch file with anything out of place is a CheckpointError, whatever it is."""
    path = tmp_path / "a.sketch"
    save(path, book(sketch()))
    rewritten(path, change)
    with pytest.raises(CheckpointError):
        load(path)


def test_truncated_or_extended_sketch_file_is_refused(tmp_path: Path) -> None:
    """A sketch file must be whole: not a byte fewer or more."""
    path = tmp_path / "a.sketch"
    save(path, book(sketch()))
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"\0", whole[:9], b""):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            load(path)


def test_boolean_bytes_are_read_as_booleans(tmp_path: Path) -> None:
    """A byte that is neither 0 nor 1 in a boolean array counts as true and is one true."""
    path = tmp_path / "a.sketch"
    save(path, book(sketch(arrays={"b": np.array([True, False])})))
    path.write_bytes(path.read_bytes()[:-2] + b"\x07\x00")
    assert load(path).sketches["probe-a"].arrays["b"].tobytes() == b"\x01\x00"


@dataclass(frozen=True, kw_only=True)
class ProbeA(SketchProbe):
    """A probe whose comparison must not be reached by sketches that do not fit."""

    id = "probe-a"
    version = "1"
    title = "A"
    measures = "Nothing."
    seed: int = 3

    def compare(self, suspect: Sketch, candidate: Sketch) -> Any:
        """Never a measurement."""
        raise LookupError(suspect.subject + candidate.subject)


UNLIKE: dict[str, tuple[dict[str, Any] | None, str]] = {
    "fits": ({}, "LookupError"),
    "another version": ({"version": "2"}, Reason.INCOMPATIBLE_SKETCHES),
    "another api": ({"api": 2}, Reason.INCOMPATIBLE_SKETCHES),
    "other parameters": ({"parameters": {"seed": 4}}, Reason.INCOMPATIBLE_SKETCHES),
    "more parameters": ({"parameters": {"seed": 3, "tau": 1}}, Reason.INCOMPATIBLE_SKETCHES),
    "absent": ({"absent": Abstention(reason=Reason.TOO_SMALL, detail="x")}, Reason.TOO_SMALL),
    "failed": ({"absent": Failure(error="ValueError", detail="x")}, "ValueError"),
    "none": (None, Reason.SKETCH_ONLY),
}


@pytest.mark.parametrize(("changes", "expected"), UNLIKE.values(), ids=UNLIKE)
@pytest.mark.parametrize("swapped", [False, True])
def test_sketches_that_do_not_fit_are_not_compared(
    changes: dict[str, Any] | None, expected: str, swapped: bool
) -> None:
    """Unequal versions, APIs or parameters abstain, an absence passes through, on either side."""
    fitting = sketch(parameters={"seed": 3})
    other = None if changes is None else replace(fitting, **changes)
    sides = (other, fitting) if swapped else (fitting, other)
    outcome: Outcome = compared(ProbeA(), *sides)
    assert isinstance(outcome, Abstention | Failure)
    assert (outcome.reason if isinstance(outcome, Abstention) else outcome.error) == expected
